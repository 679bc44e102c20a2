"""Two services behind one name: the client's calls take turns, and go on when one of them goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from selfie3d import AsyncClient, Retry, Unavailable
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_service import Server, ServiceConfig
from selfie3d_web.upstream import Upstream
from tests.names import NameServer
from tests.stack import eventually_async

CALLS = 20
HOSTS = ("127.0.0.1", "127.0.0.2")


class Pair:
    """The same port at two addresses, each with a service of its own."""

    def __init__(self, config: ServiceConfig) -> None:
        self._config = config
        self._stacks = [AsyncExitStack() for _ in HOSTS]
        self.servers: list[Server] = []

    async def start(self) -> None:
        for host, stack in zip(HOSTS, self._stacks, strict=True):
            port = self.servers[0].port if self.servers else 0
            config = replace(self._config, listen=f"{host}:{port}")
            self.servers.append(await stack.enter_async_context(Server(config)))

    async def stop(self, index: int) -> None:
        await self._stacks[index].aclose()

    def calls(self) -> list[float]:
        """Calls that each has answered."""
        return [calls_of(server) for server in self.servers]


async def listed(client: AsyncClient) -> None:
    """One call, of no effect."""
    assert [job async for job in client.jobs()] == []


def calls_of(server: Server) -> float:
    families = text_string_to_metric_families(generate_latest(server.metrics.registry).decode())
    samples = (sample for family in families for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == "selfie3d_calls_total")


@pytest.fixture
async def pair(service_config: ServiceConfig) -> AsyncIterator[Pair]:
    both = Pair(service_config)
    await both.start()
    yield both
    for index in range(len(HOSTS)):
        await both.stop(index)


async def met(pair: Pair, call: Callable[[], Any]) -> None:
    """Call until both services have answered: the second connection comes a moment after the first."""

    async def look() -> bool:
        await call()
        return min(pair.calls()) > 0

    await eventually_async(look, "both have been called")


async def test_calls_take_turns_between_all_addresses_of_a_name_and_outlive_one_of_them(pair: Pair) -> None:
    with NameServer(*HOSTS) as names:
        async with AsyncClient(names.target(pair.servers[0].port), retry=Retry(attempts=20, first=0.05)) as client:
            await met(pair, lambda: listed(client))
            before = pair.calls()
            for _ in range(CALLS):
                await listed(client)
            assert [after - then for after, then in zip(pair.calls(), before, strict=True)] == [CALLS / 2] * 2
            await pair.stop(0)
            before = pair.calls()
            for _ in range(CALLS):
                await listed(client)
            assert pair.calls()[1] - before[1] == CALLS


async def test_the_page_takes_turns_as_well(pair: Pair) -> None:
    with NameServer(*HOSTS) as names:
        upstream = Upstream(names.target(pair.servers[0].port), None)
        try:
            await met(pair, lambda: upstream.api.ListJobs(pb.ListJobsRequest()))
            before = pair.calls()
            for _ in range(CALLS):
                await upstream.api.ListJobs(pb.ListJobsRequest())
            assert [after - then for after, then in zip(pair.calls(), before, strict=True)] == [CALLS / 2] * 2
        finally:
            await upstream.close()


async def test_several_addresses_that_are_given_as_such_are_one_service_and_its_stand_in(pair: Pair) -> None:
    port = pair.servers[0].port
    async with AsyncClient(f"ipv4:{','.join(f'{host}:{port}' for host in HOSTS)}") as client:
        for _ in range(CALLS):
            await listed(client)
    assert sorted(pair.calls()) == [0, CALLS]


async def test_where_no_address_answers_it_is_said_as_for_one(pair: Pair) -> None:
    port = pair.servers[0].port
    for index in range(len(HOSTS)):
        await pair.stop(index)
    with NameServer(*HOSTS) as names:
        async with AsyncClient(names.target(port), retry=Retry(attempts=1)) as client:
            with pytest.raises(Unavailable, match=r"^Nothing listens at dns:.*faces\.test"):
                await listed(client)
