"""`selfie3d up` over real processes: Redis, the service, and a worker with a tiny reconstructor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from selfie3d import Client, Retry
from selfie3d_cli.children import Child, selfie3d
from selfie3d_cli.errors import RedisInUseError, StackError
from selfie3d_cli.local_stack import LocalStack, StackConfig
from selfie3d_cli.redis_server import RedisServer
from tests.stack import eventually, free_port
from tests.tiny import expected_mesh, make_photo

UP = """
import sys
from pathlib import Path
from selfie3d_cli.local_stack import StackConfig
from selfie3d_cli.up import keep_running
data, listen, *worker = sys.argv[1:]
sys.exit(keep_running(StackConfig(Path(data), listen, workers=1, worker_command=worker)))
"""
TINY = (sys.executable, "-m", "tests.tiny")
IDLE = """
import signal
from selfie3d_cli.children import end_with_parent
end_with_parent()
{}
print("idle", flush=True)
signal.pause()
"""
OBEDIENT = (sys.executable, "-c", IDLE.format(""))
STUBBORN = (sys.executable, "-c", IDLE.format("signal.signal(signal.SIGTERM, signal.SIG_IGN)"))
BROKEN = (sys.executable, "-c", "import sys; sys.exit('no weights here')")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackConfig:
    root = str(Path(__file__).parents[3])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, *filter(None, sys.path)]))
    return StackConfig(tmp_path / "data", f"127.0.0.1:{free_port()}", workers=1)


@pytest.fixture
def lines() -> list[str]:
    return []


@contextmanager
def up(config: StackConfig, *worker: str) -> Iterator[subprocess.Popen[str]]:
    """`selfie3d up` as a process of its own, with another worker."""
    command = [sys.executable, "-c", UP, str(config.data), config.listen, *worker]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read up to the line with these words."""
    assert process.stdout is not None
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return
    raise AssertionError(f"no {words!r} in\n{''.join(seen)}")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> dict[str, int]:
    """The process ids of an up's children: redis, service and worker."""
    found: dict[str, int] = {}
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        command = Path(f"/proc/{child}/cmdline").read_text()
        name = "redis" if "valkey-server" in command else "service" if "serve" in command.split("\0") else "worker"
        found[name] = child
    return found


def test_up_works_revives_what_dies_and_drains_on_ctrl_c(config: StackConfig) -> None:
    patient = Retry(attempts=600, largest=0.2)
    with up(config, *TINY) as process, Client(config.listen, retry=patient, timeout=150) as client:
        read_until(process, f"ready at {config.listen} with 1 worker")
        for seed, victim in enumerate(("redis", "service", "worker")):
            os.kill(children(process.pid)[victim], signal.SIGKILL)
            read_until(process, "starting it again")
            photo = make_photo(seed)
            assert client.reconstruct(photo).mesh.data == expected_mesh(photo)
        below = children(process.pid)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=150)
    assert process.returncode == 0, output
    assert output.rstrip().endswith("selfie3d | ended")
    assert not any(is_alive(pid) for pid in below.values())
    assert "Valkey is now ready to exit" in (config.data / "redis" / "redis.log").read_text()


def test_nothing_outlives_an_up_that_was_killed(config: StackConfig) -> None:
    with up(config, *OBEDIENT) as process:
        read_until(process, "idle")
        below = children(process.pid)
        process.kill()
        eventually(lambda: not is_alive(below["worker"]), "the worker has ended")
        eventually(lambda: not is_alive(below["service"]), "the service has ended")
    with RedisServer(config.data / "redis"):  # takes over the one that was left behind
        assert not is_alive(below["redis"])


def test_up_ends_when_its_data_does_not_reach_the_disk(config: StackConfig) -> None:
    with up(config, *OBEDIENT) as process:
        read_until(process, "idle")
        below = children(process.pid)
        log = config.data / "redis" / "appendonlydir"
        log.rename(log.with_name("elsewhere"))
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert f"{log} cannot be synced to the disk" in output
    assert not any(is_alive(pid) for pid in below.values())


def test_a_second_ctrl_c_does_not_wait_for_a_worker(config: StackConfig) -> None:
    with up(config, *STUBBORN) as process:
        read_until(process, "idle")
        below = children(process.pid)
        process.send_signal(signal.SIGINT)
        read_until(process, "draining")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
        assert not any(is_alive(pid) for pid in below.values())


def test_a_worker_that_cannot_start_is_an_error_with_its_words(config: StackConfig, lines: list[str]) -> None:
    broken = StackConfig(config.data, config.listen, 2, worker_command=BROKEN)
    with (
        pytest.raises(StackError, match=r"worker-[12] ended with exit code 1"),
        LocalStack(broken, lines.append) as stack,
    ):
        stack.await_ready()
    eventually(lambda: "worker-1 | no weights here" in lines, "its words arrive")
    assert not any(child.running for child in stack.children)
    assert stack.redis_pid is None


def test_a_child_that_never_lives_is_given_up(config: StackConfig, lines: list[str]) -> None:
    stack = LocalStack(config, lines.append)
    child = Child("short", selfie3d("version"), {}, lines.append)
    child.start()
    for _ in range(4):
        assert child.wait(60)
        stack.revive_child(child)
    assert child.wait(60)
    with pytest.raises(StackError, match="short ended 5 times in a row"):
        stack.revive_child(child)
    assert sum("starting it again" in line for line in lines) == 4
    assert sum(line.startswith("short | selfie3d") for line in lines) == 5


def test_one_data_folder_has_one_stack(config: StackConfig, lines: list[str]) -> None:
    idle = StackConfig(config.data, config.listen, 1, worker_command=OBEDIENT)
    with LocalStack(idle, lines.append) as stack:
        with pytest.raises(RedisInUseError):
            LocalStack(idle, lines.append).start()
        assert stack.redis_pid is not None
