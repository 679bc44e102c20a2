"""Configuration dataclasses from environment variables: one `setting` a field, read and checked in one place."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from selfie3d.address import hosts_of, split_address
from selfie3d.secret_file import FILE, secret_of
from selfie3d.variables import unknown_variables
from selfie3d_jobs.errors import ConfigError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Domain:
    """Which values a setting may have, beside its type. An empty text of an address or path means: none.

    Attributes
    ----------
    within : the smallest and the largest number, of the type of the setting
    words : all there are
    pattern : a regular expression of all there are, and how people write it
    address : whether it is HOST:PORT
    socket : whether unix:/path is an address, too
    target : whether it is an address to connect to, in any form that gRPC knows
    """

    within: tuple[int, int] | tuple[float, float] | None = None
    words: tuple[str, ...] = ()
    pattern: tuple[str, str] | None = None
    address: bool = False
    socket: bool = False
    target: bool = False

    def fault_of(self, value: Any) -> str | None:
        """What is wrong with a value, as a clause; None: nothing."""
        if self.within and not self.within[0] <= value <= self.within[1]:
            return f"{_noun(type(self.within[0]))} {self.text} is wanted"
        if (self.words and value not in self.words) or (self.pattern and not re.fullmatch(self.pattern[0], value)):
            return f"{self.text} is wanted"
        return self._fault_of_address(value) if (self.address or self.target) and value else None

    def _fault_of_address(self, value: str) -> str | None:
        if self.socket and value.startswith("unix:"):
            return None
        try:
            hosts_of(value) if self.target else split_address(value)
        except ValueError as error:
            return str(error)
        return None

    @property
    def text(self) -> str:
        """The values there are, for people."""
        if self.within:
            return f"from {_plain(self.within[0])} to {_plain(self.within[1])}"
        if self.words:
            return " or ".join([", ".join(self.words[:-1]), self.words[-1]])
        if self.address or self.target:
            return "an address"
        return self.pattern[1] if self.pattern else ""


class Setting(typing.NamedTuple):
    """What a setting is, for those who list them."""

    variable: str
    default: Any
    text: str
    domain: Domain
    secret: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """Its variable and, of a secret, that of a file which holds it."""
        return (self.variable, f"{self.variable}{FILE}") if self.secret else (self.variable,)


def setting(name: str, default: Any, text: str, **domain: Any) -> Any:
    """A dataclass field that the environment variable `name` sets.

    text : what it means, with the unit
    domain : the values it may have, as `Domain` takes them; `from_environment` and `check` refuse all others
    """
    return dataclasses.field(default=default, metadata={"env": name, "text": text, "domain": Domain(**domain)})


def secret(name: str, default: Any, text: str) -> Any:
    """A setting that is never shown: it may hold a password. `name` with _FILE names a file to read it from."""
    about = {"env": name, "text": text, "domain": Domain(), "secret": True}
    return dataclasses.field(default=default, repr=False, metadata=about)


def from_environment(cls: type[T], environ: Mapping[str, str] = os.environ) -> T:
    """Build `cls` and the configurations inside it. Raises ConfigError naming variable, value and what is wanted."""
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for item in _fields(cls):
        kind, name = hints[item.name], item.metadata.get("env")
        if name is not None and (text := _text(name, environ, item.metadata)):
            values[item.name] = _read(name, text, kind, item.metadata["domain"])
        elif dataclasses.is_dataclass(kind):
            values[item.name] = from_environment(typing.cast(type[Any], kind), environ)
    return cls(**values)


def check(config: Any) -> None:
    """Refuse a configuration with a value outside its setting's domain. Raises ConfigError."""
    for item in _fields(type(config)):
        if "env" in item.metadata:
            value = getattr(config, item.name)
            _refuse(item.metadata["env"], value, item.metadata["domain"].fault_of(value))


def settings_of(cls: type[Any]) -> list[Setting]:
    """All settings of `cls` and of the configurations inside it."""
    hints = typing.get_type_hints(cls)
    found: list[Setting] = []
    for item in _fields(cls):
        if "env" in item.metadata:
            about = item.metadata
            found.append(Setting(about["env"], item.default, about["text"], about["domain"], "secret" in about))
        elif dataclasses.is_dataclass(hints[item.name]):
            found += settings_of(typing.cast(type[Any], hints[item.name]))
    return found


def name_unknown(log: logging.Logger) -> None:
    """A warning for each variable of the environment that looks like one of ours and is none."""
    for variable, sentence in unknown_variables(os.environ).items():
        log.warning(sentence, extra={"action": "settings", "variable": variable})


def report(error: ConfigError) -> int:
    """Say on stderr why a process does not start, and which variables are none of ours; its exit code."""
    print(error, *unknown_variables(os.environ).values(), sep="\n", file=sys.stderr)
    return 2


def _fields(cls: type[Any]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls)


def _text(name: str, environ: Mapping[str, str], about: Mapping[str, Any]) -> str:
    if "secret" not in about:
        return environ.get(name, "")
    try:
        return secret_of(name, environ)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _read(name: str, text: str, kind: Any, domain: Domain) -> Any:
    wanted = next(iter(set(typing.get_args(kind)) - {types.NoneType}), kind)
    try:
        value = _READERS[wanted](text)
    except ValueError:
        _refuse(name, text, f"{_noun(wanted)} {domain.text if domain.within else ''}".rstrip() + " is wanted")
    _refuse(name, text, domain.fault_of(value))
    return value


def _refuse(name: str, value: Any, clause: str | None) -> None:
    if clause is not None:
        shown = "(hidden)" if "URL" in name else repr(str(value))
        raise ConfigError(f"{name}={shown}: {clause}.") from None


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if "_" in text or not math.isfinite(value):
        raise ValueError(text)
    return value


def _switch(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(text)


def _noun(kind: Any) -> str:
    return {int: "a whole number", float: "a number", bool: "on or off", Path: "a path"}.get(kind, "a text")


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


_READERS: dict[Any, Callable[[str], Any]] = {str: str, int: _whole, float: _finite, bool: _switch, Path: Path}
