"""The texture chart that every head shares."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from vrn.avatar.chart import CHART_FILE, EYEBALL, Chart, load_chart
from vrn.avatar.model import load_model
from vrn.avatar.raster import crossings
from vrn.errors import WeightsError

pytestmark = pytest.mark.slow  # each test looks at the whole chart

SIZE = 2048  # px


def test_the_chart_holds_every_triangle_of_the_model_at_its_own_vertices() -> None:
    chart, model = load_chart(), load_model()
    assert (chart.source[chart.triangles] == model.triangles).all()
    assert (chart.source[: len(model.neutral)] == np.arange(len(model.neutral))).all()
    assert len(chart.uv) < 1.03 * len(model.neutral)


def test_no_triangle_is_folded_over_and_none_lies_on_another() -> None:
    chart = load_chart()
    a, b, c = (chart.uv[chart.triangles[:, k]].astype(np.float64) for k in range(3))
    areas = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    assert areas.min() > 0
    at = np.concatenate([chart.uv * SIZE, np.zeros((len(chart.uv), 1))], 1).astype(np.float64)
    hits = np.bincount(crossings(at, chart.triangles, SIZE, SIZE).column, minlength=SIZE * SIZE)
    assert hits.max() == 1
    assert hits.sum() > 0.78 * SIZE * SIZE  # little is wasted
    assert areas.sum() * SIZE * SIZE == pytest.approx(hits.sum(), rel=1e-3)


def test_a_large_picture_is_covered_without_memory_for_all_of_it_at_once() -> None:
    chart = load_chart()
    tracemalloc.start()
    try:
        answer = chart.pixels(SIZE // 2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3.5 * sum(part.nbytes for part in answer)


def test_the_places_lie_inside_the_picture_and_leave_room_for_an_eyeball() -> None:
    uv = load_chart().uv
    assert uv.min() > 0.004
    assert uv.max() < 0.996
    left, bottom, side = EYEBALL
    in_square = (uv[:, 0] > left - 0.004) & (uv[:, 0] < left + side + 0.004) & (uv[:, 1] < bottom + side + 0.004)
    assert not in_square.any()


def test_the_face_gets_more_of_the_picture_than_the_scalp() -> None:
    chart, model = load_chart(), load_model()
    corners, flat = model.neutral[model.triangles].astype(np.float64), chart.uv[chart.triangles].astype(np.float64)
    on_head = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    b, c = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    density = (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0]) / on_head
    middle = corners.mean(1)
    face = (middle[:, 2] > 9) & (np.abs(middle[:, 0]) < 4) & (np.abs(middle[:, 1]) < 6)
    scalp = middle[:, 1] > 9
    assert np.median(density[face]) > 1.3 * np.median(density[scalp])


def test_a_file_that_is_no_chart_is_an_error(tmp_path: Path) -> None:
    assert CHART_FILE.stat().st_size < 200_000
    (tmp_path / "chart.npz").write_bytes(b"PK")
    with pytest.raises(WeightsError, match="no chart"):
        Chart.load(tmp_path / "chart.npz")
