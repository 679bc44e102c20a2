"""The settings of the web process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from selfie3d.address import hosts_of, is_local, split_address
from selfie3d_jobs import ConfigError, logs
from selfie3d_jobs.env import check, setting


@dataclass(frozen=True)
class WebConfig:
    """One web process."""

    listen: str = setting("SELFIE3D_WEB_LISTEN", "127.0.0.1:8080", "HOST:PORT of the page and of HTTP", address=True)
    allow_insecure_bind: str = setting(
        "SELFIE3D_WEB_ALLOW_INSECURE_BIND", "", "host that may be bound without TLS although it is not loopback"
    )
    tls_certificate: Path | None = setting("SELFIE3D_WEB_TLS_CERT", None, "PEM file with the page's certificate chain")
    tls_key: Path | None = setting("SELFIE3D_WEB_TLS_KEY", None, "PEM file with its key")
    hosts: str = setting(
        "SELFIE3D_WEB_HOSTS", "", "host names that requests may name, by commas; empty: any, on loopback only its own"
    )
    server: str = setting("SELFIE3D_SERVER", "localhost:50051", "address of the service", target=True)
    insecure_token: bool = setting(
        "SELFIE3D_INSECURE_TOKEN", False, "whether tokens may travel to another machine without TLS"
    )
    server_ca: Path | None = setting("SELFIE3D_WEB_SERVER_CA", None, "PEM file; set: the service is reached over TLS")
    server_certificate: Path | None = setting("SELFIE3D_WEB_SERVER_CERT", None, "PEM file shown to a service with mTLS")
    server_key: Path | None = setting("SELFIE3D_WEB_SERVER_KEY", None, "PEM file with its key")
    max_connections: int = setting(
        "SELFIE3D_WEB_MAX_CONNECTIONS", 2000, "open connections; more are answered with 503", within=(1, 1_000_000)
    )
    header_seconds: float = setting(
        "SELFIE3D_WEB_HEADER_SECONDS", 10.0, "wait for a request's headers, s", within=(0.01, 3600.0)
    )
    upload_seconds: float = setting(
        "SELFIE3D_WEB_UPLOAD_SECONDS", 30.0, "wait for the next piece of a photo, s", within=(0.01, 3600.0)
    )
    heartbeat_seconds: float = setting(
        "SELFIE3D_WEB_HEARTBEAT_SECONDS", 15.0, "between signs of life of a stream, s", within=(0.01, 3600.0)
    )
    drain_seconds: float = setting(
        "SELFIE3D_WEB_DRAIN_SECONDS", 10.0, "requests may end for so long after SIGTERM, s", within=(0.0, 3600.0)
    )
    log_level: str = setting("SELFIE3D_LOG_LEVEL", "INFO", "the least that is logged", words=logs.LEVELS)
    log_format: str = setting("SELFIE3D_LOG_FORMAT", "json", "how a line is logged", words=logs.FORMATS)

    def __post_init__(self) -> None:
        """Refuse what could not work or would be open to the world by accident. Raises ConfigError."""
        check(self)
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError("SELFIE3D_WEB_TLS_CERT and SELFIE3D_WEB_TLS_KEY go together: set both or none.")
        if (self.server_certificate is None) != (self.server_key is None):
            raise ConfigError("SELFIE3D_WEB_SERVER_CERT and SELFIE3D_WEB_SERVER_KEY go together: set both or none.")
        if self.server_certificate and not self.server_ca:
            raise ConfigError("SELFIE3D_WEB_SERVER_CERT needs SELFIE3D_WEB_SERVER_CA.")
        host = self.host
        if not (self.tls_certificate or self.is_local or self.allow_insecure_bind == host):
            raise ConfigError(
                f"SELFIE3D_WEB_LISTEN={self.listen}: without TLS only loopback is bound. Set SELFIE3D_WEB_TLS_CERT and "
                f"SELFIE3D_WEB_TLS_KEY, or SELFIE3D_WEB_ALLOW_INSECURE_BIND={host} if something else protects the port."
            )

    @property
    def host(self) -> str:
        """The host of `listen`, without brackets."""
        return self._address[0]

    @property
    def port(self) -> int:
        """The port of `listen`; 0: any free one."""
        return self._address[1]

    @property
    def is_local(self) -> bool:
        """Whether only processes of this machine reach the page."""
        return is_local(self.host)

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Names that a request may be addressed to, lower case; empty: any.

        A page of another site can have its own name resolve to our loopback address; its name gives it away.
        """
        named = frozenset(name.strip().lower() for name in self.hosts.split(",") if name.strip())
        return named | LOOPBACK_NAMES | {self.host} if self.is_local else named

    @property
    def keeps_tokens(self) -> bool:
        """Whether a token would be readable on its way to the service, so that none may be passed on."""
        return not (self.server_ca or self.insecure_token or all(map(is_local, hosts_of(self.server))))

    @property
    def scheme(self) -> str:
        """Of the page's address."""
        return "https" if self.tls_certificate else "http"

    @property
    def _address(self) -> tuple[str, int]:
        return split_address(self.listen)


LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
