"""Why Redis cannot be used, in words for the operator: they name no address, no user and no password.

Callers are never told; they get STORE_UNAVAILABLE or STORAGE_FULL.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from enum import Enum

from redis import exceptions as redis
from redis import sentinel
from redis.asyncio import sentinel as asyncio_sentinel

MISMATCHES = (62, 64)  # OpenSSL's verify codes: another host name, another address
UNKNOWN_ISSUERS = (2, 18, 19, 20, 21)  # no issuer found, or one signed by itself


class RedisTrouble(Enum):
    """What is wrong, and what to do about it."""

    PASSWORD = ("Redis refuses the user or the password", "correct them in SELFIE3D_REDIS_URL")
    RIGHTS = ("the user of Redis may not do what selfie3d needs", "docs/operations.md has the rule that it needs")
    AUTHORITY = ("the certificate of Redis is of an unknown authority", "name its file with ?ssl_ca_certs=FILE")
    NAME = ("the certificate of Redis is for another host name", "name the host in SELFIE3D_REDIS_URL as it does")
    CERTIFICATE = ("the certificate of Redis is not valid", "renew it, or set the clock right")
    TLS = ("Redis and selfie3d do not agree on TLS", "choose between redis:// and rediss:// in SELFIE3D_REDIS_URL")
    HOST = ("the host name of Redis cannot be resolved", "correct it in SELFIE3D_REDIS_URL, or the name service")
    ABSENT = ("nothing listens at the address of Redis", "start it, or correct SELFIE3D_REDIS_URL")
    DISK = ("Redis cannot write to its disk", "make room there; its own log says more")
    MEMORY = ("Redis has no memory left", "raise its maxmemory, or shorten SELFIE3D_RETENTION_SECONDS")
    READ_ONLY = ("Redis is a replica that takes no writes", "name the primary in SELFIE3D_REDIS_URL")
    CLUSTER = ("Redis runs as a cluster, which selfie3d cannot use", "name one Redis, or a primary with replicas")
    LOADING = ("Redis is loading its data", "wait")
    PRIMARY = ("Redis has lost its primary", "look after the primary")
    SENTINEL = ("the sentinels of Redis name no primary", "look after them, the primary and the replicas")
    REPLICAS = ("no replica of Redis confirms what is written", "look after the replicas and the network between them")
    SILENT = ("Redis does not answer in time", "look after its load, the network, and whether it speaks TLS")
    BROKEN = ("the connection to Redis breaks", "check that it runs and that SELFIE3D_REDIS_URL points to it")

    def __init__(self, text: str, remedy: str) -> None:
        self.text = text
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.text}: {self.remedy}"


BY_WORD = {  # of the answers of Redis, also from inside a script
    "WRONGPASS": RedisTrouble.PASSWORD,
    "NOAUTH": RedisTrouble.PASSWORD,
    "NOPERM": RedisTrouble.RIGHTS,
    "No permissions": RedisTrouble.RIGHTS,
    "READONLY": RedisTrouble.READ_ONLY,
    "MISCONF": RedisTrouble.DISK,
    "OOM": RedisTrouble.MEMORY,
    "MASTERDOWN": RedisTrouble.PRIMARY,
    "NOREPLICAS": RedisTrouble.REPLICAS,
    "LOADING": RedisTrouble.LOADING,
    "CLUSTERDOWN": RedisTrouble.CLUSTER,
    "MOVED": RedisTrouble.CLUSTER,
    "CROSSSLOT": RedisTrouble.CLUSTER,
    "hash to the same slot": RedisTrouble.CLUSTER,
    "non local key": RedisTrouble.CLUSTER,
}
BY_TYPE: dict[type[BaseException], RedisTrouble] = {  # the first that fits
    redis.AuthenticationError: RedisTrouble.PASSWORD,
    redis.NoPermissionError: RedisTrouble.RIGHTS,
    redis.ReadOnlyError: RedisTrouble.READ_ONLY,
    redis.OutOfMemoryError: RedisTrouble.MEMORY,
    redis.MasterDownError: RedisTrouble.PRIMARY,
    sentinel.MasterNotFoundError: RedisTrouble.SENTINEL,
    asyncio_sentinel.MasterNotFoundError: RedisTrouble.SENTINEL,
    redis.ClusterError: RedisTrouble.CLUSTER,
    redis.AskError: RedisTrouble.CLUSTER,
    redis.BusyLoadingError: RedisTrouble.LOADING,
    ssl.SSLError: RedisTrouble.TLS,
    socket.gaierror: RedisTrouble.HOST,
    ConnectionRefusedError: RedisTrouble.ABSENT,
    FileNotFoundError: RedisTrouble.ABSENT,  # of a Unix socket
}


def trouble_of(error: BaseException) -> RedisTrouble:
    """What an error of redis-py or kombu means, or one that it was raised from."""
    chain = list(_chain(error))
    for link in chain:
        if found := _of(link):
            return found
    return (
        RedisTrouble.SILENT
        if any(isinstance(link, TimeoutError | redis.TimeoutError) for link in chain)
        else RedisTrouble.BROKEN
    )


def _of(error: BaseException) -> RedisTrouble | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in MISMATCHES:
            return RedisTrouble.NAME
        return RedisTrouble.AUTHORITY if error.verify_code in UNKNOWN_ISSUERS else RedisTrouble.CERTIFICATE
    by_type = next((trouble for kind, trouble in BY_TYPE.items() if isinstance(error, kind)), None)
    if by_type or not isinstance(error, redis.ResponseError):
        return by_type
    return next((trouble for word, trouble in BY_WORD.items() if word in str(error)), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it was raised from, deepest last."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


class TroubleLog:
    """Says once why Redis cannot be used, again when the reason changes, and once when it can be used again."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: RedisTrouble | None = None

    def note(self, trouble: RedisTrouble | None) -> None:
        """What the newest try has shown; None: all is well."""
        if trouble is self._last:
            return
        self._last = trouble
        if trouble:
            self._log.warning("Redis cannot be used: %s.", trouble, extra={"action": "redis", "why": trouble.name})
        else:
            self._log.info("Redis can be used again.", extra={"action": "redis"})
