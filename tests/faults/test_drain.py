"""SIGTERM drains, and a rolling restart goes unnoticed."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
from google.rpc import error_details_pb2, status_pb2

from selfie3d import Retry
from selfie3d.types import Stage
from tests.faults.farm import Farm
from tests.stack import await_serving, eventually, open_api, open_channel, watch
from tests.tiny import expected_mesh

CALLERS = 2
WATCHERS = 20
HISTORIES = 200  # of the jobs of a rolling restart, read in full


def test_a_worker_ends_its_jobs_and_then_itself(farm: Farm) -> None:
    worker = farm.workers[0]
    with farm.client() as client:
        jobs = [farm.submit(client, hold=Stage.NETWORK) for _ in range(4)]  # one for each child
        records = [farm.await_stage(job_id, Stage.NETWORK) for job_id in jobs]
        mine = [record.id for record in records if record.worker.split(":")[1] == str(worker.pid)]
        assert len(mine) == 2
        waiting = [farm.submit(client) for _ in range(6)]
        worker.send(signal.SIGTERM)
        farm.release(*(record.settings.request_id for record in records if record.id not in mine))
        farm.await_ends(waiting, 0)  # on the other worker: this one takes nothing new
        assert worker.running
        farm.release()
        assert worker.wait() == 0
    assert farm.audit.check(jobs, SUCCEEDED=4).most_attempts == 1
    assert all(farm.record(job_id).worker.split(":")[1] != str(worker.pid) for job_id in waiting)
    farm.audit.check(waiting, SUCCEEDED=6)


def test_a_service_sends_its_watchers_to_another_and_ends(farm: Farm) -> None:
    service = farm.services[0]
    with farm.client() as client, farm.channel(0) as channel, ThreadPoolExecutor(WATCHERS) as pool:
        job_id = farm.submit(client, hold=Stage.NETWORK)
        farm.await_stage(job_id, Stage.NETWORK)
        begun = threading.Semaphore(0)

        def reason_of_the_end() -> str:
            try:
                events = watch(open_api(channel), job_id)
                next(events)
                begun.release()
                return f"the job ended: {list(events)}"
            except grpc.RpcError as error:
                return reason(error)

        answers = [pool.submit(reason_of_the_end) for _ in range(WATCHERS)]
        for _ in range(WATCHERS):
            assert begun.acquire(timeout=60)
        service.send(signal.SIGTERM)
        assert {answer.result() for answer in answers} == {"SHUTTING_DOWN"}
        assert service.wait() == 0
        farm.release()
    farm.restore()
    farm.audit.check([job_id], SUCCEEDED=1)


def reason(error: grpc.RpcError) -> str:
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(details).details:
        detail.Unpack(info)
    return f"{info.reason}" or str(error)


def test_a_rolling_restart_under_load_fails_no_call(farm: Farm, figures: dict[str, float]) -> None:
    """Every call goes through the client as it comes, with its default retries."""
    over, slowest = threading.Event(), [0.0]

    def call_again_and_again() -> int:
        calls = 0
        with farm.client(retry=Retry()) as client:
            while not over.is_set():
                photo, start = farm.new_photo(), time.monotonic()
                result = client.reconstruct(photo)
                slowest[0] = max(slowest[0], time.monotonic() - start)
                assert result.mesh.data == expected_mesh(photo)
                assert result.job
                farm.audit.photos[result.job.id] = photo
                calls += 1
        return calls

    known = set(farm.audit.photos)
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(call_again_and_again) for _ in range(CALLERS)]
        try:
            for process in [*farm.services, *farm.workers]:
                process.send(signal.SIGTERM)
                assert process.wait() == 0, process.log.read_text()[-4000:]
                process.start()
                if process in farm.services:
                    with open_channel(process.env["SELFIE3D_LISTEN"]) as channel:
                        await_serving(channel, str(process.log))
                else:
                    eventually(partial(farm.is_listening, process), f"{process.log} is ready again")
        finally:
            over.set()
        figures["calls during a rolling restart"] = sum(caller.result() for caller in callers)
        figures["slowest call during a rolling restart, s"] = slowest[0]
    jobs = [job_id for job_id in farm.audit.photos if job_id not in known]
    assert len(jobs) >= CALLERS
    seen = jobs[:: 1 + len(jobs) // HISTORIES]  # every call has checked its own result already
    farm.audit.check(seen, SUCCEEDED=len(seen))


def test_a_caller_outlasts_the_restart_of_every_service_at_once(farm: Farm) -> None:
    with farm.client(0, 1) as client:
        job_id = farm.submit(client, hold=Stage.NETWORK)
        with ThreadPoolExecutor(1) as pool:
            end = pool.submit(client.job(job_id).wait)
            farm.services[0].send(signal.SIGTERM)
            farm.services[1].send(signal.SIGTERM)
            assert [service.wait() for service in farm.services] == [0, 0]
            farm.revive()
            farm.release()
            assert end.result().state.ended
    farm.audit.check([job_id], SUCCEEDED=1)
