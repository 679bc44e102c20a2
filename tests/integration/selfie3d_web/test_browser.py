"""The page in a real Chromium (software WebGL) before a real stack: what people do with it, and what they see.

The scenarios are in tests/browser/scenarios.mjs. Each fails, too, when the page asks anybody but its own server for
anything, breaks its own content security policy, or throws.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from selfie3d_service.tokens import new_token
from tests import photos
from tests.faults.guarded import Authority
from tests.stack import ROOT, Process, Stack, eventually, free_port

RUNNER = ROOT / "tests" / "browser" / "run.mjs"
SCENARIO_BOUND = 170  # seconds of one scenario, on a busy machine
SCENARIOS = {
    "upload": "a photo becomes a head stage by stage, and a hand turns, zooms and resets it",
    "looks": "every look, the landmarks, the light and the photo change the picture, and only likings are stored",
    "moves": "a head that moves opens its mouth, and reset shuts it again",
    "compressed": "a head whose file is quantised or compressed looks and moves like any other",
    "choices": "choices that exclude each other cannot be made together, and what is chosen is asked for",
    "person": "several photos are asked whether they are of one person, and become one head that names each photo",
    "faces": "two faces become two heads to choose from",
    "heic": "a phone's HEIC becomes a head, and the photo slider says why it is off where the browser reads no HEIC",
    "noFace": "a photo without a face is told so with what would work, and the next one works",
    "refusals": "every photo that is none is named in words",
    "remove": "delete now removes the head from the server",
    "files": "every format can be downloaded",
    "phone": "at 320 px two fingers turn and zoom",
    "wide": "at 2560 px the head has the room",
    "keyboard": "all goes by keyboard alone",
    "accessible": "axe finds nothing, in light and in dark",
    "drop": "a photo can be dropped and pasted",
    "camera": "the camera's picture is sent and the camera is off again",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    astronaut = photos.astronaut()
    for name, content in {
        "astronaut.jpg": astronaut,
        "astronaut.heic": photos.as_heic(Image.open(BytesIO(astronaut)), tile=256),
        "astronaut.avif": photos.encode(Image.open(BytesIO(astronaut)), "AVIF"),
        "two.jpg": photos.two_faces(),
        "coffee.jpg": photos.coffee(),
        "mirrored.jpg": photos.mirrored_astronaut(),
        "empty.jpg": b"",
        "text.jpg": b"no picture " * 100,
        "broken.jpg": astronaut[: len(astronaut) // 2],
        "large.jpg": bytes(21 * 1024 * 1024),
    }.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[Stack]:
    with Stack(folder) as running:
        yield running


@contextmanager
def page_of(folder: Path, service: str, **env: str) -> Iterator[tuple[str, Process]]:
    """A web process before a service: its address, and itself."""
    listen = f"127.0.0.1:{free_port()}"
    address = f"{'https' if 'SELFIE3D_WEB_TLS_CERT' in env else 'http'}://{listen}"
    process = Process(
        ["web", "--listen", listen, "--server", service], folder / f"web-{listen[10:]}.log", **env
    ).start()
    try:
        eventually(lambda: is_ready(address), f"the page is ready; logs in {folder}")
        yield address, process
    finally:
        process.end()


def is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=5, verify=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def web(folder: Path, stack: Stack) -> Iterator[tuple[str, Process]]:
    with page_of(folder, stack.addresses[0]) as page:
        yield page


class Scenario:
    """A running scenario, which asks for something to be done in its middle, in this order."""

    def __init__(self, name: str, address: str, folder: Path) -> None:
        command = ["node", RUNNER, name, address, folder]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._process = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]

    def asks(self, line: str) -> None:
        assert self._process.stdout is not None
        said = self._process.stdout.readline().rstrip("\n")
        assert said == line, said + "\n" + self._process.communicate(timeout=SCENARIO_BOUND)[0]

    def answer(self, line: str = "done") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def ends_well(self) -> None:
        output, _ = self._process.communicate(timeout=SCENARIO_BOUND)
        assert self._process.returncode == 0, output

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def running(name: str, address: str, folder: Path) -> Iterator[Scenario]:
    scenario = Scenario(name, address, folder)
    try:
        yield scenario
    finally:
        scenario.kill()


@pytest.mark.parametrize("name", SCENARIOS, ids=lambda name: SCENARIOS[name].replace(" ", "_"))
def test_in_chromium(name: str, web: tuple[str, Process], folder: Path) -> None:
    with running(name, web[0], folder) as scenario:
        scenario.ends_well()


def test_the_button_for_the_room_is_there_where_the_device_can_show_it(
    web: tuple[str, Process], stack: Stack, folder: Path
) -> None:
    """Over HTTPS also on Android, whose viewer fetches the mesh itself."""
    certificate, key = Authority.make(folder / "ca").issue("page", "localhost")
    tls = {"SELFIE3D_WEB_TLS_CERT": str(certificate), "SELFIE3D_WEB_TLS_KEY": str(key)}
    with page_of(folder, stack.addresses[0], **tls) as (secure, _):
        for address in (web[0], secure):
            with running("ar", address, folder) as scenario:
                scenario.ends_well()


@contextmanager
def paused(worker: Process) -> Iterator[None]:
    """The worker and its children stand still."""
    os.killpg(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(worker.pid, signal.SIGCONT)


def test_waiting_survives_a_reload_and_a_cut_and_the_head_can_be_shared(
    web: tuple[str, Process], stack: Stack, folder: Path
) -> None:
    address, process = web
    with running("waiting", address, folder) as scenario:
        with paused(stack.workers[0]):
            scenario.asks("cut the way")
            process.kill()
            scenario.answer()
            scenario.asks("mend it")
            process.start()
            scenario.answer()
            scenario.asks("let the worker go on")
        scenario.answer()
        scenario.ends_well()


def test_a_waiting_photo_can_be_cancelled_and_sent_again(web: tuple[str, Process], stack: Stack, folder: Path) -> None:
    with running("cancel", web[0], folder) as scenario:
        with paused(stack.workers[0]):
            scenario.asks("cancelled")
        scenario.answer()
        scenario.ends_well()


def test_a_service_with_tokens_is_asked_through_a_dialog_and_the_token_is_kept_nowhere(
    stack: Stack, folder: Path
) -> None:
    token, entry = new_token("anna", ["submit", "read"])
    (folder / "tokens.toml").write_text(entry)
    listen = f"127.0.0.1:{free_port()}"
    service = stack.make_service(listen, SELFIE3D_TOKENS=str(folder / "tokens.toml")).start()
    try:
        with page_of(folder, listen) as (address, _), running("token", address, folder) as scenario:
            scenario.asks("which token?")
            scenario.answer(token)
            scenario.ends_well()
    finally:
        service.end()
