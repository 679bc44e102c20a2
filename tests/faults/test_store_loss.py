"""A Redis that comes back empty: the client that still has the photo gets its mesh all the same."""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from selfie3d.types import JobState, Stage
from tests.faults.farm import Farm
from tests.stack import eventually
from tests.tiny import expected_mesh


def test_after_a_loss_of_the_store_the_client_sends_its_photo_again_once_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "selfie3d")
    with Farm(tmp_path, services=1, workers=1, SELFIE3D_CONCURRENCY="1") as farm, farm.client() as client:
        photo = farm.new_photo()
        farm.hold("mine", Stage.NETWORK)
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(client.reconstruct, photo, request_id="mine")
            first = eventually(lambda: next(client.jobs(JobState.RUNNING), None), "the job runs")
            farm.await_stage(first.id, Stage.NETWORK)
            farm.redis.kill()
            shutil.rmtree(farm.redis.append_log.folder)
            farm.redis.start()
            made = result.result(90)
        [second] = client.jobs()
        assert second.id != first.id
        assert (second.request_id, second.state) == ("mine", JobState.SUCCEEDED)
    assert made.mesh.data == expected_mesh(photo)
    said = [record.getMessage() for record in caplog.records if "once more" in record.getMessage()]
    assert said == [f"The service has lost job {first.id}; its photo is sent once more."]
