"""Who signs what: a message of a job's end with the secrets of the caller that made it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook as StandardWebhook

from selfie3d_jobs import Record
from selfie3d_jobs.payload import to_json
from selfie3d_service import wire
from selfie3d_service.tokens import TokenFile
from selfie3d_service.webhooks.config import WebhookConfig


class Signer:
    """Knows the secrets. They are read when something is signed and stand in no job and no message."""

    def __init__(self, config: WebhookConfig, tokens: TokenFile | None) -> None:
        self._secret = config.secret
        self._tokens = tokens

    def secrets_of(self, owner: str) -> tuple[str, ...]:
        """The caller's secrets: one for each of its tokens that has one; without tokens the service's."""
        if self._tokens:
            return self._tokens.webhook_secrets(owner)
        return (self._secret,) if self._secret else ()

    def headers(self, job: Record, body: bytes, now: datetime) -> dict[str, str] | None:
        """What goes with the body; several signatures while secrets are being replaced. None: nobody can sign."""
        name = message_id(job)
        signatures = [StandardWebhook(s).sign(name, now, body.decode()) for s in self.secrets_of(job.owner)]
        if not signatures:
            return None
        return {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


def message_id(job: Record) -> str:
    """The same for every try: a job ends once."""
    return f"evt_{job.id}"


def body_of(job: Record) -> bytes:
    """The message, as JSON. `data` is what GET /v1/jobs/ID answered."""
    ended = datetime.fromtimestamp(job.end_time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = {"type": f"job.{job.state}", "timestamp": ended, "data": to_json(wire.job(job))}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
