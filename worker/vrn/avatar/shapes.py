"""Shapes of a head as the whole numbers that their file has: 8 MB, where they would be 19 in float32.

The file is mapped, not read, so that all processes of a machine share its memory. Whoever computes with the shapes
makes them float32 block by block, so that these numbers stay in the cache of a core.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

BLOCK = 1024  # vertices

Singles = NDArray[np.float32]
Block = tuple[NDArray[np.int8], NDArray[np.int16]]


@dataclass(frozen=True, eq=False)
class HeadShapes:
    """k shapes of v vertices, each stored as whole numbers of a step of its own.

    Attributes
    ----------
    steps : (k,) float32 - cm
    small : (k,) bool - which of them are stored in bytes
    blocks : for every BLOCK vertices, n of them, those shapes, (a, n * 3) int8, and the others, (b, n * 3) int16
    """

    steps: Singles
    small: NDArray[np.bool_]
    blocks: tuple[Block, ...]

    @classmethod
    def load(cls, path: Path, steps: Singles, small: NDArray[np.bool_], vertices: int, checksum: int) -> Self:
        """The shapes of a file that `recorded` made and numpy.save wrote. checksum : its record's CRC-32

        Raises OSError when it is missing, ValueError when it is damaged or has other shapes.
        """
        record = np.load(path, mmap_mode="c")  # nobody writes, but torch warns of numbers that cannot be written
        if record.shape or record.dtype != _layout(int(small.sum()), int((~small).sum()), vertices):
            raise ValueError(f"expected other shapes in {path.name}")
        if zlib.crc32(record) != checksum:
            raise ValueError(f"{path.name} is damaged")
        return cls.of(steps, small, record)

    @classmethod
    def of(cls, steps: Singles, small: NDArray[np.bool_], record: NDArray[np.void]) -> Self:
        """record : as `recorded` makes it. It is not copied."""
        parts = [np.asarray(record[name]) for name in record.dtype.names or ()]
        return cls(steps, small, tuple(zip(parts[1::2], parts[::2], strict=True)))

    def __len__(self) -> int:
        return len(self.steps)

    def summed(self, coefficients: NDArray[np.floating]) -> Singles:
        """(..., k) -> (..., v, 3) float32, cm: the shapes, each times its coefficient."""
        scaled = coefficients.astype(np.float32) * self.steps
        of_small, of_large = scaled[..., self.small], scaled[..., ~self.small]
        sums = [of_small @ _single(small) + of_large @ _single(large) for small, large in self.blocks]
        return np.asarray(np.concatenate(sums, -1).reshape(*coefficients.shape[:-1], -1, 3), np.float32)

    def at(self, vertices: NDArray[np.integer] | slice = slice(None)) -> Singles:
        """(k, ..., 3) float32, cm: how each shape moves these vertices, (...), or all."""
        small, large = (_of_vertices(blocks)[:, vertices] for blocks in zip(*self.blocks, strict=True))
        shapes = np.empty((len(self), *small.shape[1:]), np.float32)
        for which, whole in ((self.small, small), (~self.small, large)):
            shapes[which] = (whole.T * self.steps[which]).T
        return shapes

    def constants(self) -> tuple[NDArray[Any], ...]:
        """What `vrn.network.guided.summed` wants: the steps of the small and of the large shapes, (k, a) and
        (k, b) float32, each in the row of its shape, and the whole numbers of all blocks. These are not copied."""
        steps = np.diag(self.steps)
        whole = (each for block in self.blocks for each in block)
        return steps[:, self.small].copy(), steps[:, ~self.small].copy(), *whole


def recorded(small: NDArray[np.integer], large: NDArray[np.integer]) -> NDArray[np.void]:
    """Shapes as their file has them, one record: small ones, (a, v, 3), and large ones, (b, v, 3), block by block."""
    record = np.zeros((), _layout(len(small), len(large), small.shape[1]))
    for number, start in enumerate(range(0, small.shape[1], BLOCK)):
        for name, shapes in (("large", large), ("small", small)):
            block = shapes[:, start : start + BLOCK]
            record[f"{name}_{number}"] = block.reshape(len(block), block.shape[1] * 3)
    return record


def _layout(small: int, large: int, vertices: int) -> np.dtype[np.void]:
    """The record of so many shapes. A block of bytes has an even number of them, so that the next one is aligned."""
    sizes = [min(BLOCK, vertices - start) * 3 for start in range(0, vertices, BLOCK)]
    kinds = ("large", "<i2", large), ("small", "i1", small)
    return np.dtype([(f"{name}_{at}", kind, (count, n)) for at, n in enumerate(sizes) for name, kind, count in kinds])


def _of_vertices(blocks: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """(k, v, 3) of blocks."""
    return np.concatenate([block.reshape(len(block), block.shape[1] // 3, 3) for block in blocks], 1)


def _single(whole: NDArray[np.integer]) -> Singles:
    return whole.astype(np.float32)
