"""What looking at a file, or decoding it, takes: `python -m tests.faults.cost inspect|decode FILE`, one JSON object.

A process of its own for each figure: what one file has allocated would hide what the next one takes.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import selfie3d_photo
from tests.faults.mutation import high_water_bytes

ACTS: dict[str, Callable[[bytes], object]] = {"inspect": selfie3d_photo.inspect, "decode": selfie3d_photo.decode}


def cpu_seconds() -> float:
    """Of this process and of the children that have ended."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def cost(act: Callable[[bytes], object], data: bytes) -> dict[str, object]:
    """CPU seconds, MiB at the peak beyond the file itself, and the answer: "photo" or the refusal's reason."""
    process = Path("/proc/self")
    (process / "clear_refs").write_text("5")
    memory, seconds = high_water_bytes(process), cpu_seconds()
    try:
        act(data)
        answer = "photo"
    except selfie3d_photo.PhotoError as error:
        answer = str(error.reason)
    taken = (high_water_bytes(process) - memory) / (1 << 20)
    return {"seconds": round(cpu_seconds() - seconds, 3), "mebibytes": round(taken, 1), "answer": answer}


if __name__ == "__main__":
    print(json.dumps(cost(ACTS[sys.argv[1]], Path(sys.argv[2]).read_bytes())))
