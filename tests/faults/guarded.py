"""Services behind TLS and tokens, and a Redis behind a password, each a real process with its certificates."""

from __future__ import annotations

import asyncio
import re
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import trustme
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2
from grpc_status import rpc_status

from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_cli.redis_server import find_binary
from selfie3d_service.tokens import new_token
from tests.stack import BOUND, Process, eventually, free_port


@dataclass(frozen=True)
class Authority:
    """A certificate authority and files of its certificates."""

    folder: Path
    ca: trustme.CA

    @classmethod
    def make(cls, folder: Path) -> Authority:
        folder.mkdir()
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        return cls(folder, ca)

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def issue(self, file: str, *hosts: str, name: str | None = None) -> tuple[Path, Path]:
        """(certificate, key) for hosts; `name` is the common name."""
        certificate, key = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        issued = self.ca.issue_cert(*hosts, common_name=name)
        issued.private_key_pem.write_to_path(str(key))
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return certificate, key


class Door:
    """A service process and ways to it.

    env : settings of the process
    """

    def __init__(self, folder: Path, name: str, **env: str) -> None:
        self.address = f"localhost:{free_port()}"
        self.process = Process(["serve"], folder / f"{name}.log", **env, SELFIE3D_LISTEN=self.address)

    @contextmanager
    def open(self, *trusted: grpc.ChannelCredentials) -> Iterator[Door]:
        """Start it and return when it listens, to those who may come in."""
        self.process.start()
        try:
            with self.channel(*trusted) as channel:
                grpc.channel_ready_future(channel).result(BOUND)
            yield self
        finally:
            self.process.stop()

    def channel(self, *credentials: grpc.ChannelCredentials) -> grpc.Channel:
        options = [("grpc.enable_retries", 0), ("grpc.initial_reconnect_backoff_ms", 100)]
        if credentials:
            return grpc.secure_channel(self.address, *credentials, options)
        return grpc.insecure_channel(self.address, options)


def stub(channel: grpc.Channel) -> rpc.ReconstructionServiceStub:
    return rpc.ReconstructionServiceStub(channel)  # type: ignore[no-untyped-call]


def bearer(token: str) -> dict[str, Any]:
    """For a call: wait for the connection, show the token."""
    return {"timeout": BOUND, "wait_for_ready": True, "metadata": (("authorization", f"Bearer {token}"),)}


def refusal(error: Any) -> tuple[str, str, status_pb2.Status]:
    """(code, reason, status) of a refused call."""
    status = rpc_status.from_call(error)
    assert status is not None, error
    info = details.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return error.code().name, info.reason, status


class TokenBook:
    """A file of tokens, written as an operator would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tokens: dict[str, str] = {}
        self._entries: dict[str, str] = {}

    def add(self, caller: str, *scopes: str, max_active: int | None = None) -> str:
        self.tokens[caller], self._entries[caller] = new_token(caller, scopes, max_active)
        self._write()
        return self.tokens[caller]

    def remove(self, caller: str) -> None:
        del self._entries[caller]
        self._write()

    def _write(self) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text("\n".join(self._entries.values()))
        fresh.replace(self.path)


class LockedRedis:
    """A redis-server on a loopback port that only one user, with a password and few rights, may use.

    The default user is off; the rights are those of docs/operations.md.
    """

    def __init__(self, folder: Path, password: str, rules: str) -> None:
        self.folder, self.port = folder, free_port()
        config = folder / "redis.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\nsave ''\n"
            f"user default off\nuser selfie3d on >{password} {rules}\n"
            f"user watcher on >{password} ~* allchannels +@all\n"
        )
        config.chmod(0o600)
        self._command = [str(find_binary()), str(config)]

    def __enter__(self) -> LockedRedis:
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        try:
            eventually(self._is_ready, f"Redis accepts connections; log in {self.folder}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _is_ready(self) -> bool:
        return b"Ready to accept" in (self.folder / "redis.log").read_bytes()

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(BOUND)


def command_lines() -> Iterator[str]:
    """What every user of the machine sees of every process of ours."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # ended meanwhile
            continue


def ended_with(arguments: list[str], env: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and all output of a process that should end by itself."""
    process = Process(arguments, Path(env["LOG"]), **{k: v for k, v in env.items() if k != "LOG"}).start()
    try:
        return process.wait(BOUND), process.log.read_text()
    finally:
        process.end()


def redis_rules() -> str:
    """The rights that docs/operations.md tells operators to give."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    found = re.search(r"^user selfie3d on >PASSWORD (.+)$", page, re.MULTILINE)
    assert found, "docs/operations.md shows the rules"
    return found[1]


class TlsProxy:
    """Takes TLS on a loopback port and passes what is inside to a plain one, as stunnel does before a Redis."""

    def __init__(self, target: int, certificate: tuple[Path, Path]) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> TlsProxy:
        self._thread.start()
        served = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context), self._loop
        )
        self._server = served.result(BOUND)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(BOUND)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [_pass_on(reader, inner_writer), _pass_on(inner_reader, writer)]
        await asyncio.gather(*ways)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
