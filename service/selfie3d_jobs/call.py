"""A call on the store as a value: what to send, how to read the reply. Both stores, blocking and asyncio, run it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Word = bytes | str | int | float


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
class Call(Generic[T]):
    """One round trip. `name` is a Redis command (its first argument a key without the prefix) or a script's."""

    name: str
    args: tuple[Word, ...]
    parse: Callable[[Any], T]
    script: Script | None = None
    bulky: bool = False  # moves a photo or a mesh: may take longer than the others

    def words(self, prefix: str) -> tuple[Word, ...]:
        """What to send, when the script is already in Redis."""
        if self.script:
            return ("EVALSHA", self.script.sha, 1, prefix, *self.args)
        key, *rest = self.args
        return (self.name, prefix + str(key), *rest)

    def words_with_source(self, prefix: str) -> tuple[Word, ...]:
        """What to send when it is not."""
        source = self.script.source if self.script else ""
        return ("EVAL", source, 1, prefix, *self.args)


def script(name: str, parse: Callable[[Any], T], *args: Word, bulky: bool = False) -> Call[T]:
    """A call of scripts/`name`.lua."""
    return Call(name, args, parse, load(name), bulky)


def command(name: str, parse: Callable[[Any], T], key: str, *args: Word) -> Call[T]:
    """A plain Redis command on a blob."""
    return Call(name, (key, *args), parse, bulky=True)
