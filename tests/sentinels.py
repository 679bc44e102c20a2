"""A primary, its replicas and three sentinels as real processes, to kill, stop and start one by one."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import redis

from selfie3d_cli.redis_server import find_binary
from tests.stack import BOUND, eventually, free_port

MASTER = "faces"
DOWN_MILLISECONDS = 1000  # without an answer a server counts as gone; Redis's default is 30 s
TRIES = 4  # of a planned failover, which a sentinel gives up when a server is slow


class Node:
    """One server or sentinel on a port of its own."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.folder, self.port, self.options = folder, port, options
        self.db = redis.Redis(port=port, socket_timeout=5.0, decode_responses=True)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        if self._process is None or self._process.poll() is not None:
            self.folder.mkdir(exist_ok=True)
            address = ["--port", str(self.port), "--bind", "127.0.0.1", "--logfile", "node.log"]
            command = [str(find_binary()), *self.options, *address, "--dir", str(self.folder)]
            self._process = subprocess.Popen(command, cwd=self.folder, start_new_session=True)
            eventually(self.answers, f"{self.folder} answers")
        return self

    def answers(self) -> bool:
        try:
            return bool(self.db.ping())
        except redis.RedisError:
            return False

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def known_by(sentinel: Node) -> dict[str, Any]:
    """What a sentinel knows of the primary."""
    states: Any = sentinel.db.sentinel_masters()
    return dict(states[MASTER])


class Sentinels:
    """`url` leads to whichever server is the primary now.

    replicas : how many
    options : of every server
    """

    def __init__(self, folder: Path, *options: str, replicas: int = 1) -> None:
        ports = [free_port() for _ in range(replicas + 4)]
        keeping = ("--appendonly", "yes", "--appendfsync", "no", "--save", "", "--repl-diskless-sync-delay", "0")
        of_replica = ("--replicaof", "127.0.0.1", str(ports[0]))
        self.servers = [
            Node(folder / f"server{n}", port, *keeping, *options, *(of_replica if n else ()))
            for n, port in enumerate(ports[:-3])
        ]
        self.sentinels = [self._sentinel(folder / f"sentinel{n}", port) for n, port in enumerate(ports[-3:])]

    def _sentinel(self, folder: Path, port: int) -> Node:
        folder.mkdir(parents=True)
        config = folder / "sentinel.conf"
        config.write_text(
            f"sentinel monitor {MASTER} 127.0.0.1 {self.servers[0].port} 2\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_MILLISECONDS}\n"
            f"sentinel failover-timeout {MASTER} 5000\n"
        )
        return Node(folder, port, str(config), "--sentinel")

    @property
    def url(self) -> str:
        """For SELFIE3D_REDIS_URL."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{node.port}' for node in self.sentinels)}/{MASTER}"

    @property
    def primary(self) -> Node:
        """As the first sentinel knows it."""
        return self._by_port(int(self.state["port"]))

    @property
    def state(self) -> dict[str, Any]:
        """What the first sentinel knows."""
        return known_by(self.sentinels[0])

    def await_failover(self, old: Node, bound: float = BOUND) -> None:
        """Until a sentinel names another primary."""

        def look() -> bool:
            return any(int(known_by(node)["port"]) != old.port for node in self.sentinels)

        eventually(look, "the sentinels name another primary", bound)

    def hand_over(self, old: Node) -> None:
        """A planned failover; asked for again, as an operator does, when the sentinel gave it up."""
        for _ in range(TRIES):
            with suppress(redis.ResponseError):  # it is still at it
                self.sentinels[0].db.sentinel_failover(MASTER)
            with suppress(AssertionError):
                return self.await_failover(old, BOUND / TRIES)
        raise AssertionError("the sentinels hand nothing over")

    def _by_port(self, port: int) -> Node:
        return next(node for node in self.servers if node.port == port)

    def start(self) -> Self:
        """Start what does not run; returns when all know each other, and every replica has all data."""
        for node in [*self.servers, *self.sentinels]:
            node.start()
        eventually(self._is_whole, "sentinels and replicas know each other")
        return self

    def _is_whole(self) -> bool:
        for node in self.sentinels:
            state = known_by(node)
            known = state["num-other-sentinels"] == 2 and state["num-slaves"] >= len(self.servers) - 1
            if not known or state["is_sdown"]:
                return False
        info = self.primary.db.info("replication")
        replicas = [info[f"slave{n}"] for n in range(info.get("connected_slaves", 0))]
        loaded = [replica["state"] == "online" and replica["offset"] > 0 for replica in replicas]  # else it still loads
        return info["role"] == "master" and loaded == [True] * (len(self.servers) - 1)

    def stop(self) -> None:
        """End everything."""
        for node in [*self.sentinels, *self.servers]:
            node.kill()
            node.db.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
