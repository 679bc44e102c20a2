"""The page beside `selfie3d up` and after `selfie3d demo`, over real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.stack import ROOT, free_port

pytestmark = pytest.mark.timeout(600)


@contextmanager
def selfie3d(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command in a folder of its own, and where its page would be."""
    page = f"127.0.0.1:{free_port()}"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "SELFIE3D_DATA": str(folder / "data"),
        "SELFIE3D_LISTEN": f"127.0.0.1:{free_port()}",
        "SELFIE3D_WEB_LISTEN": page,
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "selfie3d_cli", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process, page
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """The lines up to the one with these words."""
    assert process.stdout is not None
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return seen
    raise AssertionError(f"no {words!r} in\n{''.join(seen)}")


def end(process: subprocess.Popen[str]) -> str:
    """Ctrl-C; what is still said. It must end well."""
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0, rest
    return rest


def test_up_prints_the_page_s_address_and_the_page_is_there(tmp_path: Path) -> None:
    with selfie3d(tmp_path, "up") as (process, page):
        *_, line = read_until(process, "the page:")
        (address,) = re.findall(r"http://localhost:\d+/", line)
        assert address.endswith(f":{page.rpartition(':')[2]}/")
        assert "Your selfie, in 3D" in httpx.get(address, timeout=20).text
        assert httpx.get(f"{address}readyz", timeout=20).json() == {"status": "ready"}
        end(process)
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)


def test_up_without_the_web_opens_no_port_for_it_and_says_nothing_of_it(tmp_path: Path) -> None:
    with selfie3d(tmp_path, "up", "--no-web") as (process, page):
        said = read_until(process, "ready at")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{page}/")
        said += end(process).splitlines()
    assert not [line for line in said if "page" in line or line.startswith("web |")]


def test_the_demo_stays_up_with_its_page_when_asked_to(tmp_path: Path) -> None:
    with selfie3d(tmp_path, "demo", "--open") as (process, _):
        said = read_until(process, "the page:")
        (address,) = re.findall(r"http://localhost:\d+/", said[-1])
        assert (tmp_path / "out" / "astronaut.ply").is_file(), "the demo's mesh comes first"
        assert httpx.get(f"{address}readyz", timeout=20).json() == {"status": "ready"}
        jobs = httpx.get(f"{address}v1/jobs", timeout=20).json()["jobs"]
        assert [job["state"] for job in jobs] == ["succeeded"]
        end(process)
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)


@pytest.mark.parametrize(("arguments", "opens"), [(["OPEN=1"], True), ([], False)])
def test_make_demo_passes_the_wish_on(arguments: list[str], opens: bool) -> None:
    command = ["make", "--dry-run", "--silent", "demo", *arguments]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in said.splitlines() if "selfie3d demo" in line]
    assert ("--open" in line.split()) == opens
