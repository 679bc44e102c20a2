"""The secrets that sign webhooks, as the Standard Webhooks specification writes them."""

from __future__ import annotations

import base64
import binascii
import secrets

PREFIX = "whsec_"
LEAST, MOST = 24, 64  # bytes, as the specification wants


def new_secret() -> str:
    """A secret of 256 random bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(text: str) -> None:
    """Raises ValueError, which shows nothing of it, for what is no secret; an empty text means: none."""
    try:
        size = len(base64.b64decode(text.removeprefix(PREFIX), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if text and not (text.startswith(PREFIX) and LEAST <= size <= MOST):
        raise ValueError(f"{PREFIX} and {LEAST} to {MOST} bytes in base64 are wanted.") from None
