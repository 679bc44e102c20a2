"""Figures for docs/official.md: importing a file of the released size, and one picture through its network.

    python -m tests.benchmarks.official [--folder FOLDER]

The file is made first: the released nesting and widths with random weights, and outputs in every module until it has
1.6 GB (as a hole, so that it takes 100 MB of disk). The import runs in a process of its own, as the command runs it.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import torch7_writer as t7
from tests.official_net import Maker, Sizes

RELEASED = Sizes(stem=64, middle=128, width=256, blocks=(6, 6, 6, 9), outputs=200)
FILE_SIZE = 1_600_000_000  # bytes
WEIGHTS_SIZE = 80_000_000  # bytes of them, about
MODULES = 1340
ROUNDS = 5

_IMPORT = """
import sys, threading, time
from selfie3d_cli.main import main

def status():
    return {line.split(":")[0]: int(line.split()[1]) / 1e3 for line in open("/proc/self/status") if "kB" in line}

import vrn.official.importer
before, anonymous, over = status(), [0.0], threading.Event()

def watch():
    while not over.wait(0.02):
        anonymous[0] = max(anonymous[0], status()["RssAnon"])

watcher = threading.Thread(target=watch)
watcher.start()
start = time.perf_counter()
code = main(["weights", "import", *sys.argv[1:]])
seconds = time.perf_counter() - start
over.set()
watcher.join()
after = status()
print(f"{seconds:.1f} s; peak resident {after['VmHWM']:.0f} MB (before the import {before['VmHWM']:.0f} MB), "
      f"anonymous {anonymous[0]:.0f} MB (before {before['RssAnon']:.0f} MB)")
sys.exit(code)
"""


def make_file(folder: Path) -> Path:
    """The synthetic file."""
    buffer = (FILE_SIZE - WEIGHTS_SIZE) // MODULES // 4
    start = time.perf_counter()
    path = t7.save(folder / "synthetic.t7", Maker(RELEASED, buffer=buffer).network())
    used = path.stat().st_blocks * 512 / 1e6
    print(
        f"made {path}: {path.stat().st_size / 1e9:.2f} GB, {used:.0f} MB on disk, {time.perf_counter() - start:.1f} s"
    )
    return path


def measure_import(path: Path, folder: Path) -> None:
    """Time and memory of the command."""
    for extra in ([], ["--half"]):
        target = folder / "synthetic.safetensors"
        command = [sys.executable, "-c", _IMPORT, str(path), "-o", str(target), *extra]
        print("import", *extra, flush=True)
        subprocess.run(command, check=True)


def measure_forward() -> None:
    """Milliseconds of one picture, the layouts in turn so that a busy machine slows them alike."""
    import torch

    from vrn.official import OfficialConfig
    from vrn.official.network import Official

    torch.set_num_threads(2)
    layouts = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    picture = torch.rand(1, 3, 192, 192)
    for bn in ("batch", "running"):
        best = dict.fromkeys(layouts, float("inf"))
        networks = {
            name: Official(OfficialConfig(bn=bn)).eval().to(memory_format=layout)  # type: ignore[call-overload]
            for name, layout in layouts.items()
        }
        with torch.inference_mode():
            for _ in range(ROUNDS + 1):  # the first warms up
                for name, layout in layouts.items():
                    start = time.perf_counter()
                    networks[name](picture.contiguous(memory_format=layout))
                    best[name] = min(best[name], (time.perf_counter() - start) * 1e3)
        print(f"bn {bn}:", ", ".join(f"{name} {ms:.0f} ms" for name, ms in best.items()))


def main() -> None:
    """Make, import, run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, help="where the file is made; default: a temporary folder")
    parser.add_argument("--no-import", action="store_true")
    parser.add_argument("--no-forward", action="store_true")
    args = parser.parse_args()
    print(platform.processor() or platform.machine(), platform.python_version())
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        if not args.no_import:
            measure_import(make_file(Path(folder)), Path(folder))
    if not args.no_forward:
        measure_forward()


if __name__ == "__main__":
    main()
