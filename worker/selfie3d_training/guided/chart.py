"""The texture chart of the head model: where each of its triangles lies in the picture that every head shares.

Skin and scalp are one island, cut open behind, from the neck to the crown. Convex combinations of the neighbours
within a convex border never fold (Tutte 1963, Floater 2003); their weights are changed until the stretch is even
(Yoshizawa, Belyaev, Seidel 2004), with the face finer than the scalp. Both eyes, the inside of the mouth and the
neck's cap are discs of their own below it.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import spsolve

from selfie3d.types.atomic_file import replacing
from vrn.avatar.chart import DISC, MARGIN, UV_STEPS
from vrn.avatar.model import CAP_PART, EYE_PART, FACE_PART, HEAD_PART, MOUTH_PART, HeadModel

ROUNDS = 24  # of evening out the stretch
POWER = 0.5  # of the stretch in a round
ROUNDNESS = 4.0  # exponent of the superellipse that borders the skin: nearly a rectangle, but convex
FINER = ((0.0, -0.5, 10.5), 7.5, 2.2)  # centre of the face, cm; reach, cm; how much finer it is than the scalp
SEAM_SIDE_CM = 0.15  # how far aside the seam may lie before it costs as much again

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def head_chart(model: HeadModel) -> tuple[Floats, Integers, Integers]:
    """Places in the picture, (k, 2), u to the right and v up in 0..1; their vertices, (k,); triangles in them, (t, 3).

    The triangles keep the model's order.
    """
    triangles, parts = model.triangles, model.parts
    skin = np.isin(parts, (FACE_PART, HEAD_PART))
    cut, owner, path = _cut_open(model, triangles[parts != CAP_PART])
    flat = _even(model, cut, owner, _outline(model, cut, owner, path))
    corners = np.zeros_like(triangles)
    used, corners[skin] = _packed(cut[skin[parts != CAP_PART]])
    uv = [MARGIN + flat[used] * (1 - 2 * MARGIN, 1 - DISC - 2 * MARGIN) + (0, DISC)]
    source = [owner[used]]
    left = model.neutral[triangles[:, 0], 0] > 0
    eyes = parts == EYE_PART
    for number, chosen in enumerate([eyes & ~left, eyes & left, parts == MOUTH_PART, parts == CAP_PART]):
        used, island = _packed(triangles[chosen])
        corners[chosen] = island + sum(map(len, source))
        uv.append(MARGIN + _disc(model, island, used) * (DISC - 2 * MARGIN) + (number * DISC, 0))
        source.append(used)
    return _in_order(np.concatenate(uv), np.concatenate(source), corners)


def _in_order(uv: Floats, source: Integers, corners: Integers) -> tuple[Floats, Integers, Integers]:
    """The same with the model's vertices first, each at its own index; behind them the other sides of the seams."""
    first = np.unique(source, return_index=True)[1]
    order = np.concatenate([first, np.setdiff1d(np.arange(len(source)), first)])
    new = np.empty(len(order), np.int64)
    new[order] = np.arange(len(order))
    return uv[order], source[order], new[corners]


def save_chart(model: HeadModel, path: Path) -> None:
    """Write the chart beside the head model."""
    uv, source, triangles = head_chart(model)
    places = np.rint(uv * UV_STEPS).astype(np.uint16)
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, uv=places, source=source.astype(np.int16), triangles=triangles.astype(np.int16))


def _packed(triangles: Integers) -> tuple[Integers, Integers]:
    """The vertices in use, and the triangles in them."""
    used, at = np.unique(triangles, return_inverse=True)
    return used, at.reshape(-1, 3)


