"""Real processes for tests: Redis, services and workers to start, kill, pause and restart one by one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_cli.ports import free_port as free_port
from selfie3d_cli.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[1]
BOUND = 90.0  # seconds after which a condition that has not come true is a failure, on a machine however slow
Found = TypeVar("Found")


def eventually(look: Callable[[], Found | bool | None], what: str, bound: float = BOUND) -> Found:
    """Return what `look` finds as soon as it is truthy; fail with `what` after `bound` seconds."""
    end = time.monotonic() + bound
    while time.monotonic() < end:
        found = look()
        if found:
            return found  # type: ignore[return-value]
        time.sleep(0.02)
    raise AssertionError(f"not within {bound} s: {what}")


async def eventually_async(look: Callable[[], Awaitable[Found | bool | None]], what: str) -> Found:
    """`eventually` for a `look` that is awaited."""
    end = time.monotonic() + BOUND
    while not (found := await look()):
        assert time.monotonic() < end, f"not within {BOUND} s: {what}"
        await asyncio.sleep(0.02)
    return found  # type: ignore[return-value]


class Process:
    """One `selfie3d ...` command, or another module's or program's, with its log."""

    def __init__(
        self,
        arguments: list[str],
        log: Path,
        *,
        module: str = "selfie3d_cli",
        program: Sequence[str] = (),
        **env: str,
    ) -> None:
        self.arguments, self.log, self.env = arguments, log, env
        self._program = program or (sys.executable, "-m", module)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        command = [*self._program, *self.arguments]
        path = os.pathsep.join([*filter(None, sys.path), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": path, **self.env}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, bound: float = BOUND) -> int:
        assert self._process is not None
        return self._process.wait(bound)

    def end(self) -> None:
        """SIGKILL to it and to whatever it started. Not once it has ended: its number may be another's by then."""
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
            self.wait()

    def kill(self) -> None:
        """SIGKILL to this process alone; its children see what a crash leaves them."""
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self, bound: float = BOUND) -> int:
        """SIGTERM, and the exit code; SIGKILL to the whole group when it does not end in time."""
        if self.running:
            self.send(signal.SIGTERM)
        try:
            return self.wait(bound)
        finally:
            self.end()

    def children(self) -> list[int]:
        """Process ids of the children, oldest first."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text().split()]


class Stack:
    """Redis, services and workers over one data folder.

    redis : a RedisServer, or what can be started and stopped as one and has its `url`; None: one over a socket
    worker_module : what runs as worker
    env : settings for every process (SELFIE3D_...)
    """

    def __init__(
        self,
        folder: Path,
        *,
        services: int = 1,
        workers: int = 1,
        redis: Any = None,
        worker_module: str = "selfie3d_cli",
        **env: str,
    ) -> None:
        self.folder = folder
        self.redis: Any = redis or RedisServer(folder / "redis")
        self.worker_module = worker_module
        self.env = {"SELFIE3D_REDIS_URL": self.redis.url, **env}
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(services)]
        self.services = [self.make_service(address) for address in self.addresses]
        self.workers = [self.make_worker(f"worker{i}") for i in range(workers)]

    def make_service(self, address: str, **env: str) -> Process:
        log = self.folder / f"service-{address.rpartition(':')[2]}.log"
        return Process(["serve"], log, **{**self.env, "SELFIE3D_LISTEN": address, **env})

    def make_worker(self, name: str, **env: str) -> Process:
        return Process(["worker"], self.folder / f"{name}.log", module=self.worker_module, **{**self.env, **env})

    def __enter__(self) -> Self:
        try:
            self.redis.start()
            for process in [*self.services, *self.workers]:
                process.start()
            self.await_ready(workers=bool(self.workers))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        for process in [*self.services, *self.workers]:
            process.end()
        self.redis.stop()

    def revive(self) -> None:
        """Start again what does not run."""
        self.redis.start()
        for process in [*self.services, *self.workers]:
            if not process.running:
                process.start()

    def await_ready(self, *, workers: bool = True) -> None:
        for address in self.addresses:
            with grpc.insecure_channel(address) as channel:
                if workers:
                    await_serving(channel, f"{address}; logs in {self.folder}")
                else:
                    grpc.channel_ready_future(channel).result(BOUND)

    def channel(self, service: int = 0) -> grpc.Channel:
        return open_channel(self.addresses[service])

    def logs(self) -> str:
        return "\n".join(f"== {log.name}\n{log.read_text()}" for log in sorted(self.folder.glob("*.log")))


def open_channel(address: str, *options: tuple[str, int]) -> grpc.Channel:
    sizes = [("grpc.max_receive_message_length", 32 << 20), ("grpc.max_send_message_length", 32 << 20)]
    return grpc.insecure_channel(address, options=[*sizes, ("grpc.enable_retries", 0), *options])


def open_api(channel: Any) -> rpc.ReconstructionServiceStub:
    """The API over a channel, blocking or asyncio."""
    return rpc.ReconstructionServiceStub(channel)  # type: ignore[no-untyped-call]


def is_serving(channel: grpc.Channel) -> bool:
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def await_serving(channel: grpc.Channel, what: str) -> None:
    eventually(lambda: is_serving(channel), f"{what} is SERVING")


FINAL_STATES = {
    pb.JOB_STATE_SUCCEEDED,
    pb.JOB_STATE_FAILED,
    pb.JOB_STATE_CANCELLED,
    pb.JOB_STATE_EXPIRED,
}


def await_end(api: rpc.ReconstructionServiceStub, job_id: str, bound: float = BOUND) -> pb.Job:
    """Poll until the job has ended."""

    def look() -> pb.Job | None:
        job = api.GetJob(pb.GetJobRequest(job_id=job_id), timeout=10).job
        return job if job.state in FINAL_STATES else None

    return eventually(look, f"job {job_id} has ended", bound)


def download(api: rpc.ReconstructionServiceStub, job_id: str, face: int = 0, offset: int = 0) -> bytes:
    request = pb.DownloadMeshRequest(job_id=job_id, face_index=face, offset=offset)
    return b"".join(answer.chunk.data for answer in api.DownloadMesh(request, timeout=30))


def watch(
    api: rpc.ReconstructionServiceStub, job_id: str, after: int = 0, bound: float = BOUND
) -> Iterator[pb.WatchJobResponse]:
    yield from api.WatchJob(pb.WatchJobRequest(job_id=job_id, after_event=after), timeout=bound)
