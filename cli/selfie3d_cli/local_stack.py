"""Redis, service and workers as children of this process: started, watched, started again, drained in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from selfie3d_cli.children import Child, Write, selfie3d
from selfie3d_cli.errors import StackError
from selfie3d_cli.probe import is_ready, listens, reachable
from selfie3d_cli.redis_server import RedisServer

READY_TIMEOUT = 180.0  # seconds; a first import of torch from a cold disk takes its time
SERVICE_DRAIN = 60.0  # seconds the service may take to answer what is open, its own limit included
WORKER_DRAIN = 150.0  # seconds a worker may take to finish its job; above its own time limit
SHORT_LIFE = 10.0  # seconds; a child that ends sooner counts as one that does not come up
MAX_SHORT_LIVES = 5  # in a row, after which we give up
POLL = 0.05  # seconds


@dataclass(frozen=True)
class StackConfig:
    """What to run.

    data : folder of the embedded Redis
    listen : HOST:PORT of the service
    workers : how many processes
    redis_url : another Redis to use; empty: the embedded one
    web : HOST:PORT of the page; empty: none
    tls : whether the service encrypts
    log_format : text or json, of the children
    worker_command : what a worker is started with
    worker_settings : variables that only workers get
    """

    data: Path
    listen: str
    workers: int
    redis_url: str = ""
    web: str = ""
    tls: bool = False
    log_format: str = "text"  # people read along here
    worker_command: Sequence[str] = selfie3d("worker")
    worker_settings: Mapping[str, str] = field(default_factory=dict)


class LocalStack:
    """The whole service on this machine. `with LocalStack(config, print) as stack: stack.await_ready()`.

    write : gets the lines of all children, prefixed, and what happens to them
    """

    def __init__(self, config: StackConfig, write: Write) -> None:
        self.config = config
        self._write = write
        self._redis = None if config.redis_url else RedisServer(config.data / "redis")
        url = self._redis.url if self._redis else config.redis_url
        env = {
            "SELFIE3D_REDIS_URL": url,
            "SELFIE3D_REDIS_URL_FILE": "",  # read already
            "SELFIE3D_LISTEN": config.listen,
            "SELFIE3D_LOG_FORMAT": config.log_format,
        }
        self._service = Child("service", selfie3d("serve"), env, write)
        env_web = env | {"SELFIE3D_WEB_LISTEN": config.web, "SELFIE3D_SERVER": reachable(config.listen)}
        env_web["SELFIE3D_INSECURE_TOKEN"] = "on"  # whatever the address, the service is on this machine
        self._web = [Child("web", selfie3d("web"), env_web, write)] if config.web else []
        names = [f"worker-{number + 1}" for number in range(config.workers)]
        env_worker = env | dict(config.worker_settings)
        self._workers = [Child(name, config.worker_command, env_worker, write) for name in names]
        self._short_lives: dict[str, int] = {}

    @property
    def children(self) -> list[Child]:
        """The service, the page and the workers."""
        return [self._service, *self._web, *self._workers]

    @property
    def redis_pid(self) -> int | None:
        """The embedded Redis; None when another one is used, or it does not run."""
        return self._redis.pid if self._redis else None

    def start(self) -> None:
        """Start everything; returns before it is ready. Raises RedisServerError."""
        if self._redis is not None:
            self._redis.start()
        for child in self.children:
            child.start()

    def await_ready(self, stopping: Callable[[], bool] = bool) -> bool:
        """Wait until the service says SERVING (Redis answers, a worker has verified its weights) and the page is up.

        stopping : looked at while waiting; when it is true the answer is False

        Raises StackError when a child ends before that, or READY_TIMEOUT passes; RedisSyncError.
        """
        deadline = time.monotonic() + READY_TIMEOUT
        while not self._is_ready():
            if stopping():
                return False
            if self._redis is not None:
                self._redis.check()
            for child in self.children:
                if not child.running:
                    raise StackError(f"{child.name} ended with exit code {child.exit_code}; its last lines say why.")
            if time.monotonic() > deadline:
                raise StackError(f"not ready after {READY_TIMEOUT:.0f} s; `selfie3d doctor` may say why.")
            time.sleep(POLL)
        return True

    def revive(self) -> None:
        """Start again what has died.

        Raises StackError for a child that does not come up, RedisServerError for a Redis that does not, or whose data
        does not reach the disk.
        """
        if self._redis is not None:
            self._redis.check()
            if self._redis.pid is None:
                self._write("redis | died; starting it again")
                self._redis.start()
        for child in self.children:
            if not child.running:
                self.revive_child(child)

    def stop(self) -> bool:
        """Drain: the service and the page first, so that nothing new comes in, then the workers, Redis last.

        Whether everything ended by itself, with exit code 0 and in time.
        """
        clean = self._end([*self._web, self._service], SERVICE_DRAIN)
        clean = self._end(self._workers, WORKER_DRAIN) and clean
        if self._redis is not None:
            self._redis.stop()
        return clean

    def kill(self) -> None:
        """End everything at once; accepted jobs are in Redis and go on with the next start."""
        for child in self.children:
            child.kill()
        if self._redis is not None:
            self._redis.stop(rewrite=False)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    def revive_child(self, child: Child) -> None:
        """Start a child again. Raises StackError for one that does not live."""
        lives = self._short_lives
        lives[child.name] = lives.get(child.name, 0) + 1 if time.monotonic() - child.started < SHORT_LIFE else 0
        if lives[child.name] >= MAX_SHORT_LIVES:
            raise StackError(f"{child.name} ended {MAX_SHORT_LIVES} times in a row within {SHORT_LIFE:.0f} s.")
        self._write(f"{child.name} | ended with exit code {child.exit_code}; starting it again")
        child.start()

    def _is_ready(self) -> bool:
        web = self.config.web
        return is_ready(self.config.listen, tls=self.config.tls) and (not web or listens(reachable(web)))

    def _end(self, children: list[Child], seconds: float) -> bool:
        for child in children:
            child.terminate()
        deadline = time.monotonic() + seconds
        clean = True
        for child in children:
            if not child.wait(max(0.0, deadline - time.monotonic())):
                self._write(f"{child.name} | did not end within {seconds:.0f} s; killed")
                child.kill()
            clean = child.exit_code in (0, None) and clean
        return clean
