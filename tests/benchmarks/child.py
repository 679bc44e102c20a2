"""What a worker's children hold after six jobs each, and once they have given memory back: `... child [CHILDREN]`.

PSS counts a file's pages by how many processes share them, so it falls where others run from the same files;
anonymous memory is each child's own.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from selfie3d_worker.memory import IDLE_SECONDS
from tests.benchmarks.cpu_time import children_of
from tests.benchmarks.rig import running
from tests.photos import astronaut

JOBS = 6
HEARTBEATS = 30.0  # s; memory is given back at one of them
CHILD_MB = 60.0  # what no other process of a worker has
KINDS = {"PSS": "Pss", "anonymous": "Pss_Anon", "files": "Pss_File", "resident": "Rss"}


def held(pid: int) -> dict[str, float]:
    """MB by kind."""
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    sizes = {row[0].rstrip(":"): int(row[1]) * 1024 / 1e6 for row in rows}
    return {name: sizes[kind] for name, kind in KINDS.items()}


def main(children: int = 1) -> None:
    """Measure and print."""
    with running(children) as (stack, client, _):
        for _ in range(JOBS * children - 1):
            client.reconstruct(astronaut())
        print("| MB | " + " | ".join(KINDS) + " |\n| --- |" + " ---: |" * len(KINDS))
        for when, pause in (("a second after the last job", 1.0), ("idle", IDLE_SECONDS + HEARTBEATS)):
            time.sleep(pause)
            for found in map(held, children_of(stack.workers[0].pid)):
                if found["PSS"] > CHILD_MB:
                    print(f"| {when} | " + " | ".join(f"{size:.1f}" for size in found.values()) + " |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
