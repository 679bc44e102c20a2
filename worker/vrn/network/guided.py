"""The guided network: a picture and a guide's head to that person's head.

The guide is a morphable head fitted to the landmarks. The hourglass sees the picture and the guide's pictures and
answers with what is wrong about the guide, from coarse to fine:

1. corrections of its pose and of its shape's coefficients, from the coarsest level;
2. a displacement field over the head crop: every column of 48 x 48 has cubic B-splines along depth, one for each of x,
   y and depth, so that front, sides and back move on their own and lids, lips and ears stay crisp;
3. an occupancy logit that is added to the moved guide's volume, again splines along depth.

Frame: the head crop, `vrn.avatar.guide`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from torch import Tensor, nn

from selfie3d.types.frames import CROP_CENTRE, CROP_SIZE
from vrn.avatar.guide import MAPS
from vrn.network.displacement import displaced
from vrn.network.guided_config import GuidedConfig
from vrn.network.hourglass import PICTURE_MEAN, PICTURE_SPREAD, LateralHead, Level, Residual

POSE = 6  # corrections of the pose: rotation vector, logarithm of the scale, translation in the picture
POSE_SCALE = (0.1, 0.1, 0.1, 0.05, 4.0, 4.0)  # of an answer of 1: radians, logarithm, px
SHAPE_SCALE = 0.3  # coefficients
DISPLACEMENT_SCALE = 2.0  # px


@dataclass(frozen=True)
class Guide:
    """The guides of n faces in their head crops.

    Attributes
    ----------
    scale : (n,) float32 - px per cm
    rotation : (n, 3, 3) float32 - head frame to camera frame (y up)
    translation : (n, 3) float32 - px, camera frame; the picture is ``(1, -1, 1) * camera``
    coefficients : (n, k) float32
    """

    scale: Tensor
    rotation: Tensor
    translation: Tensor
    coefficients: Tensor

    def code(self) -> Tensor:
        """(n, 9 + k) float32 - what the network is told about the guide beside its pictures."""
        return torch.cat([self.rotation.flatten(1), self.coefficients], 1)

    def corrected(self, answer: Tensor) -> Guide:
        """The guide with corrections (n, 6 + k) of pose and coefficients, see POSE."""
        pose = answer[:, :POSE] * answer.new_tensor(POSE_SCALE)
        rotation = _turn(pose[:, :3]) @ self.rotation
        shift = F.pad(pose[:, 4:], (0, 1))
        centre = self.translation.new_tensor([CROP_CENTRE, -CROP_CENTRE, CROP_CENTRE])
        grown = pose[:, 3].exp()
        # about the middle of the crop, where the head's centre lies
        turn = rotation @ self.rotation.transpose(1, 2)
        moved = (turn @ (self.translation - centre)[..., None])[..., 0] * grown[:, None] + centre + shift
        return Guide(self.scale * grown, rotation, moved, self.coefficients + SHAPE_SCALE * answer[:, POSE:])

    def vertices(self, neutral: Tensor, shapes: Tensor) -> Tensor:
        """neutral (v, 3), shapes (k, v * 3) -> (n, v, 3) in the head crop frame."""
        return self.placed(neutral, self.coefficients @ shapes)

    def placed(self, neutral: Tensor, moved: Tensor) -> Tensor:
        """neutral (v, 3), the sums of the shapes (n, v * 3) -> (n, v, 3) in the head crop frame."""
        shaped = neutral + moved.reshape(-1, *neutral.shape)
        camera = (shaped * self.scale[:, None, None]) @ self.rotation.transpose(1, 2) + self.translation[:, None]
        return camera * camera.new_tensor([1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Answer:
    """What the network says of n guides.

    Attributes
    ----------
    corrections : (n, 6 + k) - of pose and coefficients, see :meth:`Guide.corrected`
    displacement : (n, 3 * layers, 48, 48) px - spline coefficients: x, y, depth of layer 0, of layer 1, ...
    residual : (n, residual, 96, 96) spline coefficients of the logit, or None
    """

    corrections: Tensor
    displacement: Tensor
    residual: Tensor | None


class GuidedHourglass(nn.Module):
    """See the module's text; built from a :class:`GuidedConfig`."""

    def __init__(self, config: GuidedConfig) -> None:
        super().__init__()
        self.config = config
        first, last = config.widths[0], config.widths[-1]
        self.stem1 = nn.Conv2d(3, config.stem, 5, stride=2, padding=2, bias=False)
        self.stem_guide = nn.Conv2d(MAPS, config.stem, 5, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(config.stem)
        self.stem2 = nn.Conv2d(config.stem, first, 3, stride=2, padding=1)
        self.body = nn.Sequential(Level(config.widths, config.bottom), Residual(first))
        cells = (CROP_SIZE // 2 ** (len(config.widths) + 1)) ** 2
        self.squeeze = nn.Sequential(
            nn.BatchNorm2d(last),
            nn.ReLU(),
            nn.Conv2d(last, config.squeeze, 1, bias=False),
            nn.BatchNorm2d(config.squeeze),
            nn.ReLU(),
        )
        self.joined = nn.Linear(config.squeeze * cells + 9 + config.shapes, config.hidden)
        self.corrections = nn.Linear(config.hidden, POSE + config.shapes)
        self.last_norm = nn.BatchNorm2d(first)
        self.displacement = nn.Conv2d(first, 3 * config.layers, 1)
        self.head = LateralHead(first, config.stem, config.lateral) if config.residual else None
        self.residual = nn.Conv2d(config.lateral, config.residual, 1) if config.residual else None
        for zero in (self.stem_guide, self.corrections, self.displacement, self.residual):
            if zero is not None:  # in the beginning the answer is the guide
                nn.init.normal_(zero.weight, std=1e-3)
                if zero.bias is not None:
                    nn.init.zeros_(zero.bias)

    def forward(self, picture: Tensor, maps: Tensor, code: Tensor) -> Answer:
        """picture (n, 3, 192, 192) float32 - RGB in 0..1; maps (n, 5, 96, 96) and code (n, 9 + k) of the guide."""
        seen = self.stem1((picture - PICTURE_MEAN) / PICTURE_SPREAD) + self.stem_guide(maps)
        fine = F.relu(self.stem_norm(seen))
        deep, coarsest = _through(self.body[0], self.stem2(fine))
        squeezed = self.squeeze(coarsest).flatten(1)
        hidden = F.relu(self.joined(torch.cat([squeezed, code], 1)))
        x = self.body[1](deep)
        moved = DISPLACEMENT_SCALE * self.displacement(F.relu(self.last_norm(x)))
        logits = None
        if self.head is not None and self.residual is not None:
            logits = self.residual(self.head(x, fine, None))
        return Answer(self.corrections(hidden), moved, logits)


class HeadPass(nn.Module):
    """The network as it is run: the guide, corrected, and its vertices, moved."""

    def __init__(self, network: GuidedHourglass) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        picture: Tensor,
        maps: Tensor,
        scale: Tensor,
        rotation: Tensor,
        translation: Tensor,
        coefficients: Tensor,
        neutral: Tensor,
        small_steps: Tensor,
        large_steps: Tensor,
        *blocks: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """picture and maps as of :class:`GuidedHourglass`, the guide's four as of :class:`Guide`, the head model's
        neutral (v, 3) and shapes as of :func:`summed` -> vertices (n, v, 3), head crop frame, and the corrected guide's
        four."""
        guide = Guide(scale, rotation, translation, coefficients)
        answer = self.network(picture, maps, guide.code())
        new = guide.corrected(answer.corrections)
        shaped = new.placed(neutral, summed(new.coefficients, small_steps, large_steps, blocks))
        moved = displaced(shaped, answer.displacement)
        return moved, new.scale, new.rotation, new.translation, new.coefficients


def summed(coefficients: Tensor, small_steps: Tensor, large_steps: Tensor, blocks: Sequence[Tensor]) -> Tensor:
    """The shapes of a head, each times its coefficient: (n, k) -> (n, v * 3), cm.

    small_steps, large_steps and blocks : :meth:`vrn.avatar.shapes.HeadShapes.constants`
    """
    of_small, of_large = coefficients @ small_steps, coefficients @ large_steps
    pairs = zip(blocks[::2], blocks[1::2], strict=True)
    return torch.cat([of_small @ small.float() + of_large @ large.float() for small, large in pairs], 1)


def _through(level: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a level makes of x, and the features of the coarsest level inside it."""
    if not isinstance(level, Level):
        low: Tensor = level(x)
        return low, low
    inner, coarsest = _through(level.inner, level.down(x))
    out: Tensor = level.out(level.skip(x) + F.interpolate(level.up(inner), scale_factor=2, mode="bilinear"))
    return out, coarsest


def _turn(vectors: Tensor) -> Tensor:
    """(n, 3) radians -> (n, 3, 3): the turn about each vector (Rodrigues), smooth at no turn."""
    angle = (vectors.square().sum(1) + 1e-14).sqrt()[:, None, None]
    once, twice = angle.sin() / angle, ((angle / 2).sin() / angle).square() * 2
    cross = _cross(vectors)
    return torch.eye(3, device=vectors.device) + once * cross + twice * (cross @ cross)


def _cross(vectors: Tensor) -> Tensor:
    """(n, 3) -> (n, 3, 3): the matrix of the cross product with each vector."""
    x, y, z = vectors.unbind(1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
