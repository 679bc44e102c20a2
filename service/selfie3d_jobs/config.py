"""What service and worker must agree on."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from selfie3d_jobs.blob_place import Place, place_of
from selfie3d_jobs.env import check, secret, setting
from selfie3d_jobs.errors import ConfigError
from selfie3d_jobs.sentinel_url import SentinelUrl, is_sentinel_url

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")


@dataclass(frozen=True)
class JobsConfig:
    """The job store. The same values in every process of a deployment."""

    redis_url: str = secret(
        "SELFIE3D_REDIS_URL",
        "redis://127.0.0.1:6379/0",
        "redis://, rediss:// (TLS; ?ssl_ca_certs=FILE), unix:///path.sock, "
        "redis+sentinel://HOST,HOST,HOST/MASTER/DB or rediss+sentinel://, with user and password",
    )
    blobs: str = setting(
        "SELFIE3D_BLOBS",
        "redis",
        "where photos and meshes lie: redis, s3://BUCKET/PREFIX?endpoint=..&region=.., gs://, az:// or file:///FOLDER",
    )
    blob_grace_seconds: float = setting(
        "SELFIE3D_BLOB_GRACE_SECONDS",
        900.0,
        "an object outside Redis that no job has got by then is deleted, s",
        within=(1.0, 86400.0),
    )
    prefix: str = setting("SELFIE3D_REDIS_PREFIX", "selfie3d:", "in front of every Redis key, channel and queue")
    lease_seconds: float = setting(
        "SELFIE3D_LEASE_SECONDS", 6.0, "a worker silent for so long loses its job, s", within=(1.0, 3600.0)
    )
    max_deliveries: int = setting(
        "SELFIE3D_MAX_DELIVERIES", 3, "lost workers after which a job is POISON_INPUT", within=(1, 100)
    )
    time_limit_seconds: float = setting(
        "SELFIE3D_TIME_LIMIT_SECONDS", 120.0, "a worker's time for one photo, s", within=(1.0, 86400.0)
    )

    def __post_init__(self) -> None:
        """Refuse what could not work. Raises ConfigError."""
        if not _is_redis_url(self.redis_url):  # never shown: it may hold a password
            schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
            raise ConfigError(
                f"SELFIE3D_REDIS_URL wants {schemes} and a valid address; percent-encode what is special in a password"
            )
        check(self)
        try:
            place_of(self.blobs)
        except ValueError as error:
            raise ConfigError(f"SELFIE3D_BLOBS: {error}.") from None

    @property
    def place(self) -> Place | None:
        """Where photos and meshes lie outside Redis; None: in it."""
        return place_of(self.blobs)

    @property
    def renew_seconds(self) -> float:
        """How often a worker renews its lease."""
        return self.lease_seconds / 4


def _is_redis_url(url: str) -> bool:
    try:
        if is_sentinel_url(url):
            return bool(SentinelUrl.of(url).sentinels)
        parts = urlsplit(url)
        return parts.scheme in SCHEMES and parts.port != 0
    except ValueError:  # a port that is no number, as when a password holds a slash
        return False
