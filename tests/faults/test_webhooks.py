"""Each job's webhook arrives, signed, at least once, whatever is killed meanwhile."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from selfie3d_jobs.maintenance import snapshot
from tests.faults.farm import Farm
from tests.receiver import SECRET, Receiver
from tests.stack import eventually
from tests.tiny import Command

KILLS = 16
HOOKED = {
    "SELFIE3D_WEBHOOK_SECRET": SECRET,
    "SELFIE3D_WEBHOOK_HOSTS": "localhost",
    "SELFIE3D_WEBHOOK_RETRY_SECONDS": "0.1",
    "SELFIE3D_WEBHOOK_TIMEOUT_SECONDS": "1",
}

PATIENT = HOOKED | {"SELFIE3D_WEBHOOK_TIMEOUT_SECONDS": "4"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_every_webhook_arrives_although_everything_is_killed(
    tmp_path: Path, receiver: Receiver, figures: dict[str, float]
) -> None:
    receiver.answers["/hook"] = [500, 429, 302] * 4
    draw = random.Random(5)
    with Farm(tmp_path, services=2, workers=2, **HOOKED) as farm, farm.client() as client:
        victims = ["service", "worker", "child", "redis"] * (KILLS // 4)
        draw.shuffle(victims)
        for victim in victims:
            for command in (None, None, Command.NO_FACE):
                farm.submit(client, farm.new_photo(command=command), webhook_url=f"{receiver.url}/hook")
            farm.submit(client, webhook_url=f"{receiver.url}/hook", job_timeout=0.1)
            kill(farm, victim, draw)
        farm.restore()
        jobs = list(farm.audit.photos)
        tally = farm.audit.check(jobs)
        eventually(lambda: all(map(receiver.of, jobs)), "every job's webhook has arrived")
        eventually(lambda: farm.store.run(snapshot()).sizes["webhooks"] == 0, "the outbox is empty")
        ends = {job_id: farm.record(job_id) for job_id in jobs}
        assert not [key for key in farm.contents() if key.startswith("selfie3d:webhook")]
    assert all(delivery.message for delivery in receiver.deliveries), "every signature is good"
    for job_id, record in ends.items():
        bodies = {delivery.body for delivery in receiver.of(job_id)}
        assert len(bodies) == 1, "all tries say the same"
        message = receiver.of(job_id)[0].message
        assert message is not None
        assert message["type"] == f"job.{record.state}"
        assert (message["data"]["state"], message["data"]["last_event"]) == (record.state, record.last_event)
    figures["jobs with webhooks"] = len(jobs)
    figures["jobs of these that did not succeed"] = len(jobs) - tally.states["SUCCEEDED"]
    figures["requests to their receiver"] = len(receiver.deliveries)


def kill(farm: Farm, victim: str, draw: random.Random) -> None:
    """SIGKILL, and a new start."""
    if victim == "redis":
        farm.redis.kill()
    elif victim == "child":
        with suppress(OSError, IndexError):  # it has just ended, or its worker just starts
            os.kill(draw.choice(draw.choice(farm.workers).children()), signal.SIGKILL)
    else:
        draw.choice(farm.services if victim == "service" else farm.workers).kill()
    farm.revive()


def test_what_a_killed_service_was_sending_is_sent_by_another(tmp_path: Path, receiver: Receiver) -> None:
    with Farm(tmp_path, services=1, workers=1, **PATIENT) as farm:
        with farm.client() as client:
            job_id = farm.submit(client, webhook_url=f"{receiver.url}/slow")
        eventually(lambda: receiver.of(job_id), "the service is sending")
        farm.services[0].kill()
        receiver.hold.set()
        assert farm.store.run(snapshot()).sizes["webhooks"] == 1
        farm.services[0].start()
        eventually(lambda: farm.store.run(snapshot()).sizes["webhooks"] == 0, "the outbox is empty")
    first, *others = receiver.of(job_id)
    assert others
    assert {delivery.body for delivery in others} == {first.body}
