"""Figures for docs/performance.md: python -m tests.benchmarks.speed [--against CHECKOUT]

Everything is measured in turns, round by round, in processes of one thread each, as CPU time: a machine that is busy
with other work slows all of them alike. CHECKOUT is another version of the tree, e.g. of `git worktree add`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data as pictures
from tqdm import tqdm

from tests.photos import astronaut

ROOT = Path(__file__).parents[2]
ROUNDS, RUNS, ORIGINAL_RUNS = 3, 9, 2
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
ORIGINAL = "the original's parts"
FACE = "astronaut, the face"  # what the original makes
SIZES = {"1 MP": (864, 1152), "12 MP": (3000, 4000)}  # px, width and height of a phone's portrait

Figures = dict[str, Any]


def selfie(width: int, height: int) -> bytes:
    """JPEG of the astronaut's head and shoulders with the noise of a camera."""
    part = Image.fromarray(pictures.astronaut()[:427, 60:380])
    sharp = np.asarray(part.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(0).normal(0, 4, sharp.shape)
    out = io.BytesIO()
    Image.fromarray((sharp + noise).clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=92)
    return out.getvalue()


def measure(checkouts: dict[str, Path], folder: Path) -> dict[tuple[str, str], list[Figures]]:
    """Figures of every round by checkout and photo, and those of the original."""
    photos = {"astronaut": astronaut(), FACE: astronaut(), **{name: selfie(*size) for name, size in SIZES.items()}}
    for name, data in photos.items():
        (folder / f"{name}.jpg").write_bytes(data)
    found: dict[tuple[str, str], list[Figures]] = {}
    with tqdm(desc="measuring", total=ROUNDS * (len(checkouts) * len(photos) + 1), leave=False, disable=None) as bar:
        for _ in range(ROUNDS):
            for photo in photos:
                for name, checkout in checkouts.items():
                    script, extent = ROOT / "tests" / "benchmarks" / "one.py", "face" if photo == FACE else "head"
                    command = [str(script), str(folder / f"{photo}.jpg"), str(RUNS), extent]
                    found.setdefault((name, photo), []).append(_run(command, checkout))
                    bar.update()
            command = ["-m", "tests.benchmarks.original_parts", str(ORIGINAL_RUNS)]
            found.setdefault((ORIGINAL, "astronaut"), []).append(_run(command, ROOT))
            bar.update()
    return found


def report(found: dict[tuple[str, str], list[Figures]], names: list[str]) -> None:
    """Tables in Markdown."""
    print(f"ms of CPU time, one thread, medians of {ROUNDS} processes of {RUNS} runs each\n")
    stages = list(found[names[0], "astronaut"][0]["stages"])
    print("| photo | version | " + " | ".join(stages) + " |\n| --- | --- |" + " ---: |" * len(stages))
    for photo in ("astronaut", FACE, *SIZES):
        for name in names:
            row = [1e3 * _median(found[name, photo], "stages", stage) for stage in stages]
            print(f"| {photo} | {name} | " + " | ".join(f"{value:.0f}" for value in row) + " |")
    parts = {part: _median(found[ORIGINAL, "astronaut"], part) for part in found[ORIGINAL, "astronaut"][0]}
    print(f"\n{ORIGINAL}: " + ", ".join(f"{part} {1e3 * taken:.0f}" for part, taken in parts.items()))
    print("\n| what | " + " | ".join(names) + " |\n| --- |" + " ---: |" * len(names))
    total = sum(parts.values())
    whole = {key: _median(figures, "stages", "all") for key, figures in found.items() if key[0] in names}
    rows = {
        "times as fast as the original's parts, the face": [f"{total / whole[name, FACE]:.1f}" for name in names],
        "the same with the whole head": [f"{total / whole[name, 'astronaut']:.1f}" for name in names],
        "12 MP over 1 MP": [f"{whole[name, '12 MP'] / whole[name, '1 MP']:.2f}" for name in names],
        "first result after a cold start, s of CPU time": [
            f"{_median(found[name, 'astronaut'], 'first_cpu'):.1f}" for name in names
        ],
        "the same by the clock, s": [f"{_median(found[name, 'astronaut'], 'first'):.1f}" for name in names],
        "memory of the process (PSS), MB": [f"{_median(found[name, 'astronaut'], 'pss') / 1e6:.0f}" for name in names],
        "the same after 12 MP, MB": [f"{_median(found[name, '12 MP'], 'pss') / 1e6:.0f}" for name in names],
    }
    for what, values in rows.items():
        print(f"| {what} | " + " | ".join(values) + " |")


def _median(rounds: list[Figures], *path: str) -> float:
    values = []
    for figures in rounds:
        for key in path:
            figures = figures[key]
        values.append(float(figures))  # type: ignore[arg-type]
    return statistics.median(values)


def _run(arguments: list[str], checkout: Path) -> Figures:
    path = os.pathsep.join(str(checkout / home) for home in ("client", "service", "worker", "cli", "."))
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--against", type=Path, help="another checkout to compare with")
    against = parser.parse_args().against
    checkouts = ({"before": against.resolve()} if against else {}) | {"now": ROOT}
    with tempfile.TemporaryDirectory() as folder:
        report(measure(checkouts, Path(folder)), list(checkouts))


if __name__ == "__main__":
    main()
