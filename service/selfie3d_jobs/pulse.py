"""Signs of life that a process of this machine leaves for others to see, whether or not Redis can be reached.

Every process of a deployment has one small file in a folder of its user. It holds when the process started and when it
was last well, both by clocks that all processes of the machine share. A process that is stopped or stuck does not write
any more; one that has ended, however, is told by its absence, and leaves no trace that could be taken for another's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic, sleep
from typing import Self

BEAT_SECONDS = 1.0
STUCK_SECONDS = 30.0  # without a beat; more than the worst pause of a loaded machine
ZOMBIES = "ZX"  # processes that have ended and that their parent has not asked about yet
LOOK_AGAIN_SECONDS = 3.0  # a machine that was paused as a whole needs a moment before its processes beat


class ProcessKind(StrEnum):
    """What a process is."""

    SERVICE = "service"
    WEB = "web"
    WORKER = "worker"  # the parent, which takes the jobs from the queue
    CHILD = "child"  # of a worker, which runs them


@dataclass(frozen=True)
class Beat:
    """The newest sign of life of a process that exists.

    Attributes
    ----------
    start : when the process started, clock ticks since the machine did; tells it from a later one of the same number
    age : seconds since it was well
    """

    kind: ProcessKind
    pid: int
    start: int
    age: float

    @property
    def stuck(self) -> bool:
        """Whether the process has been silent for too long."""
        return self.age > STUCK_SECONDS


class Pulse:
    """This process's. Where no file can be written it does nothing: `selfie3d health` then finds no process."""

    def __init__(self, kind: ProcessKind) -> None:
        self._path = folder() / f"{kind}.{os.getpid()}"
        self._start = _start_of(os.getpid())
        self._file: int | None = None
        if self._start is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            if _is_ours(self._path.parent):
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                self.beat()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def beat(self) -> None:
        """Be well now."""
        file = self._file
        if file is None:
            return
        with contextlib.suppress(OSError):  # a disk that is full, or closed by another thread meanwhile
            os.pwrite(file, f"{self._start:020d} {monotonic():020.3f}".encode(), 0)

    def close(self) -> None:
        """Leave."""
        file, self._file = self._file, None
        if file is not None:
            self._path.unlink(missing_ok=True)
            os.close(file)


@contextlib.asynccontextmanager
async def beating(kind: ProcessKind) -> AsyncIterator[None]:
    """Beat while the event loop runs what it should: one that hangs is silent."""

    async def beat() -> None:
        while True:
            pulse.beat()
            await asyncio.sleep(BEAT_SECONDS)

    with Pulse(kind) as pulse:
        task = asyncio.create_task(beat())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def beat_in_background(pulse: Pulse) -> None:
    """Beat until the process ends, from a thread: for a time in which its main thread waits on purpose."""

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            pulse.beat()

    ended = threading.Event()
    threading.Thread(target=beat, name="pulse", daemon=True).start()


def folder() -> Path:
    """Where this user's processes leave their signs."""
    return Path(tempfile.gettempdir()) / f"selfie3d-pulse-{os.getuid()}"


def beats(*kinds: ProcessKind) -> list[Beat]:
    """The processes of these kinds that exist; those of a folder that is not only ours are not believed."""
    return [beat for beat in _read_all() if beat.kind in kinds]


def end_stuck(*kinds: ProcessKind) -> list[Beat]:
    """SIGKILL to those of this user's processes that are stuck, and still are after a second look."""
    first = {(beat.pid, beat.start) for beat in beats(*kinds) if beat.stuck}
    if not first:
        return []
    sleep(LOOK_AGAIN_SECONDS)
    found = [beat for beat in beats(*kinds) if beat.stuck and (beat.pid, beat.start) in first]
    for beat in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(beat.pid, signal.SIGKILL)
    return found


def _read_all() -> Iterator[Beat]:
    with contextlib.suppress(OSError):
        for path in sorted(folder().iterdir() if _is_ours(folder()) else ()):
            if beat := _read(path):
                yield beat


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can have put there what our files would be written to. Raises OSError."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def _read(path: Path) -> Beat | None:
    """None for what is no sign of a process that exists."""
    try:
        kind, pid = path.name.split(".")
        start, seen = path.read_text().split()
        if _start_of(int(pid)) != int(start):
            path.unlink(missing_ok=True)
            return None
        return Beat(ProcessKind(kind), int(pid), int(start), monotonic() - float(seen))
    except (OSError, ValueError):
        return None


def _start_of(pid: int) -> int | None:
    """When a process started, clock ticks since the machine did; None: there is no such process, or it has ended."""
    try:
        state, *fields = re.sub(r".*\)", "", Path(f"/proc/{pid}/stat").read_text(), flags=re.DOTALL).split()
        return None if state in ZOMBIES else int(fields[18])
    except OSError:
        return None
