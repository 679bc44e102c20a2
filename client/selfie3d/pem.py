"""PEM files for TLS, read and checked before gRPC sees them: over some mistakes in them it ends the whole process."""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

Pem = str | PathLike[str] | bytes  # a file's path, or PEM text as bytes
MISMATCHES = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}  # of OpenSSL
MOST_BYTES = 4 << 20  # of a file; a system's list of all authorities has less than 1 MiB
BEGIN = "-----BEGIN "


class PemError(ValueError):
    """The text says which file cannot be used, and why; it holds nothing of the file."""


def read_authorities(source: Pem) -> bytes:
    """The certificates that others' are checked against. Raises PemError."""
    data, name = _read(source, "the authorities' PEM text")
    _check_certificates(data, name)
    return data


def read_pair(certificate: Pem | None, key: Pem | None) -> tuple[bytes, bytes] | None:
    """A certificate chain and its private key; None for none. Raises PemError, also for one without the other."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        there, missing = ("key", "certificate") if certificate is None else ("certificate", "key")
        raise PemError(f"there is a {there} without its {missing}: give both or none")
    chain, name = _read(certificate, "the certificate's PEM text")
    private, key_name = _read(key, "the key's PEM text")
    _check_certificates(chain, name)
    _check_key(chain, private, name, key_name)
    return chain, private


def _read(source: Pem, name: str) -> tuple[bytes, str]:
    """The bytes, and what to call them."""
    if isinstance(source, bytes):
        return source, name
    if isinstance(source, str) and BEGIN in source:
        raise PemError(f"{name} was given as str, which is a file's path: give it as bytes")
    try:
        with Path(source).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise PemError(f"{source}: {getattr(error, 'strerror', None) or 'no path of a file'}") from None
    if len(data) > MOST_BYTES:
        raise PemError(f"{source} is larger than any PEM file: more than {MOST_BYTES >> 20} MiB")
    return data, str(source)


def _check_certificates(data: bytes, name: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=data.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError, TypeError):
        raise PemError(f"{name} holds no PEM certificate") from None


def _check_key(chain: bytes, key: bytes, name: str, key_name: str) -> None:
    asked: list[str] = []

    def passphrase() -> str:  # else OpenSSL asks the terminal
        asked.append(key_name)
        return ""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")  # how strong a key must be is not decided here
    try:
        with _file_of(chain) as chain_file, _file_of(key) as key_file:
            context.load_cert_chain(chain_file, key_file, passphrase)
    except ssl.SSLError as error:
        if asked:
            raise PemError(
                f"{key_name} is encrypted: save it without a passphrase, readable by its user alone"
            ) from None
        if error.reason in MISMATCHES:
            raise PemError(f"{key_name} is not the key of the certificate in {name}") from None
        raise PemError(f"{key_name} holds no PEM private key") from None


@contextlib.contextmanager
def _file_of(data: bytes) -> Iterator[str]:
    """A path under which OpenSSL finds the bytes: in memory where the system can, for they may be a key."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("selfie3d-pem"), "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as private:
            private.write(data)
            private.flush()
            yield private.name
