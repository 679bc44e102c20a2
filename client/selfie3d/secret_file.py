"""Secrets of the environment, or of files that it names: NAME_FILE for NAME, as the images of databases have it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

FILE = "_FILE"
MOST_BYTES = 1 << 16


def secret_of(name: str, environ: Mapping[str, str]) -> str:
    """The value of a variable, or what is in the file that NAME_FILE names, without the space around it.

    Empty: neither is set. Raises ValueError for both and for a file that cannot be used; it tells nothing of the
    secret.
    """
    value, path = environ.get(name, ""), environ.get(f"{name}{FILE}", "")
    if value and path:
        raise ValueError(f"{name} and {name}{FILE} are both set: unset one.")
    return _read(f"{name}{FILE}", Path(path)) if path else value


def _read(name: str, path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_BYTES + 1).strip()
    except PermissionError:
        raise ValueError(f"{name}={str(path)!r}: user {os.getuid()} may not read it.") from None
    except OSError as error:
        raise ValueError(f"{name}={str(path)!r}: {error.strerror}.") from None
    except ValueError:
        raise ValueError(f"{name}={str(path)!r}: the file holds no text.") from None
    if not text or len(text) > MOST_BYTES:
        raise ValueError(f"{name}={str(path)!r}: the file {'holds more than a secret' if text else 'is empty'}.")
    return text