def _edges(triangles: Integers) -> Integers:
    """(3 t, 2) - the triangles' directed edges."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def _border(triangles: Integers) -> Integers:
    """The vertices of the one border, in its order."""
    edges = _edges(triangles)
    keys = set(map(tuple, edges.tolist()))
    after = {a: b for a, b in edges.tolist() if (b, a) not in keys}
    loop = [min(after)]
    while len(loop) < len(after):
        loop.append(after[loop[-1]])
    return np.array(loop)


def _cut_open(model: HeadModel, triangles: Integers) -> tuple[Integers, Integers, Integers]:
    """Cut along the back from the neck's rim to the crown: triangles, the model's vertex of each vertex, the path.

    What touches the path on its left side, seen from outside, gets vertices of its own there; the crown stays one.
    """
    points = model.neutral.astype(np.float64)
    path = _seam(points, triangles)
    opened = path[:-1].tolist()
    steps = set(itertools.pairwise(path.tolist()))
    by_edge = {edge: row % len(triangles) for row, edge in enumerate(map(tuple, _edges(triangles).tolist()))}
    waiting = [by_edge[step] for step in steps]
    left = set(waiting)
    while waiting:
        for a, b in _edges(triangles[[waiting.pop()]]).tolist():
            other = by_edge.get((b, a))
            crosses = (a, b) in steps or (b, a) in steps
            if other is not None and other not in left and not crosses and {a, b} & set(opened):
                left.add(other)
                waiting.append(other)
    copies = {vertex: len(points) + number for number, vertex in enumerate(opened)}
    cut = triangles.copy()
    for row in left:
        cut[row] = [copies.get(vertex, vertex) for vertex in triangles[row].tolist()]
    return cut, np.concatenate([np.arange(len(points)), path[:-1]]), path


def _seam(points: Floats, triangles: Integers) -> Integers:
    """From the middle of the neck's rim behind to the crown, along the middle."""
    edges = np.unique(np.sort(_edges(triangles), 1), axis=0)
    middle = np.abs(points[edges, 0]).mean(1) / SEAM_SIDE_CM
    front = np.maximum(points[edges, 2].mean(1), 0) * 10
    cost = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1) * (1 + middle**2 + front)
    graph = csr_matrix((cost, edges.T), (len(points),) * 2)
    rim = _border(triangles)
    start = rim[np.argmin(np.abs(points[rim, 0]) + 10 * (points[rim, 2] > 0))]
    top = np.argmax(points[:, 1] - np.abs(points[:, 0]))
    _, before = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    path = [int(top)]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def _outline(model: HeadModel, cut: Integers, owner: Integers, path: Integers) -> tuple[Integers, Floats]:
    """The border's vertices and their places on the superellipse, by their distance along the border.

    The crown is in the middle above, so the middle of the throat comes to lie below.
    """
    loop = _border(cut)
    loop = np.roll(loop, -int(np.flatnonzero(loop == path[-1])[0]))
    points = model.neutral[owner[loop]].astype(np.float64)
    lengths = np.linalg.norm(np.roll(points, -1, 0) - points, axis=1)
    along = np.concatenate([[0], np.cumsum(lengths)])[:-1] / lengths.sum()
    angle = np.linspace(0, 2 * np.pi, 4001) + np.pi / 2
    cos, sin = np.cos(angle), np.sin(angle)
    curve = np.stack([np.sign(f) * np.abs(f) ** (2 / ROUNDNESS) for f in (cos, sin)], 1)
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = np.stack([np.interp(along * arc[-1], arc, column) for column in curve.T], 1)
    return loop, (at + 1) / 2


def _even(model: HeadModel, triangles: Integers, owner: Integers, outline: tuple[Integers, Floats]) -> Floats:
    """(n, 2) in 0..1 - the flat places of the vertices, with an even stretch."""
    points = model.neutral.astype(np.float64)[owner]
    centre, reach, finer = FINER
    away = np.linalg.norm(points - centre, axis=1) / reach
    wanted = 1 + (finer - 1) * np.exp(-(away**2))
    weights = _mean_values(points, triangles)
    areas = _areas(points, triangles)
    best, least = np.zeros((0, 2)), np.inf
    for _ in range(ROUNDS):
        flat = _solved(weights, *outline)
        stretch = _stretch(points, flat, triangles) * wanted[triangles].mean(1)
        total = float((areas * stretch**2).sum() / areas.sum())
        if total < least:
            best, least = flat, total
        squares = np.bincount(triangles.ravel(), np.repeat(areas * stretch**2, 3), len(points))
        total_area = np.bincount(triangles.ravel(), np.repeat(areas, 3), len(points))
        around = np.sqrt(np.maximum(squares / np.maximum(total_area, 1e-12), 1e-12))
        weights = weights @ _diagonal(np.asarray((around / np.median(around)) ** -POWER, np.float64))
    return best


