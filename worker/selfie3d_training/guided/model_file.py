"""The head model of the training data in the compact form that travels with the worker."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from selfie3d.types.atomic_file import replacing
from selfie3d_training.errors import DataError
from selfie3d_training.head import Head
from vrn.avatar.model import SHAPES_SUFFIX
from vrn.avatar.shapes import recorded

SMALL_CM = 0.065  # a shape that moves no vertex further along an axis is stored in bytes


def export_model(source: Path, target: Path) -> None:
    """head_model.npz of the training data -> head.npz of `vrn.avatar`, nostrils closed, and head.npy beside it, its
    shapes in whole steps."""
    head = Head.load(source)
    with np.load(source) as arrays:
        if not {"triangle_part", "points478_vertices", "points478_weights"} <= set(arrays.files):
            raise DataError(f"{source} lacks the parts of its triangles or the places of the 478 points")
        parts = arrays["triangle_part"].astype(np.int8)
        dense = arrays["points478_vertices"].astype(np.int16), arrays["points478_weights"].astype(np.float32)
    shapes = np.concatenate([head.identity, head.expression]).reshape(-1, *head.neutral.shape)
    steps, small, record = in_steps(shapes)
    with replacing(target.with_suffix(SHAPES_SUFFIX)) as part, part.open("wb") as file:
        np.save(file, record)
    with replacing(target) as part, part.open("wb") as file:
        np.savez(  # not compressed: that would take a fifth of a second at every start
            file,
            neutral=head.neutral,
            triangles=head.triangles.astype(np.int16 if len(head.neutral) < 2**15 else np.int32),
            parts=parts,
            small=small,
            steps=steps,
            shapes_crc32=np.uint32(crc32(record.tobytes())),
            identities=np.int64(len(head.identity)),
            landmark_vertices=head.landmark_vertices.astype(np.int16),
            landmark_weights=head.landmark_weights,
            dense_vertices=dense[0],
            dense_weights=dense[1],
            mirror=mirror_of(head).astype(np.int16),
        )


def in_steps(shapes: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.void]]:
    """Shapes, (k, v, 3) cm, as whole numbers of steps of their own: steps, small and record of
    `vrn.avatar.shapes.HeadShapes`. Those that move every vertex little take a byte, so that no number is off by more
    than 0.003 mm, the others two."""
    largest = np.abs(shapes).max((1, 2))
    small = largest <= SMALL_CM
    steps = (largest / np.where(small, np.iinfo(np.int8).max, np.iinfo(np.int16).max)).astype(np.float32)
    whole = np.rint(shapes / np.maximum(steps, np.finfo(np.float32).tiny)[:, None, None]).astype(np.int16)
    return steps, small, recorded(whole[small], whole[~small])


def mirror_of(head: Head) -> NDArray[np.int64]:
    """(v,) int64 - for each vertex the one at its place on the other side: a permutation that undoes itself.

    The place is compared in the neutral head and in the shape that moves most, where the rings of the mouth part.
    """
    moving = head.expression[np.abs(head.expression).sum(1).argsort()[-3:]].reshape(3, -1, 3).sum(0)
    place = np.concatenate([head.neutral, head.neutral + moving], 1)
    flip = np.array([-1.0, 1.0, 1.0, -1.0, 1.0, 1.0])
    return np.asarray(cKDTree(place).query(place * flip)[1], np.int64)
