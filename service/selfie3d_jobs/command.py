"""A Redis command as a value: what to send, how to read the reply. Both stores, blocking and asyncio, run it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Arg = bytes | str | int | float


@dataclass(frozen=True)
class Script:
    """A Lua script with the common part in front of it."""

    source: str
    sha: str


@cache
def load(name: str) -> Script:
    """The script of scripts/`name`.lua."""
    folder = files("selfie3d_jobs") / "scripts"
    source = (folder / "common.lua").read_text() + (folder / f"{name}.lua").read_text()
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True)
class Command(Generic[T]):
    """One round trip. `name` is a Redis command or a script's; `keyed`: its first argument is a key without prefix."""

    name: str
    arguments: tuple[Arg, ...]
    parse: Callable[[Any], T]
    script: Script | None = None
    bulky: bool = False  # moves a photo or a mesh: may take longer than the others
    keyed: bool = True
    lasting: bool = False  # a caller is told that it was done: with sentinels, not before a replica has it

    def args(self, prefix: str) -> tuple[Arg, ...]:
        """What to send, when the script is already in Redis."""
        if self.script:
            return ("EVALSHA", self.script.sha, 1, prefix, *self.arguments)
        if not self.keyed:
            return (self.name, *self.arguments)
        key, *rest = self.arguments
        return (self.name, prefix + str(key), *rest)

    def args_with_source(self, prefix: str) -> tuple[Arg, ...]:
        """What to send when it is not."""
        source = self.script.source if self.script else ""
        return ("EVAL", source, 1, prefix, *self.arguments)


def script(
    name: str,
    parse: Callable[[Any], T],
    /,
    *,
    blobs: Sequence[bytes] = (),
    bulky: bool = False,
    lasting: bool = False,
    **named: Any,
) -> Command[T]:
    """A call of scripts/`name`.lua, which finds the `named` arguments in the table A and the blobs from ARGV[2] on.

    Named arguments travel as JSON: strings, finite numbers below 2**53, lists and dicts of these.
    """
    return Command(name, (json.dumps(named, allow_nan=False), *blobs), parse, load(name), bulky, lasting=lasting)


def plain(name: str, parse: Callable[[Any], T], key: str, *args: Arg) -> Command[T]:
    """A plain Redis command on a blob."""
    return Command(name, (key, *args), parse, bulky=True)


def milliseconds(seconds: float) -> int:
    """As the scripts count time."""
    return int(seconds * 1000)


def ignore(_reply: object) -> None:
    """The parser of a reply that says nothing."""