def _diagonal(values: Floats) -> csr_matrix:
    n = np.arange(len(values))
    return csr_matrix((values, (n, n)))


def _areas(points: Floats, triangles: Integers) -> Floats:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


def _mean_values(points: Floats, triangles: Integers) -> csr_matrix:
    """(n, n) - Floater's mean value weights, all positive."""
    rows, columns, values = [], [], []
    for k in range(3):
        i, j, m = triangles[:, k], triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        to_j, to_m = points[j] - points[i], points[m] - points[i]
        size_j, size_m = (np.maximum(np.linalg.norm(d, axis=1), 1e-4) for d in (to_j, to_m))
        cos = np.clip((to_j * to_m).sum(1) / (size_j * size_m), -1, 1)
        tangent = np.tan(np.clip(np.arccos(cos), 0.05, np.pi - 0.3) / 2)
        rows += [i, i]
        columns += [j, m]
        values += [tangent / size_j, tangent / size_m]
    n = len(points)
    return csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (n, n))


def _solved(weights: csr_matrix, border: Integers, places: Floats) -> Floats:
    """Every inner vertex at the weighted mean of its neighbours; those in no triangle at 0."""
    n = weights.shape[0]
    total = np.asarray(weights.sum(1)).ravel()
    inner = np.setdiff1d(np.flatnonzero(total > 0), border)
    normal = _diagonal(1 / np.where(total > 0, total, 1)) @ weights
    flat = np.zeros((n, 2))
    flat[border] = places
    unit = _diagonal(np.ones(len(inner)))
    flat[inner] = spsolve((unit - normal[inner][:, inner]).tocsc(), normal[inner][:, border] @ places)
    return flat


def _stretch(points: Floats, flat: Floats, triangles: Integers) -> Floats:
    """(t,) - root mean square length on the head per length in the picture (Sander et al. 2001)."""
    (q1, q2, q3), (p1, p2, p3) = ([values[triangles[:, k]] for k in range(3)] for values in (points, flat))
    area = ((p2 - p1)[:, 0] * (p3 - p1)[:, 1] - (p3 - p1)[:, 0] * (p2 - p1)[:, 1])[:, None] / 2
    area = np.where(np.abs(area) < 1e-14, 1e-14, area)
    s, t = (p1[:, 1:], p2[:, 1:], p3[:, 1:]), (p1[:, :1], p2[:, :1], p3[:, :1])
    ds = (q1 * (s[1] - s[2]) + q2 * (s[2] - s[0]) + q3 * (s[0] - s[1])) / (2 * area)
    dt = (q1 * (t[2] - t[1]) + q2 * (t[0] - t[2]) + q3 * (t[1] - t[0])) / (2 * area)
    return np.asarray(np.sqrt(((ds**2).sum(1) + (dt**2).sum(1)) / 2))


def _disc(model: HeadModel, triangles: Integers, owner: Integers) -> Floats:
    """(n, 2) in 0..1 - an island with one border as a disc, turned as it is seen from in front or from below."""
    points = model.neutral.astype(np.float64)[owner]
    loop = _border(triangles)
    ring = points[loop]
    lengths = np.linalg.norm(np.roll(ring, -1, 0) - ring, axis=1)
    angle = np.concatenate([[0], np.cumsum(lengths)])[:-1] / lengths.sum() * 2 * np.pi
    angle += np.pi - angle[np.argmin(ring[:, 0])]  # the leftmost as seen from in front is the leftmost
    places = np.stack([np.cos(angle), np.sin(angle)], 1) / 2 + 0.5
    return _solved(_mean_values(points, triangles), loop, places)
