"""The service's settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from selfie3d.address import UNIX, is_local, split_address
from selfie3d_jobs import ConfigError, JobsConfig, logs
from selfie3d_jobs.admission import AdmissionLimits
from selfie3d_jobs.env import check, setting
from selfie3d_service.webhooks.config import WebhookConfig

WEEK = 7 * 86400.0  # seconds; gRPC counts milliseconds in 31 bits
MONTH = 31 * 86400.0  # seconds; the longest that anything of a job is kept or waited for


@dataclass(frozen=True)
class ServiceConfig:
    """One service process."""

    jobs: JobsConfig = field(default_factory=JobsConfig)
    limits: AdmissionLimits = field(default_factory=AdmissionLimits)
    webhooks: WebhookConfig = field(default_factory=WebhookConfig)
    listen: str = setting(
        "SELFIE3D_LISTEN",
        "127.0.0.1:50051",
        "HOST:PORT of the API; unix:/path.sock works too",
        address=True,
        socket=True,
    )
    allow_insecure_bind: str = setting(
        "SELFIE3D_ALLOW_INSECURE_BIND", "", "host that may be bound without TLS although it is not loopback"
    )
    tls_certificate: Path | None = setting("SELFIE3D_TLS_CERT", None, "PEM file with the server's certificate chain")
    tls_key: Path | None = setting("SELFIE3D_TLS_KEY", None, "PEM file with its key")
    tls_client_ca: Path | None = setting("SELFIE3D_TLS_CLIENT_CA", None, "PEM file; clients must show a certificate")
    tokens: Path | None = setting("SELFIE3D_TOKENS", None, "TOML file with hashed tokens; without it all are anonymous")
    reflection: bool = setting("SELFIE3D_REFLECTION", True, "whether the server describes its API")
    scaler: bool = setting(
        "SELFIE3D_SCALER", False, "whether KEDA, or anyone, may ask without a token how many jobs want a worker"
    )
    listing: bool = setting("SELFIE3D_LIST_JOBS", True, "whether ListJobs is answered")
    mesh_urls: bool = setting(
        "SELFIE3D_MESH_URLS",
        False,
        "whether callers get presigned addresses of meshes in a bucket, for 15 minutes at most",
    )
    timeout_seconds: float = setting(
        "SELFIE3D_JOB_TIMEOUT_SECONDS", 300.0, "deadline of a job that names none, s", within=(0.1, MONTH)
    )
    max_timeout_seconds: float = setting(
        "SELFIE3D_MAX_JOB_TIMEOUT_SECONDS", 3600.0, "longest deadline accepted, s", within=(0.1, MONTH)
    )
    retention_seconds: float = setting(
        "SELFIE3D_RETENTION_SECONDS", 3600.0, "a job is kept so long after its deadline, s", within=(0.0, MONTH)
    )
    max_uploads: int = setting(
        "SELFIE3D_MAX_UPLOADS",
        16,
        "uploads at once, 20 MiB each at most, 60 MiB with several photos of one person; half of them for one caller",
        within=(1, 10_000),
    )
    max_streams: int = setting(
        "SELFIE3D_MAX_STREAMS", 2000, "open watches, downloads and reconstructions", within=(1, 1_000_000)
    )
    upload_seconds: float = setting(
        "SELFIE3D_UPLOAD_SECONDS", 30.0, "wait for the next piece of a photo, s", within=(0.01, 3600.0)
    )
    drain_seconds: float = setting(
        "SELFIE3D_DRAIN_SECONDS", 10.0, "calls may end for so long after SIGTERM, s", within=(0.0, 3600.0)
    )
    handshake_seconds: float = setting(
        "SELFIE3D_HANDSHAKE_SECONDS", 20.0, "a new connection must speak TLS and HTTP/2 by then, s", within=(0.1, 120.0)
    )
    keepalive_seconds: float = setting(
        "SELFIE3D_KEEPALIVE_SECONDS",
        30.0,
        "a silent connection is asked for a sign of life so often, s",
        within=(1.0, WEEK),
    )
    keepalive_timeout_seconds: float = setting(
        "SELFIE3D_KEEPALIVE_TIMEOUT_SECONDS", 10.0, "and ended when none comes within, s", within=(0.1, 3600.0)
    )
    max_idle_seconds: float = setting(
        "SELFIE3D_MAX_IDLE_SECONDS", 300.0, "a connection without a call ends after, s; 0: never", within=(0.0, WEEK)
    )
    max_connection_seconds: float = setting(
        "SELFIE3D_MAX_CONNECTION_SECONDS",
        0.0,
        "any connection takes no new calls after, s, so that load balancers can spread callers anew; 0: never",
        within=(0.0, WEEK),
    )
    connection_grace_seconds: float = setting(
        "SELFIE3D_CONNECTION_GRACE_SECONDS", 600.0, "and its running calls may go on for, s", within=(0.0, WEEK)
    )
    metrics_listen: str = setting(
        "SELFIE3D_METRICS_LISTEN", "", "HOST:PORT of Prometheus metrics; empty: off", address=True
    )
    otlp_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT", "", "where spans go, with the extra otel; empty: nowhere"
    )
    log_level: str = setting("SELFIE3D_LOG_LEVEL", "INFO", "the least that is logged", words=logs.LEVELS)
    log_format: str = setting("SELFIE3D_LOG_FORMAT", "json", "how a line is logged", words=logs.FORMATS)

    def __post_init__(self) -> None:
        """Refuse what could not work or would be open to the world by accident. Raises ConfigError."""
        check(self)
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError("SELFIE3D_TLS_CERT and SELFIE3D_TLS_KEY go together: set both or none.")
        if self.tls_client_ca and not self.tls_certificate:
            raise ConfigError("SELFIE3D_TLS_CLIENT_CA needs SELFIE3D_TLS_CERT and SELFIE3D_TLS_KEY.")
        if self.timeout_seconds > self.max_timeout_seconds:
            raise ConfigError(
                f"SELFIE3D_JOB_TIMEOUT_SECONDS={self.timeout_seconds:g} is more than "
                f"SELFIE3D_MAX_JOB_TIMEOUT_SECONDS={self.max_timeout_seconds:g}."
            )
        if self.tokens and self.webhooks.secret:
            raise ConfigError("SELFIE3D_WEBHOOK_SECRET is not used with SELFIE3D_TOKENS: give each token its own.")
        host = self.host
        if not (self.tls_certificate or is_local(host) or self.allow_insecure_bind == host):
            raise ConfigError(
                f"SELFIE3D_LISTEN={self.listen}: without TLS only loopback is bound. Set SELFIE3D_TLS_CERT and "
                f"SELFIE3D_TLS_KEY, or SELFIE3D_ALLOW_INSECURE_BIND={host} if something else protects the port."
            )

    @property
    def host(self) -> str:
        """The host of `listen`, without brackets."""
        return UNIX if self.listen.startswith("unix:") else split_address(self.listen)[0]
