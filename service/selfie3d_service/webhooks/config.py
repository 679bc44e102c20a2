"""The settings of webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from selfie3d_jobs import ConfigError
from selfie3d_jobs.env import check, secret, setting
from selfie3d_service.webhook_secret import check_secret


@dataclass(frozen=True)
class WebhookConfig:
    """How a service sends webhooks."""

    secret: str = secret(
        "SELFIE3D_WEBHOOK_SECRET", "", "signs webhooks where there are no tokens: whsec_ and 24 to 64 bytes in base64"
    )
    hosts: str = setting(
        "SELFIE3D_WEBHOOK_HOSTS",
        "",
        "HOST or HOST:PORT, by commas: webhooks reach these also over http and at addresses that are not public",
    )
    authorities: Path | None = setting(
        "SELFIE3D_WEBHOOK_CA", None, "PEM file of authorities that receivers may use beside the system's"
    )
    timeout_seconds: float = setting(
        "SELFIE3D_WEBHOOK_TIMEOUT_SECONDS", 15.0, "a receiver must have answered within, s", within=(0.1, 60.0)
    )
    retry_seconds: float = setting(
        "SELFIE3D_WEBHOOK_RETRY_SECONDS", 5.0, "first pause before a webhook is sent again, s", within=(0.01, 3600.0)
    )

    def __post_init__(self) -> None:
        """Refuse what could not work. Raises ConfigError."""
        check(self)
        try:
            check_secret(self.secret)
        except ValueError as error:
            raise ConfigError(f"SELFIE3D_WEBHOOK_SECRET: {error}") from None

    @property
    def listed(self) -> frozenset[str]:
        """The hosts of the setting, lower case."""
        return frozenset(host.strip().lower() for host in self.hosts.split(",") if host.strip())
