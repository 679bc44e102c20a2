"""How a displacement field moves vertices: sampled bicubically across the crop, as splines along its depth.

torch samples the field with `grid_sample`. ONNX Runtime's kernel of that name takes 26 ms for a head, half of its whole
network, so the exported graph looks the 4 x 4 values around a vertex up in a table instead. Both give the same numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from torch import Tensor

from selfie3d.types.frames import CROP_SIZE

TAPS = 4  # values along each axis that bicubic sampling looks at
SHARPNESS = -0.75  # of the bicubic kernel of `grid_sample`
CHUNK = 1024  # places whose values are looked up at once: they stay in the cache of a core
EDGE = 3  # cells by which the field's edge is repeated, so that a vertex outside finds it in all of its taps


def displaced(vertices: Tensor, displacement: Tensor) -> Tensor:
    """Vertices moved by the field.

    vertices : (n, v, 3) - head crop frame; displacement : as in :class:`vrn.network.guided.Answer`, px
    """
    look = looked_up if torch.onnx.is_in_onnx_export() else sampled
    layers = int(displacement.shape[1]) // 3  # int: a number, also while the graph is traced
    values = look(_smooth(displacement), vertices[..., :2])  # (n, v, layers * xyz)
    weights = layer_weights(vertices[..., 2], layers)  # (n, v, layers)
    spread = torch.eye(layers, device=values.device).repeat_interleave(3, 1)
    return vertices + (values * (weights @ spread)) @ torch.eye(3, device=values.device).repeat(layers, 1)


def sampled(field: Tensor, places: Tensor) -> Tensor:
    """field (n, c, h, w) over the crop, places (n, v, 2) px -> (n, v, c), bicubic, the edge repeated outside."""
    place = (places + 0.5) * (2 / CROP_SIZE) - 1
    found = F.grid_sample(field, place[:, :, None], mode="bicubic", padding_mode="border", align_corners=False)
    return found[..., 0].transpose(1, 2)


def looked_up(field: Tensor, places: Tensor) -> Tensor:
    """As :func:`sampled`, for square fields."""
    cells, channels = int(field.shape[3]), int(field.shape[1])
    place = ((places + 0.5) * (cells / CROP_SIZE) - 0.5).clamp(1 - EDGE, cells)
    corner = place.floor()
    across, down = _cubic(place - corner).unbind(2)  # (n, v, TAPS) each
    first = corner.long() + EDGE - 1
    side = cells + 2 * EDGE
    start = (
        first[..., 1] * side + first[..., 0] + side * side * torch.arange(field.shape[0], device=field.device)[:, None]
    )
    rows = start[..., None] + side * torch.arange(TAPS, device=field.device)
    table, weights = _table(field), _products(down, across)[..., None, :]
    found = []
    for begin in range(0, int(places.shape[1]), CHUNK):
        at, each = rows[:, begin : begin + CHUNK], weights[:, begin : begin + CHUNK]
        values = table[at].reshape(*at.shape[:2], TAPS * TAPS, channels)
        found.append((each @ values)[..., 0, :])
    return torch.cat(found, 1)


def layer_weights(depth: Tensor, layers: int) -> Tensor:
    """(...) px -> (..., layers): uniform cubic B-splines whose knots divide the crop's depth evenly."""
    knots = (depth + 0.5).clamp(0, CROP_SIZE) / CROP_SIZE * (layers - 3)
    distance = (knots[..., None] - (torch.arange(layers, device=depth.device) - 1)).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance.clamp(max=2)) ** 3 / 6
    return torch.where(distance < 1, near, far)


def _smooth(displacement: Tensor) -> Tensor:
    """The field whose bicubic sampling is smooth as a spline."""
    channels = int(displacement.shape[1])
    smooth = displacement.new_tensor([1.0, 4.0, 1.0]) / 6
    kernel = (smooth[:, None] * smooth)[None, None].expand(channels, 1, 3, 3)
    return F.conv2d(F.pad(displacement, (1, 1, 1, 1), mode="replicate"), kernel, groups=channels)


def _table(field: Tensor) -> Tensor:
    """(n, c, h, w) -> (rows, TAPS * c): for each cell its values and those of the cells to the right of it."""
    wide = F.pad(field, (EDGE,) * 4, mode="replicate").permute(0, 2, 3, 1).reshape(-1, int(field.shape[1]))
    return torch.cat([wide, *(torch.cat([wide[tap:], wide[:tap]]) for tap in range(1, TAPS))], 1)


def _cubic(part: Tensor) -> Tensor:
    """(...) 0..1, how far a place is from the second tap to the third -> (..., TAPS) their weights."""
    a = SHARPNESS
    far = [((a * x - 5 * a) * x + 8 * a) * x - 4 * a for x in (part + 1, 2 - part)]
    near = [((a + 2) * x - (a + 3)) * x * x + 1 for x in (part, 1 - part)]
    return torch.stack([far[0], *near, far[1]], -1)


def _products(first: Tensor, second: Tensor) -> Tensor:
    """(..., TAPS) twice -> (..., TAPS * TAPS): each with each, by matrices: ONNX Runtime repeats slowly."""
    each = torch.eye(TAPS, device=first.device)
    return (first @ each.repeat_interleave(TAPS, 1)) * (second @ each.repeat(1, TAPS))
