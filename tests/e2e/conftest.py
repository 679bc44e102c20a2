"""One stack for all end-to-end tests: `selfie3d up` with two workers, spoken to through gRPC alone."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from tests.stack import Process, eventually, free_port, is_serving, open_channel


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("up")
    place = f"127.0.0.1:{free_port()}"
    command = ["up", "--data", str(folder / "data"), "--listen", place, "--workers", "2"]
    up = Process(command, folder / "up.log").start()
    try:
        with grpc.insecure_channel(place) as channel:
            eventually(lambda: is_serving(channel) or not up.running, "the stack is up")
            assert up.running, (folder / "up.log").read_text()
        yield place
        assert up.stop() == 0, (folder / "up.log").read_text()
    finally:
        up.stop()


@pytest.fixture(scope="session")
def channel(address: str) -> Iterator[grpc.Channel]:
    with open_channel(address) as opened:
        yield opened


@pytest.fixture(scope="session")
def api(channel: grpc.Channel) -> rpc.ReconstructionServiceStub:
    return rpc.ReconstructionServiceStub(channel)
