"""The users of a Redis that serves nothing but selfie3d, each with the rights that it needs and no others."""

from __future__ import annotations

import hashlib

RIGHTS = "~{prefix}* resetchannels &{prefix}* +@all -@admin -@dangerous +info"  # docs/operations.md has it, too
# Nobody can be the default user; Redis is, while it loads its log. With fewer rights it would skip what is in there.
DEFAULT = "user default off ~* &* +@all"
HEALTH = "user health on nopass resetkeys resetchannels -@all +ping"
ADMINISTRATOR = "admin"
USER = "selfie3d"


def acl_file(prefix: str, password: str, administrator_password: str) -> str:
    """The `aclfile` of Redis. It holds hashes, of passwords that must be long and random."""
    rules = [
        DEFAULT,
        HEALTH,
        f"user {USER} on {_hash(password)} {RIGHTS.format(prefix=prefix)}",
        f"user {ADMINISTRATOR} on {_hash(administrator_password)} ~* &* +@all",
    ]
    return "".join(f"{rule}\n" for rule in rules)


def _hash(password: str) -> str:
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"
