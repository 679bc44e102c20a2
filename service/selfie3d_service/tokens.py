"""Bearer tokens: who calls and what they may. Of tokens only salted hashes are kept on disk.

The file (TOML), read again when it changes:

    [[tokens]]
    caller = "billing"          # owner of the jobs it creates
    salt = "5f0c..."            # hex
    sha256 = "9b1d..."          # hex of SHA-256(salt + token)
    scopes = ["submit", "read"] # submit: create, cancel, delete; read: the rest; admin: both, for every job by id
    max_active = 50             # optional: jobs that have not ended
    max_per_minute = 30         # optional: jobs created in a minute, and in a day
    max_per_day = 1000
    webhook_secret = "whsec_..." # optional: signs the caller's webhooks; not hashed, so keep the file private

`selfie3d token CALLER` makes a token and its entry.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from selfie3d_jobs import ConfigError
from selfie3d_service.webhook_secret import check_secret

log = logging.getLogger(__name__)

CALLER = re.compile(r"[A-Za-z0-9._@-]{1,64}")
LOOK_SECONDS = 1.0  # how often the file's time of change is looked at


class Scope(StrEnum):
    """What a token allows."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True)
class Caller:
    """Whose call it is.

    max_active : jobs that have not ended; None: as the service has it
    max_per_minute, max_per_day : jobs created; 0: no limit
    """

    name: str
    scopes: frozenset[Scope]
    max_active: int | None = None
    max_per_minute: int = 0
    max_per_day: int = 0

    def may(self, scope: Scope) -> bool:
        """Whether the scope, or admin, was given."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


ANONYMOUS = Caller("anonymous", frozenset({Scope.SUBMIT, Scope.READ}))


@dataclass(frozen=True)
class _TokenEntry:
    caller: Caller
    salt: bytes
    digest: bytes
    webhook_secret: str = field(default="", repr=False)


class TokenFile:
    """The tokens of a file."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises ConfigError."""
        self._path = path
        self._stamp = self._stat()
        self._entries = _read(path)
        self._looked = time.monotonic()

    def find(self, token: str) -> Caller | None:
        """The caller of a token. Every entry is compared, in constant time."""
        self._refresh()
        found = None
        for entry in self._entries:
            if hmac.compare_digest(digest(entry.salt, token), entry.digest):
                found = entry.caller
        return found

    def webhook_secrets(self, caller: str) -> tuple[str, ...]:
        """The secrets of all tokens of the caller, each once."""
        self._refresh()
        found = [entry.webhook_secret for entry in self._entries if entry.caller.name == caller]
        return tuple(dict.fromkeys(filter(None, found)))

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        try:
            stamp = self._stat()
            if stamp != self._stamp:
                self._entries, self._stamp = _read(self._path), stamp
                log.info("Tokens were read again.", extra={"action": "tokens", "tokens": len(self._entries)})
        except ConfigError as error:
            log.error(
                "The changed token file is not usable; the tokens before it stay valid.", extra={"why": str(error)}
            )

    def _stat(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            raise ConfigError(f"SELFIE3D_TOKENS: cannot read {self._path}: {error.strerror}") from error
        return status.st_mtime_ns, status.st_size, status.st_ino


def digest(salt: bytes, token: str) -> bytes:
    """What the file keeps. A token has 256 random bits, so one round is enough."""
    return hashlib.sha256(salt + token.encode()).digest()


def new_token(
    caller: str,
    scopes: Iterable[str],
    max_active: int | None = None,
    webhook_secret: str = "",
    **rates: int | None,
) -> tuple[str, str]:
    """A new token and its entry for the file. Raises ConfigError for a name that would not be one word.

    rates : max_per_minute and max_per_day
    """
    if not CALLER.fullmatch(caller):
        raise ConfigError(f"{caller!r} cannot name a caller: 1 to 64 characters of [A-Za-z0-9._@-] wanted")
    token, salt = f"s3d_{secrets.token_urlsafe(32)}", secrets.token_bytes(16)
    names = ", ".join(f'"{Scope(scope)}"' for scope in scopes)
    entry = (
        f'[[tokens]]\ncaller = "{caller}"\nsalt = "{salt.hex()}"\n'
        f'sha256 = "{digest(salt, token).hex()}"\nscopes = [{names}]\n'
    )
    limits = {"max_active": max_active, **rates}
    entry += "".join(f"{name} = {most}\n" for name, most in limits.items() if most is not None)
    return token, entry + (f'webhook_secret = "{webhook_secret}"\n' if webhook_secret else "")


def _read(path: Path) -> tuple[_TokenEntry, ...]:
    try:
        tables = tomllib.loads(path.read_text()).get("tokens", [])
        return tuple(_entry(table) for table in tables)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"SELFIE3D_TOKENS: {path} is not a token file: {type(error).__name__}: {error}") from error


def _entry(table: dict[str, Any]) -> _TokenEntry:
    scopes = frozenset(Scope(scope) for scope in table["scopes"])
    limit = table.get("max_active")
    rates = {name: _rate(table, name) for name in ("max_per_minute", "max_per_day")}
    caller = Caller(str(table["caller"]), scopes, None if limit is None else int(limit), **rates)
    digest_bytes = bytes.fromhex(table["sha256"])
    if len(digest_bytes) != hashlib.sha256().digest_size or not caller.name:
        raise ValueError(f"entry of caller {caller.name!r}")
    secret = str(table.get("webhook_secret", ""))
    check_secret(secret)
    return _TokenEntry(caller, bytes.fromhex(table["salt"]), digest_bytes, secret)


def _rate(table: dict[str, Any], name: str) -> int:
    """Jobs in a minute or a day; 0: no limit. Raises ValueError: a limit that nobody meant would let all through."""
    most = table.get(name)
    if most is None:
        return 0
    if type(most) is not int or most < 1:
        raise ValueError(f"{name} must be a whole number from 1")
    return most
