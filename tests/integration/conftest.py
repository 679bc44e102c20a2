"""One real Redis for the session; every test has keys of its own."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis

from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import JobsConfig, Store
from selfie3d_service import Server, ServiceConfig
from tests.integration.road import Keys

OTHER_REDIS = "SELFIE3D_TESTS_REDIS_URL"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded Redis, or the one that test_redis_versions.py runs these tests over."""
    if OTHER_REDIS in os.environ:
        yield os.environ[OTHER_REDIS]
        return
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def jobs_config(redis_url: str) -> JobsConfig:
    return JobsConfig(redis_url=redis_url, prefix=f"test-{secrets.token_hex(4)}:")


@pytest.fixture
def store(jobs_config: JobsConfig) -> Iterator[Store]:
    opened = Store(jobs_config, tries=1)
    yield opened
    opened.close()


@pytest.fixture
def keys(jobs_config: JobsConfig) -> Iterator[Keys]:
    client = redis.Redis.from_url(jobs_config.redis_url)
    yield Keys(client, jobs_config.prefix)
    client.close()


@pytest.fixture
def service_config(jobs_config: JobsConfig) -> ServiceConfig:
    return ServiceConfig(jobs=jobs_config, listen="127.0.0.1:0", drain_seconds=2.0, max_uploads=64)


@asynccontextmanager
async def served(config: ServiceConfig, *options: tuple[str, Any]) -> AsyncIterator[Any]:
    """A service in this process and a stub of it, with its `channel`."""
    async with (
        Server(config) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel,
    ):
        stub: Any = rpc.ReconstructionServiceStub(channel)  # type: ignore[no-untyped-call]
        stub.channel = channel
        yield stub


@pytest.fixture
async def api(service_config: ServiceConfig) -> AsyncIterator[Any]:
    async with served(service_config) as stub:
        yield stub


@pytest.fixture
def worker_environment(jobs_config: JobsConfig) -> dict[str, str]:
    folders = [REPOSITORY, *(REPOSITORY / name for name in ("client", "service", "worker", "cli"))]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([*map(str, folders), *filter(None, sys.path)]),
        "SELFIE3D_REDIS_URL": jobs_config.redis_url,
        "SELFIE3D_REDIS_PREFIX": jobs_config.prefix,
    }
