"""Standard output that is full, or whose reader has gone: one sentence and an exit code instead of a traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from selfie3d_cli.errors import CommandError

STDOUT = 1
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


class OutputError(CommandError):
    """Standard output cannot be written."""


@contextmanager
def written_output() -> Iterator[None]:
    """Around a whole command: what it prints is out at its end. Raises OutputError, BrokenPipeError.

    What Python keeps back until the interpreter ends would fail there with a traceback and exit code 120.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # None: it was closed from the start, and print does nothing
                sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            _give_up()
            raise
        if error.filename is None and error.errno in UNWRITABLE:  # of a file we would know the name
            _give_up()
            raise OutputError(f"standard output cannot be written: {os.strerror(error.errno)}.") from error
        raise


def _give_up() -> None:
    """Let what is kept back go nowhere, so that the flush at exit does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT)
    if nowhere != STDOUT:
        os.close(nowhere)
