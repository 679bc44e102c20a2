"""Our encoder against meshoptimizer's own decoder, the one in three.js."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vrn.files.meshopt import attributes, indices

PAGE = Path(__file__).parents[4] / "service" / "selfie3d_web" / "page"
DECODER = PAGE / "node_modules" / "three" / "examples" / "jsm" / "libs" / "meshopt_decoder.module.js"
PROGRAM = f"""
import {{ readFileSync }} from "node:fs";
import {{ MeshoptDecoder }} from {json.dumps(str(DECODER))};
await MeshoptDecoder.ready;
const streams = JSON.parse(readFileSync(0));
console.log(JSON.stringify(streams.map(([data, count, stride, mode]) => {{
  const target = new Uint8Array(count * stride);
  MeshoptDecoder.decodeGltfBuffer(target, count, stride, Buffer.from(data, "base64"), mode, "NONE");
  return Buffer.from(target).toString("base64");
}})));
"""


def decoded(streams: list[tuple[bytes, int, int, str]]) -> list[bytes]:
    """(data, count, stride, mode) of each stream, as three.js' decoder unpacks it."""
    assert DECODER.is_file(), "run: npm install --prefix service/selfie3d_web/page"
    wanted = json.dumps([(base64.b64encode(data).decode(), *rest) for data, *rest in streams])
    command = ["node", "--input-type=module", "-e", PROGRAM]
    done = subprocess.run(command, input=wanted, capture_output=True, text=True, check=True)
    return [base64.b64decode(each) for each in json.loads(done.stdout)]


def smooth(rng: np.random.Generator, count: int, stride: int) -> NDArray[np.uint8]:
    """Numbers that change little from row to row, with a jump now and then and a stretch without any change."""
    walk = np.cumsum(rng.integers(-6, 7, (count, stride // 2)) + 300 * (rng.random((count, stride // 2)) > 0.98), 0)
    walk[count // 3 : count // 2] = 0
    return np.ascontiguousarray(walk, "<i2").view(np.uint8)


def rows() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    sizes = [(1, 4), (15, 8), (16, 8), (17, 12), (255, 4), (256, 8), (257, 8), (1000, 64), (700, 256), (5000, 8)]
    found = [smooth(rng, *size) for size in sizes]
    found += [rng.integers(0, 256, size, dtype=np.uint8) for size in sizes]
    return [*found, np.zeros((400, 8), np.uint8), np.full((33, 4), 255, np.uint8)]


@pytest.mark.slow
def test_rows_of_any_size_come_back_as_they_were() -> None:
    given = rows()
    streams = [(attributes(each), *each.shape, "ATTRIBUTES") for each in given]
    for each, found in zip(given, decoded(streams), strict=True):
        assert found == each.tobytes(), each.shape


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "most"), [("<u2", 65534), ("<u4", 400_000)])
def test_indices_come_back_as_they_were(kind: str, most: int) -> None:
    rng = np.random.default_rng(1)
    near = (np.arange(3000)[:, None] // 2 + rng.integers(0, 90, (3000, 3))).ravel()
    lists: list[NDArray[Any]] = [rng.integers(0, most, 999), np.array([0, most, 0]), near]
    streams = [(indices(each), len(each), np.dtype(kind).itemsize, "INDICES") for each in lists]
    for each, found in zip(lists, decoded(streams), strict=True):
        assert found == each.astype(kind).tobytes()


def test_what_changes_little_becomes_small() -> None:
    rng = np.random.default_rng(2)
    assert len(attributes(smooth(rng, 5000, 8))) < 0.55 * 5000 * 8
    assert len(attributes(np.zeros((5000, 8), np.uint8))) < 0.02 * 5000 * 8
    noise = rng.integers(0, 256, (5000, 8), dtype=np.uint8)
    assert len(attributes(noise)) < 1.02 * noise.size + 100
