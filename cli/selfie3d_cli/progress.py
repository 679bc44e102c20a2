"""What people see while photos are reconstructed: a bar for each running photo, a line for each done, a summary."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from selfie3d_cli.outcome import Outcome

NAME_WIDTH = 32  # characters


class ProgressView:
    """Bars and lines on stderr; nothing at all when `quiet` and stderr is no terminal.

    total : photos
    outcomes : of the photos that are done, in the order in which they were
    """

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._lines = not quiet
        self._total = total
        self._interrupted = False
        self.outcomes: list[Outcome] = []
        self._progress = Progress(
            TextColumn(f"{{task.description:<{NAME_WIDTH}}}"),
            BarColumn(),
            TextColumn("{task.fields[stage]:<9}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._overall = self._progress.add_task("all photos", total=total, stage="") if total > 1 else None

    def start(self, photo: str) -> TaskID:
        """A bar for a photo that starts now."""
        return self._progress.add_task(escape(photo[-NAME_WIDTH:]), total=1.0, stage="")

    def advance(self, task: TaskID, stage: str, progress: float) -> None:
        """Move a photo's bar; progress : 0 to 1."""
        self._progress.update(task, completed=progress, stage=stage)

    def finish(self, task: TaskID, outcome: Outcome) -> None:
        """Take the photo's bar away and leave a line. After `interrupt` what was given up is nobody's failure."""
        self._progress.remove_task(task)
        if self._interrupted:
            return
        self.outcomes.append(outcome)
        if self._overall is not None:
            self._progress.advance(self._overall)
        if self._lines:
            self._console.print(_line(outcome), soft_wrap=True)

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
        self._console.print(f"{begin}{done} of {self._total} photos reconstructed{failed}{rest}")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()


def _line(outcome: Outcome) -> str:
    name = escape(outcome.photo)
    if outcome.failure:
        return f"[red]failed[/red] {name}: {escape(outcome.failure.message)} ({outcome.failure.reason})"
    files = escape(", ".join(outcome.files))
    return f"[green]done[/green]   {name} -> {files} in {sum(outcome.seconds.values()):.2f} s"
