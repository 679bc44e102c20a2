"""The connection to Redis cut half-way through what matters, by a proxy between it and service and worker."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from selfie3d import Client
from selfie3d_jobs.command import load
from tests.faults.audit import Audit
from tests.faults.farm import Farm
from tests.faults.proxy import Half, Proxy
from tests.stack import BOUND, eventually, free_port, is_serving, open_channel

PREFIX = "cut:"
MOMENTS = {
    "create": load("create").sha.encode(),
    "publish": b"LPUSH",
    "claim": load("claim").sha.encode(),
    "advance": load("advance").sha.encode(),
    "result": load("complete").sha.encode(),
}


@pytest.fixture(scope="module")
def proxy(whole_farm: Farm) -> Iterator[Proxy]:
    assert whole_farm.redis.port is not None
    with Proxy(whole_farm.redis.port) as running:
        yield running


@pytest.fixture(scope="module")
def audit() -> Audit:
    return Audit(f"127.0.0.1:{free_port()}")


@pytest.fixture(scope="module")
def client(whole_farm: Farm, proxy: Proxy, audit: Audit) -> Iterator[Client]:
    """Of a service and a worker that reach Redis through the proxy, apart from the others by their prefix."""
    env = {"SELFIE3D_REDIS_URL": f"redis://127.0.0.1:{proxy.port}/0", "SELFIE3D_REDIS_PREFIX": PREFIX}
    [address] = audit.addresses
    processes = [
        whole_farm.make_service(address, **env),
        whole_farm.make_worker("cut", **env, SELFIE3D_CONCURRENCY="1"),
    ]
    try:
        for process in processes:
            process.start()
        with open_channel(address) as channel:
            eventually(lambda: is_serving(channel), "the service behind the proxy is SERVING")
        with Client(address, timeout=BOUND) as client:
            client.reconstruct(whole_farm.new_photo())  # from here on Redis knows all scripts
            yield client
    finally:
        for process in processes:
            process.end()


@pytest.mark.parametrize("half", Half)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_cut_connection_costs_no_job(
    farm: Farm, proxy: Proxy, client: Client, audit: Audit, moment: str, half: Half, figures: dict[str, float]
) -> None:
    cut = proxy.cut(MOMENTS[moment], half)
    photo, started = farm.new_photo(), time.monotonic()
    result = client.reconstruct(photo)
    assert cut.done.is_set()
    assert result.job
    audit.photos[result.job.id] = photo
    audit.check([result.job.id], SUCCEEDED=1)
    figures[f"job with its {moment} cut at the {half}, s"] = time.monotonic() - started
