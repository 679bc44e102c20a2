"""Damage to bytes, drawn by hypothesis and made smaller by it when something breaks; and what a process took."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

Edits = list[tuple[str, float, bytes]]

SLOWEST_MS = 2_000
MOST_MEMORY = 512 << 20  # bytes above what the process had before
EDITS: st.SearchStrategy[Edits] = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete", "repeat"]), st.floats(0, 1), st.binary(min_size=1, max_size=8)
    ),
    max_size=6,
)


def mutate(seed: bytes, edits: Edits) -> bytes:
    """The seed with pieces set, inserted, deleted and repeated."""
    data = bytearray(seed)
    for kind, where, piece in edits:
        at = int(where * len(data))
        if kind == "set":
            data[at : at + len(piece)] = piece
        elif kind == "insert":
            data[at:at] = piece
        elif kind == "delete":
            del data[at : at + piece[0] * 4]
        else:
            data[at:at] = data[at : at + piece[0] * 4]
    return bytes(data)


@contextmanager
def bounded_memory(pid: int | str = "self", most: int = MOST_MEMORY) -> Iterator[None]:
    """The process takes at most so many bytes more meanwhile, at any moment."""
    process = Path(f"/proc/{pid}")
    (process / "clear_refs").write_text("5")  # sets VmHWM back to the present (proc_pid_clear_refs(5))
    before = high_water_bytes(process)
    yield
    assert high_water_bytes(process) - before < most


def high_water_bytes(process: Path) -> int:
    """The most that a process has held since its /proc/PID/clear_refs was last told so."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())[0]) << 10
