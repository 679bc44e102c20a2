"""The loss: voxel-wise cross-entropy with a softened target, thickness, and the place and slope of the front."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from torch import Tensor, nn

from selfie3d_training.config import TrainConfig

DEPTH_STRIDE = 2  # the loss sees every second sample along depth: enough for a target softened over several


SOLID_DEPTH = 40.0  # px: behind it nothing counts as front; columns whose front is near it have no front term
SOLID_MARGIN = 10.0  # px


class VolumeLoss(nn.Module):
    """See the module's text; the terms are added with the weights of the configuration.

    The front term is how far the field's front lies from the true one, in px, counted as the volume that a column has
    too much or too little in front of a fixed depth. Unlike a distance read from the logits it cannot be lowered by
    making them flat, nor, as with a depth that follows the true front, by thinning the inside. The slope term is the
    difference of that distance between neighbouring columns: it sees what shading shows.
    """

    soften: Tensor

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self._config = config
        grid = config.network.grid
        soften = gaussian_matrix(grid.shape[0], config.softness / grid.step[2])[::DEPTH_STRIDE]
        self.register_buffer("soften", soften.contiguous())
        self._step = grid.step[2] * DEPTH_STRIDE
        self._first = math.ceil((SOLID_DEPTH - grid.origin[2]) / self._step)  # sample where the front part begins

    def forward(self, logits: Tensor, occupancy: Tensor, front: Tensor, hull: Tensor) -> dict[str, Tensor]:
        """logits (n, d / DEPTH_STRIDE, h, w) float32, the rest as in a batch.

        Returns the terms; `loss` is their weighted sum.
        """
        n, _, height, width = occupancy.shape
        target = (self.soften @ occupancy.float().flatten(2)).view(n, -1, height, width)
        inside = hull.bool()
        weight = torch.where(inside, self._config.hull_weight, 1.0)
        entropy = (F.softplus(logits) - target * logits).mean(1)
        excess = torch.sigmoid(logits) - target
        known = inside & (front > SOLID_DEPTH + SOLID_MARGIN)
        error = self._front_error(excess)
        terms = {
            "entropy": (entropy * weight).sum() / weight.sum(),
            "thickness": (excess.mean(1).abs() * weight).sum() / weight.sum(),
            "front": _mean(error.abs(), known),
            "slope": _mean((error[..., 1:] - error[..., :-1]).abs(), known[..., 1:] & known[..., :-1])
            + _mean((error[..., 1:, :] - error[..., :-1, :]).abs(), known[..., 1:, :] & known[..., :-1, :]),
        }
        config = self._config
        terms["loss"] = (
            terms["entropy"]
            + config.thickness_weight * terms["thickness"]
            + config.front_weight * terms["front"]
            + config.slope_weight * terms["slope"]
        )
        return terms

    def _front_error(self, excess: Tensor) -> Tensor:
        """(n, h, w) px - the excess volume of every column in front of SOLID_DEPTH."""
        error: Tensor = excess[:, self._first :].sum(1) * self._step
        return error


def gaussian_matrix(depths: int, sigma: float) -> Tensor:
    """(depths, depths) float32 - a Gaussian along depth (`sigma` in samples); the ends are continued."""
    position = torch.arange(depths, dtype=torch.float64)
    edges = torch.cat([torch.tensor([-math.inf]), position[:-1] + 0.5, torch.tensor([math.inf])])
    cumulated = torch.special.ndtr((edges[None, :] - position[:, None]) / sigma)
    matrix: Tensor = (cumulated[:, 1:] - cumulated[:, :-1]).float()
    return matrix


def _mean(values: Tensor, where: Tensor) -> Tensor:
    mean: Tensor = (values * where).sum() / where.sum().clamp_min(1)
    return mean
