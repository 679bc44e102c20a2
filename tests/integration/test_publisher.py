"""The first message of a service is as quick as any other."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import JobsConfig
from selfie3d_jobs.broker import create_app, warm_up
from selfie3d_service.metrics import Metrics
from selfie3d_service.publisher import Publisher

FIRST_MESSAGE = """
import sys, time, redis
from selfie3d_jobs import JobsConfig
from selfie3d_jobs.broker import create_app, publish, warm_up
from selfie3d_jobs.maintenance import Message

def connections():
    return db.info("stats")["total_connections_received"]

app, db = create_app(JobsConfig(redis_url=sys.argv[1])), redis.Redis.from_url(sys.argv[1])
warm_up(app)
warmed, modules, before = db.llen("selfie3d:interactive"), set(sys.modules), connections()
publish(app, Message("0" * 32, "interactive", "", time.time()))
print(warmed, db.llen("selfie3d:interactive"), connections() - before, sorted(set(sys.modules) - modules))
"""


def test_the_first_message_imports_nothing_and_opens_no_connection(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with RedisServer(tmp_path / "redis", port=0) as server:
        command = [sys.executable, "-c", FIRST_MESSAGE, server.url]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "0 1 0 []"


def test_a_redis_that_is_away_at_the_start_is_not_waited_for(unused_tcp_port: int) -> None:
    app = create_app(JobsConfig(redis_url=f"redis://127.0.0.1:{unused_tcp_port}/0"))
    with pytest.raises(OperationalError):
        warm_up(app)
    app.close()


def test_a_service_ends_although_its_publisher_never_got_ready(unused_tcp_port: int) -> None:
    async def live() -> bool:
        publisher = Publisher(JobsConfig(redis_url=f"redis://127.0.0.1:{unused_tcp_port}/0"), Metrics())
        publisher.open()
        await publisher.close()
        return publisher.works

    assert asyncio.run(live())
