"""The users of a Redis that serves nothing but selfie3d, each with the rights that it needs and no others."""

from __future__ import annotations

import hashlib

RIGHTS = "~{prefix}* resetchannels &{prefix}* +@all -@admin -@dangerous +info"  # docs/operations.md has it, too
NOBODY = "user default on nopass resetkeys resetchannels -@all +ping"  # for health checks
ADMINISTRATOR = "admin"
USER = "selfie3d"


def acl_file(prefix: str, password: str, administrator_password: str) -> str:
    """The `aclfile` of Redis. It holds hashes, of passwords that must be long and random."""
    rules = [
        NOBODY,
        f"user {USER} on {_hash(password)} {RIGHTS.format(prefix=prefix)}",
        f"user {ADMINISTRATOR} on {_hash(administrator_password)} ~* &* +@all",
    ]
    return "".join(f"{rule}\n" for rule in rules)


def _hash(password: str) -> str:
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"
