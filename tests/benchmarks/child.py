"""What a worker's processes hold after six jobs a child, and once they have given memory back: `... child [CHILDREN]`.

PSS counts a page by how many processes share it: files that others run from, too, and what the parent has imported.
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
        parent = stack.workers[0].pid
        print("| MB | of | " + " | ".join(KINDS) + " |\n| --- | --- |" + " ---: |" * len(KINDS))
        for when, pause in (("a second after the last job", 1.0), ("idle", IDLE_SECONDS + HEARTBEATS)):
            time.sleep(pause)
            for pid in (parent, *children_of(parent)):
                row = " | ".join(f"{size:.1f}" for size in held(pid).values())
                print(f"| {when} | {'the parent' if pid == parent else 'a child'} | {row} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
