"""Cancel of a running and of a queued job, with the real pipeline held before a stage so that neither can be over."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
import redis

from selfie3d.v1 import reconstruction_pb2 as pb
from tests.photos import astronaut
from tests.stack import Stack, await_end, download, eventually, open_api, watch

HOLD = "hold"


@pytest.mark.timeout(400)
def test_a_running_and_a_queued_job_are_cancelled_and_the_worker_goes_on(tmp_path: Path) -> None:
    with (
        Stack(tmp_path, worker_module="tests.held_worker", TEST_BREAKPOINT=f"network:{HOLD}") as stack,
        stack.channel() as channel,
    ):
        api, store = open_api(channel), redis.Redis.from_url(stack.redis.url)
        store.set(HOLD, "1")
        request = pb.CreateJobRequest(photo=astronaut())
        running = api.CreateJob(request, timeout=30).job.id
        eventually(
            lambda: api.GetJob(pb.GetJobRequest(job_id=running), timeout=30).job.stage == pb.STAGE_NETWORK,
            "the first job is held before the network",
        )
        queued = api.CreateJob(request, timeout=30).job.id
        assert api.GetJob(pb.GetJobRequest(job_id=queued), timeout=30).job.state == pb.JOB_STATE_QUEUED

        for job_id in (queued, running):
            answer = api.CancelJob(pb.CancelJobRequest(job_id=job_id), timeout=30).job
            assert answer.state == pb.JOB_STATE_CANCELLED
            *_, last = watch(api, job_id)
            assert last.event.state == last.job.state == pb.JOB_STATE_CANCELLED
            with pytest.raises(grpc.RpcError) as error:
                download(api, job_id)
            assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION

        store.delete(HOLD)
        after = await_end(api, api.CreateJob(request, timeout=30).job.id)
        assert after.state == pb.JOB_STATE_SUCCEEDED
        again = api.CancelJob(pb.CancelJobRequest(job_id=after.id), timeout=30).job
        assert again.state == pb.JOB_STATE_SUCCEEDED
        for job_id, attempts in ((queued, 0), (running, 1)):
            job = api.GetJob(pb.GetJobRequest(job_id=job_id), timeout=30).job
            assert (job.state, job.attempt) == (pb.JOB_STATE_CANCELLED, attempts)
