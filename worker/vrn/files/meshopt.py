"""The bitstreams of EXT_meshopt_compression, version 0: rows of bytes (mode ATTRIBUTES) and indices (mode INDICES).

Our own, because the wheels that write them are too young, want other Pythons, or write version 1 only. Source:
https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Vendor/EXT_meshopt_compression, appendix A.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

ATTRIBUTES_HEADER, INDICES_HEADER = b"\xa0", b"\xd1"
GROUP = 16  # rows whose deltas are packed together
MOST_ROWS, MOST_BYTES = 256, 8192  # of a block
LEAST_TAIL = 32  # bytes of the row at the end of a stream, padded
INDICES_TAIL = bytes(4)
PACKED = 8  # bytes that the 16 deltas of a group take at most where they are packed


def attributes(rows: Bytes) -> bytes:
    """rows : (n, s) uint8 - s a multiple of 4, at most 256."""
    count, stride = rows.shape
    block = min(MOST_BYTES // stride // GROUP * GROUP, MOST_ROWS)
    deltas = _zigzag(np.diff(rows, axis=0, prepend=rows[:1]))
    whole = count // block * block
    parts = [
        _blocks(part, size) for part, size in ((deltas[:whole], block), (deltas[whole:], count - whole)) if len(part)
    ]
    tail = rows[0].tobytes().rjust(LEAST_TAIL, b"\0")
    return b"".join([ATTRIBUTES_HEADER, *parts, tail])


def indices(values: NDArray[np.integer]) -> bytes:
    """values : (n,) - each as its distance from the one before: of triangles' first corners, and of all others."""
    others = np.arange(len(values)) % 3 > 0
    delta = np.empty(len(values), np.int64)
    for corners in (others, ~others):
        delta[corners] = np.diff(values[corners].astype(np.int64), prepend=0)
    code = np.where(delta < 0, ~(delta << 1), delta << 1) << 1 | others  # the lowest bit says from which of the two
    sevens = code[:, None] >> np.arange(0, 35, 7)
    used = np.maximum.accumulate((sevens > 0)[:, ::-1], axis=1)[:, ::-1]
    used[:, 0] = True
    follows = np.concatenate([used[:, 1:], np.zeros((len(used), 1), bool)], axis=1)
    body = ((sevens & 127) | follows << 7)[used].astype(np.uint8)
    return b"".join([INDICES_HEADER, body.tobytes(), INDICES_TAIL])


def _blocks(deltas: Bytes, size: int) -> bytes:
    """Blocks of so many rows, (b * size, s): byte by byte of a row the groups' modes and then their deltas."""
    stride, groups = deltas.shape[1], -(-size // GROUP)
    padded = np.zeros((len(deltas) // size, groups * GROUP, stride), np.uint8)
    padded[:, :size] = deltas.reshape(-1, size, stride)
    modes, body, used = _packed(padded.transpose(0, 2, 1).reshape(-1, groups, GROUP))
    fours = np.pad(modes, ((0, 0), (0, -groups % 4)))
    header = fours[:, 0::4] | fours[:, 1::4] << 2 | fours[:, 2::4] << 4 | fours[:, 3::4] << 6
    flat = np.concatenate([header, body.reshape(len(modes), -1)], axis=1)
    mask = np.concatenate([np.ones(header.shape, bool), used.reshape(len(modes), -1)], axis=1)
    return bytes(flat[mask])


def _packed(deltas: Bytes) -> tuple[NDArray[np.uint8], Bytes, NDArray[np.bool_]]:
    """The mode of each group of (k, g, 16) deltas, (k, g) - 0: all are 0, 1 and 2: 2 and 4 bits each, with those that
    need more behind, 3: bytes; and (k, g, 24) bytes, of which those are written that are used."""
    sizes = np.stack([np.where(deltas.any(2), 99, 0), 4 + (deltas >= 3).sum(2), 8 + (deltas >= 15).sum(2)], 2)
    sizes = np.concatenate([sizes, np.full((*sizes.shape[:2], 1), GROUP)], 2)
    modes = sizes.argmin(2).astype(np.uint8)
    mode = modes[..., None]
    least = np.minimum(deltas, 3)
    twos = least[..., 0::4] << 6 | least[..., 1::4] << 4 | least[..., 2::4] << 2 | least[..., 3::4]
    least = np.minimum(deltas, 15)
    fours = least[..., 0::2] << 4 | least[..., 1::2]
    bits = np.where(mode == 1, np.concatenate([twos, np.zeros_like(twos)], 2), fours)
    bits_used = np.arange(PACKED) < np.array([0, 4, 8, 0])[mode]
    rest_used = deltas >= np.array([256, 3, 15, 0])[mode]
    return modes, np.concatenate([bits, deltas], 2), np.concatenate([bits_used, rest_used], 2)


def _zigzag(deltas: Bytes) -> Bytes:
    """Small steps down become small numbers, too: 0, -1, 1, -2 ... are 0, 1, 2, 3."""
    return np.asarray((deltas << 1) ^ (np.uint8(0) - (deltas >> 7)), np.uint8)
