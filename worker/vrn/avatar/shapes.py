"""Shapes of a head as the whole numbers that their file has: 8 MB, where they would be 19 in float32.

Whoever computes with them makes them float32 block by block, so that these numbers stay in the cache of a core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """arrays : steps, small, small_shapes (a, v, 3) and large_shapes (b, v, 3)"""
        small, large = _in_blocks(arrays["small_shapes"], np.int8), _in_blocks(arrays["large_shapes"], np.int16)
        blocks = tuple(zip(small, large, strict=True))
        return cls(arrays["steps"].astype(np.float32), arrays["small"].astype(bool), blocks)

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


def _in_blocks(shapes: NDArray[Any], kind: type[np.integer]) -> list[NDArray[Any]]:
    """(k, v, 3) -> (k, n * 3) for every BLOCK vertices, each in one piece of memory."""
    starts = range(0, shapes.shape[1], BLOCK)
    blocks = (shapes[:, start : start + BLOCK] for start in starts)
    return [np.ascontiguousarray(block, kind).reshape(len(block), block.shape[1] * 3) for block in blocks]


def _of_vertices(blocks: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """(k, v, 3) of blocks."""
    return np.concatenate([block.reshape(len(block), block.shape[1] // 3, 3) for block in blocks], 1)


def _single(whole: NDArray[np.integer]) -> Singles:
    return whole.astype(np.float32)
