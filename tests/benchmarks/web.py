"""The page in a real browser, and 200 open event streams while jobs run: `python -m tests.benchmarks.web [FOLDER]`.

With a folder, also writes the pictures of docs/web.md there. Visits and reconstructions in this process take turns, so
that what else the machine does falls on both.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from tqdm import tqdm

from tests.integration.selfie3d_web.test_browser import page_of
from tests.photos import astronaut
from tests.stack import ROOT, Process, Stack
from vrn import Reconstructor

VISITS = 15
JOBS = 20  # at once
STREAMS = 200  # over them
BROWSER = ROOT / "tests" / "browser"
WIDTHS = {"start": 1100, "light": 1100, "dark": 1100, "phone": 420}  # px of the pictures


def page_and_streams(photo: bytes, pictures: Path | None) -> None:
    """All over one stack."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "me.jpg").write_bytes(photo)
        with Stack(folder) as stack, page_of(folder, stack.addresses[0]) as (address, process):
            if pictures:
                draw(address, folder / "me.jpg", pictures)
            in_the_browser(address, folder / "me.jpg")
            for streams in (JOBS, STREAMS):
                print(asyncio.run(Crowd(address, photo, streams).run()).row(process))


def in_the_browser(address: str, photo: Path) -> None:
    """From the file chosen to the head on the screen, beside the time in this process."""
    reconstructor = Reconstructor.open()
    visits: list[dict[str, float]] = []
    own: list[float] = []
    with visitor(address, photo) as visit:
        visit(), reconstructor.reconstruct(photo)
        for _ in tqdm(range(VISITS), "page", leave=False, disable=None):
            visits.append(visit())
            start = time.perf_counter()
            reconstructor.reconstruct(photo, format="glb")
            own.append(1e3 * (time.perf_counter() - start))
    head, mine = (statistics.median(values) for values in ([visit["head"] for visit in visits], own))
    print(f"\nThe page in Chromium with software WebGL, {VISITS} visits, load {os.getloadavg()[0]:.1f}, medians\n")
    print("| what | |\n| --- | ---: |")
    print(f"| page, over the wire | {visits[0]['bytes'] / 1e3:.0f} kB, {visits[0]['requests']:.0f} requests |")
    print(f"| time to interactive | {statistics.median(visit['interactive'] for visit in visits):.0f} ms |")
    print(f"| file chosen to head on the screen | {head:.0f} ms |")
    print(f"| in process | {mine:.0f} ms |")
    print(f"| more | {head - mine:.0f} ms, {head / mine:.1f} times |")
    print(f"\n{JOBS} jobs at once, one worker\n")
    print("| open event streams | jobs, s | last stream to hear of an end after the first, ms | web process |")
    print("| ---: | ---: | ---: | --- |")


def draw(address: str, photo: Path, folder: Path) -> None:
    """The page before and after, in light and dark and on a phone, as web-*.webp."""
    with tempfile.TemporaryDirectory() as raw:
        subprocess.run(["node", BROWSER / "pictures.mjs", address, photo, raw], check=True)
        for name, width in WIDTHS.items():
            picture = Image.open(Path(raw) / f"{name}.png").convert("RGB")
            height = round(picture.height * width / picture.width)
            picture.resize((width, height), Image.Resampling.LANCZOS).save(
                folder / f"web-{name}.webp", quality=86, method=6
            )


@contextmanager
def visitor(address: str, photo: Path) -> Iterator[Any]:
    """A browser; calling it is a visit."""
    command = ["node", str(BROWSER / "measure.mjs"), address, str(photo)]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as browser:
        assert browser.stdin
        assert browser.stdout
        source, sink = browser.stdout, browser.stdin

        def visit() -> dict[str, float]:
            sink.write("\n")
            sink.flush()
            seen: dict[str, float] = json.loads(source.readline())
            return seen

        yield visit
        sink.close()


@dataclass
class Crowd:
    """JOBS jobs with `streams` open event streams over them, the same number on each."""

    address: str
    photo: bytes
    streams: int
    seconds: float = 0.0
    ends: dict[str, list[float]] = field(default_factory=dict)

    async def run(self) -> Crowd:
        """Until each stream has told of its job's end."""
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=self.address, timeout=600, limits=limits) as client:
            start = time.perf_counter()
            answers = [await client.post("/v1/jobs", content=self.photo) for _ in range(JOBS)]
            jobs = [answer.raise_for_status().json()["id"] for answer in answers]
            await asyncio.gather(*(self._follow(client, jobs[n % JOBS]) for n in range(self.streams)))
            self.seconds = time.perf_counter() - start
        return self

    async def _follow(self, client: httpx.AsyncClient, job: str) -> None:
        async with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
            lines = [line async for line in stream.aiter_lines()]
        assert "event: end" in lines
        self.ends.setdefault(job, []).append(time.perf_counter())

    def row(self, web: Process) -> str:
        """One line of the table."""
        late = statistics.median(1e3 * (max(times) - min(times)) for times in self.ends.values())
        status = Path(f"/proc/{web.pid}/status").read_text()
        memory = next(int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmRSS"))
        return f"| {self.streams} | {self.seconds:.1f} | {late:.0f} | {memory} MiB |"


if __name__ == "__main__":
    page_and_streams(astronaut(), Path(sys.argv[1]) if len(sys.argv) > 1 else None)
