"""Configuration dataclasses from environment variables: one `setting` a field, read in one place."""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from selfie3d_jobs.errors import ConfigError

T = TypeVar("T")


def setting(name: str, default: Any, text: str) -> Any:
    """A dataclass field that the environment variable `name` sets; `text` says what it means, with the unit."""
    return dataclasses.field(default=default, metadata={"env": name, "text": text})


def from_environment(cls: type[T], environ: Mapping[str, str] = os.environ) -> T:
    """Build `cls` and the configurations inside it. Raises ConfigError naming variable, value and wanted type."""
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for item in _fields(cls):
        kind, name = hints[item.name], item.metadata.get("env")
        if name is not None and environ.get(name, "") != "":
            values[item.name] = _read(name, environ[name], kind)
        elif dataclasses.is_dataclass(kind):
            values[item.name] = from_environment(typing.cast(type[Any], kind), environ)
    return cls(**values)


def settings_of(cls: type[Any]) -> list[tuple[str, Any, str]]:
    """(variable, default, text) of every setting of `cls` and of the configurations inside it."""
    hints = typing.get_type_hints(cls)
    rows: list[tuple[str, Any, str]] = []
    for item in _fields(cls):
        if "env" in item.metadata:
            rows.append((item.metadata["env"], item.default, item.metadata["text"]))
        elif dataclasses.is_dataclass(hints[item.name]):
            rows += settings_of(typing.cast(type[Any], hints[item.name]))
    return rows


def _fields(cls: type[Any]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls)


def _read(name: str, text: str, kind: Any) -> Any:
    wanted = next(iter(set(typing.get_args(kind)) - {types.NoneType}), kind)
    try:
        return _READERS[wanted](text)
    except ValueError as error:
        shown = "(hidden)" if "URL" in name else repr(text)
        raise ConfigError(f"{name}={shown}: {wanted.__name__} wanted") from error


def _switch(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(text)


_READERS: dict[Any, Callable[[str], Any]] = {str: str, int: int, float: float, bool: _switch, Path: Path}
