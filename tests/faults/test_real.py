"""The real pipeline under a kill: the network, its weights and a real photo."""

from __future__ import annotations

import os
import signal
import time
import uuid
from pathlib import Path
from typing import Any

from selfie3d import Client
from selfie3d.types import JobState, Stage
from selfie3d_jobs import JobsConfig, Record, Store
from selfie3d_jobs.queries import ANYONE, get
from tests.photos import astronaut
from tests.stack import Stack, eventually


def test_a_real_job_killed_in_the_network_gives_the_same_mesh(tmp_path: Path, figures: dict[str, float]) -> None:
    hold: dict[str, Any] = {"TEST_BREAKPOINT": "*:hold", "SELFIE3D_THREADS": "1"}
    with (
        Stack(tmp_path, services=1, workers=2, worker_module="tests.held_worker", **hold) as stack,
        Client(stack.addresses[0]) as client,
    ):
        undisturbed = client.reconstruct(astronaut())
        store, name = Store(JobsConfig(redis_url=stack.redis.url)), uuid.uuid4().hex
        store._client.set(f"hold:{name}", Stage.NETWORK.value)
        job = client.submit(astronaut(), request_id=name)

        def at_the_network() -> Record | None:
            record = store.run(get(job.id, ANYONE))
            return record if (record.state, record.stage) == (JobState.RUNNING, Stage.NETWORK) else None

        record = eventually(at_the_network, "the job is at the network")
        os.kill(int(record.worker.split(":")[2]), signal.SIGKILL)
        store._client.delete(f"hold:{name}")
        killed = time.monotonic()
        result = job.result()
        figures["real job killed in the network, s from the kill to its mesh"] = time.monotonic() - killed
        store.close()
    assert result.job
    assert result.job.attempt == 2
    assert result.mesh.data == undisturbed.mesh.data
