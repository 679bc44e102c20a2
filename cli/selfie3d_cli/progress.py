"""What people see while photos are reconstructed: a bar for each running photo, a line for each done, a summary."""

from __future__ import annotations

import sys
from collections import Counter
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from selfie3d_cli.outcome import Outcome
from selfie3d_cli.terminal import is_terminal, padded, printable, styled

NAME_WIDTH = 32  # columns
SHAPE = "{desc} {bar:24} {elapsed}"
TICK = 0.5  # seconds between two looks at the clock

Bar = Any  # of tqdm, which has no types


class ProgressView:
    """Bars and lines on stderr; nothing at all when `quiet` and stderr is no terminal.

    total : photos
    outcomes : of the photos that are done, in the order in which they were
    """

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._lines = not quiet
        self._total = total
        self._interrupted = False
        self.outcomes: list[Outcome] = []
        self._bars: set[Bar] = set()
        self._over = Event()

    def start(self, photo: str) -> Bar:
        """A bar for a photo that starts now."""
        return self._bar(photo, 1.0)

    def advance(self, bar: Bar, stage: str, progress: float) -> None:
        """Move a photo's bar; progress : 0 to 1."""
        with tqdm.get_lock():
            bar.n = progress
            bar.set_description_str(_label(bar.photo, stage))

    def finish(self, bar: Bar, outcome: Outcome) -> None:
        """Take the photo's bar away and leave a line. After `interrupt` what was given up is nobody's failure."""
        self._close(bar)
        if self._interrupted:
            return
        self.outcomes.append(outcome)
        if self._total > 1:
            self._overall.update()
        if self._lines:
            tqdm.write(_line(outcome), file=sys.stderr)

    def interrupt(self) -> None:
        """The photos that are not done yet will not be."""
        self._interrupted = True

    def summarise(self) -> None:
        """The last words: how many, and how many failed for which reason; the photos' own lines say more."""
        if not self._lines or self._total == 1:
            return
        reasons = Counter(outcome.failure.reason for outcome in self.outcomes if outcome.failure)
        done, missing = len(self.outcomes) - reasons.total(), self._total - len(self.outcomes)
        failed = "".join(f", {count} {reason}" for reason, count in reasons.most_common())
        rest = f", {missing} not done" if missing else ""
        begin = "interrupted: " if self._interrupted else ""
        print(f"{begin}{done} of {self._total} photos reconstructed{failed}{rest}", file=sys.stderr)

    def __enter__(self) -> Self:
        if self._total > 1:
            self._overall = self._bar("all photos", self._total)
        self._clock = Thread(target=self._tick, daemon=True)
        self._clock.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._clock.join()
        for bar in list(self._bars):
            self._close(bar)

    def _bar(self, name: str, total: float) -> Bar:
        looks = {"bar_format": SHAPE, "dynamic_ncols": True, "leave": False}
        unseen = not is_terminal(sys.stderr)
        with tqdm.get_lock():
            bar = tqdm(desc=_label(name, ""), total=total, file=sys.stderr, disable=unseen, **looks)
            bar.photo = name
            self._bars.add(bar)
        return bar

    def _close(self, bar: Bar) -> None:
        with tqdm.get_lock():
            self._bars.discard(bar)
            bar.close()

    def _tick(self) -> None:
        """Let the seconds of all bars go on while nothing happens."""
        while not self._over.wait(TICK):
            with tqdm.get_lock():
                for bar in self._bars:
                    bar.refresh()


def _label(name: str, stage: str) -> str:
    return f"{padded(printable(name[-NAME_WIDTH:]), NAME_WIDTH)} {stage:<9}"


def _line(outcome: Outcome) -> str:
    name = printable(outcome.photo)
    if outcome.failure:
        failed = styled("failed", "red", sys.stderr)
        message = printable(" ".join(outcome.failure.message.split()))
        return f"{failed} {name}: {message} ({printable(outcome.failure.reason)})"
    done, files = styled("done", "green", sys.stderr), printable(", ".join(outcome.files))
    return f"{done}   {name} -> {files} in {sum(outcome.seconds.values()):.2f} s"
