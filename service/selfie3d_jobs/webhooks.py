"""The outbox of webhooks: written by the script that ends a job, emptied by whoever sends.

A message is the job as it ended. It stays until it was delivered or given up, or its job was deleted. It does not go
when the job's time is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from selfie3d_jobs.command import Command, milliseconds, script
from selfie3d_jobs.record import Record, pairs


class Settled(StrEnum):
    """What became of a webhook after a try. GONE: it was delivered by another try, or its job was deleted."""

    DELIVERED = "DELIVERED"
    LATER = "LATER"
    GIVEN_UP = "GIVEN_UP"
    GONE = "GONE"


@dataclass(frozen=True)
class Webhook:
    """One message that is being sent.

    Attributes
    ----------
    job : as it ended; the store may not have it any more
    attempt : how many tries there were, with this one
    lane : of `lane_of`
    """

    job: Record
    attempt: int
    lane: str

    @classmethod
    def of(cls, reply: list[bytes]) -> Webhook:
        """Read one of the script's records."""
        fields = pairs(reply)
        return cls(Record.of(reply), int(fields["webhook_attempt"]), fields["webhook_lane"].decode())


def lane_of(origin: str, owner: str) -> str:
    """The line in which the webhooks of an owner for one receiver wait. origin : scheme://host:port."""
    return f"{origin} {owner}"


def take(
    room: int, lane_room: int, lease_seconds: float, lanes: Mapping[str, int], owners: Mapping[str, int]
) -> Command[list[Webhook]]:
    """Webhooks to send now; those that are not settled within the lease are due again.

    room, lane_room : how many at most, in all and in one lane
    lanes, owners : how many the caller is sending already, by lane and by owner
    """

    def parse(reply: list[Any]) -> list[Webhook]:
        return [Webhook.of(record) for record in reply]

    lease = milliseconds(lease_seconds)
    return script(
        "take_webhooks",
        parse,
        bulky=True,
        room=room,
        lane_room=lane_room,
        lease=lease,
        lanes=dict(lanes),
        owners=dict(owners),
    )


def settle(
    webhook: Webhook, *, delivered: bool, hopeless: bool = False, pause_seconds: float = 0.0
) -> Command[Settled]:
    """Say how a try went. A webhook not delivered is due again after the pause, until 24 h after the job's end."""
    return script(
        "settle_webhook",
        lambda reply: Settled(reply.decode()),
        id=webhook.job.id,
        attempt=webhook.attempt,
        delivered=delivered,
        hopeless=hopeless,
        pause=milliseconds(pause_seconds),
    )
