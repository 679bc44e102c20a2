"""Child processes of one terminal: their lines prefixed with their names, and none of them left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from selfie3d.variables import unknown_variables
from selfie3d_cli.settings import PARENT_VARIABLE, from_environment

PR_SET_PDEATHSIG = 1  # linux/prctl.h
Write = Callable[[str], None]


def selfie3d(*arguments: str) -> tuple[str, ...]:
    """The command line of our own command, in this Python."""
    return (sys.executable, "-m", "selfie3d_cli", *arguments)


def end_with_parent() -> None:
    """In a child: have the kernel send SIGTERM when the parent dies, however it dies. Linux only."""
    parent = from_environment().parent
    os.environ.pop(PARENT_VARIABLE, None)  # our own children are not that process's
    if not parent or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the line above
        os.kill(os.getpid(), signal.SIGTERM)


def _inherited() -> dict[str, str]:
    """Our environment without the variables that change nothing: we have named them, each child need not."""
    inherited = dict(os.environ)
    for name in unknown_variables(inherited):
        del inherited[name]
    return inherited


class Child:
    """One process that is started again as often as needed.

    command : what to run, see `selfie3d`
    env : what its environment has beside ours
    write : gets each of its lines, with the name in front
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], write: Write) -> None:
        self.name = name
        self.started = 0.0  # time.monotonic()
        self._command = command
        self._env = env
        self._write = write
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it; its own session keeps the terminal's Ctrl-C from it, so that we choose the order."""
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**_inherited(), "PYTHONUNBUFFERED": "1", **self._env, PARENT_VARIABLE: str(os.getpid())},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int | None:
        """Its process id; None before the start."""
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and before the start."""
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def terminate(self) -> None:
        """Ask it to finish what it does and end (SIGTERM)."""
        if self._process is not None and self.running:
            self._process.terminate()

    def wait(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        if self._reader is not None:
            self._reader.join(1.0)  # a grandchild may hold the pipe open
        return True

    def kill(self) -> None:
        """SIGKILL to it and to its own children."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _read(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is not None:
            with process.stdout as lines:
                for line in lines:
                    self._write(f"{self.name} | {line.rstrip()}")
