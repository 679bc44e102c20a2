"""The loss: voxel-wise cross-entropy with a softened target, thickness, and the place and slope of the front."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from torch import Tensor, nn

from selfie3d_training.config import TrainConfig

DEPTH_STRIDE = 2  # the loss sees every second sample along depth: enough for a target softened over several


class VolumeLoss(nn.Module):
    """See the module's text; the terms are added with the weights of the configuration.

    The front term is the distance, in px, between the field's surface and the true front, estimated from the logit
    at the true front and the slope that the softened target has there. The slope term compares the difference of
    that distance between neighbouring columns: it sees what shading shows.
    """

    soften: Tensor

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self._config = config
        grid = config.network.grid
        soften = gaussian_matrix(grid.shape[0], config.softness / grid.step[2])[::DEPTH_STRIDE]
        self.register_buffer("soften", soften.contiguous())
        self._origin, self._step = grid.origin[2], grid.step[2] * DEPTH_STRIDE
        self._slope = 4 / math.sqrt(2 * math.pi) / config.softness  # logit per px of a softened edge at its middle

    def forward(self, logits: Tensor, occupancy: Tensor, front: Tensor, hull: Tensor) -> dict[str, Tensor]:
        """logits (n, d / DEPTH_STRIDE, h, w) float32, the rest as in a batch.

        Returns the terms; `loss` is their weighted sum.
        """
        n, _, height, width = occupancy.shape
        target = (self.soften @ occupancy.float().flatten(2)).view(n, -1, height, width)
        inside = hull.bool()
        weight = torch.where(inside, self._config.hull_weight, 1.0)
        entropy = (F.softplus(logits) - target * logits).mean(1)
        thickness = (torch.sigmoid(logits).mean(1) - target.mean(1)).abs()
        known = inside & ~front.isnan()
        error = self._front_error(logits, front.nan_to_num(self._origin))
        terms = {
            "entropy": (entropy * weight).sum() / weight.sum(),
            "thickness": (thickness * weight).sum() / weight.sum(),
            "front": _mean(F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none"), known),
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

    def _front_error(self, logits: Tensor, front: Tensor) -> Tensor:
        place = ((front - self._origin) / self._step).clamp(0, logits.shape[1] - 1.001)
        below = place.floor()
        part = (place - below)[:, None]
        index = below.long()[:, None]
        at_front: Tensor = logits.gather(1, index) * (1 - part) + logits.gather(1, index + 1) * part
        return at_front[:, 0] / self._slope


def gaussian_matrix(depths: int, sigma: float) -> Tensor:
    """(depths, depths) float32 - a Gaussian along depth (`sigma` in samples); the ends are continued."""
    position = torch.arange(depths, dtype=torch.float64)
    edges = torch.cat([torch.tensor([-math.inf]), position[:-1] + 0.5, torch.tensor([math.inf])])
    cumulated = torch.special.ndtr((edges[None, :] - position[:, None]) / sigma)
    return (cumulated[:, 1:] - cumulated[:, :-1]).float()


def _mean(values: Tensor, where: Tensor) -> Tensor:
    mean: Tensor = (values * where).sum() / where.sum().clamp_min(1)
    return mean
