"""Photos and results are gone after their time, and no key is left behind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import grpc
import pytest

from selfie3d import Client
from selfie3d.types import Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from tests.faults.farm import Farm
from tests.stack import Process, eventually, free_port, is_serving, open_api, open_channel

TIMEOUT, RETENTION = 6.0, 1.0  # s


@pytest.fixture(scope="module")
def forgetful(whole_farm: Farm) -> Iterator[Process]:
    """A service that keeps jobs for a second after their deadline."""
    service = whole_farm.make_service(f"127.0.0.1:{free_port()}", SELFIE3D_RETENTION_SECONDS=str(RETENTION)).start()
    try:
        with open_channel(service.env["SELFIE3D_LISTEN"]) as channel:
            eventually(lambda: is_serving(channel), "the forgetful service is SERVING")
        yield service
    finally:
        service.end()


def test_after_its_time_nothing_of_a_job_is_left_in_redis(farm: Farm, forgetful: Process) -> None:
    address, names = forgetful.env["SELFIE3D_LISTEN"], [uuid.uuid4().hex for _ in range(5)]
    with Client(address) as client, farm.client() as other:
        kept = farm.submit(other)
        jobs = [client.submit(farm.new_photo(), request_id=name, job_timeout=TIMEOUT).id for name in names[:3]]
        farm.hold(names[3], Stage.ALIGN)  # this one passes its deadline
        jobs.append(client.submit(farm.new_photo(), request_id=names[3], job_timeout=TIMEOUT).id)
        jobs.append(client.submit(farm.new_photo(), request_id=names[4], job_timeout=TIMEOUT).id)
        client.job(jobs[4]).cancel()
        assert farm.traces(*jobs, *names)
        with open_channel(address) as channel:
            api = open_api(channel)
            eventually(lambda: all(is_gone(api, job_id) for job_id in jobs), "the jobs are gone")
        farm.release()
        eventually(lambda: not farm.traces(*jobs, *names), "no key holds anything of them")
        farm.audit.check([kept], SUCCEEDED=1)
    eventually(lambda: not farm.contradictions(), "Redis holds nothing that contradicts itself")


def test_a_deleted_job_is_gone_at_once(farm: Farm) -> None:
    name = uuid.uuid4().hex
    with farm.client() as client:
        job = client.job(client.submit(farm.new_photo(), request_id=name).id)
        job.wait()
        eventually(lambda: not farm.db.hexists("selfie3d:unacked", job.id), "its message was acknowledged")
        job.delete()
    eventually(lambda: not farm.traces(job.id, name), "no key holds anything of it")


def is_gone(api: rpc.ReconstructionServiceStub, job_id: str) -> bool:
    try:
        api.GetJob(pb.GetJobRequest(job_id=job_id))
    except grpc.RpcError as error:
        return bool(error.code() is grpc.StatusCode.NOT_FOUND)
    return False
