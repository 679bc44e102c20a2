"""How the aligners look at a face: where their picture is cut out of a patch of the photo, in torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vrn.finder.config import LOOSENESS, PATCH_LOOSENESS
from vrn.finder.networks import AlignerNetwork

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)  # of the subject


@dataclass(frozen=True)
class AlignerView:
    """A square looked at: ``patch = centre + half * rotation @ view``, view coordinates from -1 to 1.

    Attributes
    ----------
    centre : (n, 2) float - patch coordinates, -1 to 1
    half : (n,) float - half the side
    turn : (n, 2) float - cosine and sine of the rotation, clockwise as seen
    """

    centre: Tensor
    half: Tensor
    turn: Tensor

    def matrix(self) -> Tensor:
        """(n, 2, 3), view to patch."""
        cos, sin = (self.turn * self.half[:, None]).unbind(1)
        turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
        return torch.cat([turn, self.centre[:, :, None]], 2)

    def cut(self, patches: Tensor, size: int) -> Tensor:
        """(n, 3, h, h) -> (n, 3, size, size)."""
        places = (torch.arange(size, dtype=patches.dtype, device=patches.device) + 0.5) * 2 / size - 1
        across, down, centre = self.matrix()[..., None, None].unbind(2)  # (n, 2, 1, 1) each
        grid = (across * places + down * places[:, None] + centre).permute(0, 2, 3, 1)
        return functional.grid_sample(patches, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def to_patch(self, landmarks: Tensor) -> Tensor:
        """Landmarks (n, 68, 3) of the view to the patch, depth in the same unit."""
        matrix = self.matrix()
        flat = landmarks[..., :2] @ matrix[:, :, :2].transpose(1, 2) + matrix[:, None, :, 2]
        return torch.cat([flat, landmarks[..., 2:] * self.half[:, None, None]], 2)


class TwoLooks(nn.Module):
    """The aligner as it is run: at the box as the detector gave it, and then at the upright face that it saw there."""

    def __init__(self, network: AlignerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, h) 0..255 -> landmarks (n, 68, 3) in patch coordinates, and the lower of the two verdicts (n,)."""
        size = self.network.config.size
        none = torch.zeros_like(patches[:, 0, 0, 0])
        view = AlignerView(torch.stack([none, none], 1), none + LOOSENESS / PATCH_LOOSENESS, unturned(none))
        first, sure = self.network(view.cut(patches, size))
        view = upright_view(view.to_patch(first))
        second, surer = self.network(view.cut(patches, size))
        return view.to_patch(second), torch.minimum(sure, surer).sigmoid()


def upright_view(landmarks: Tensor) -> AlignerView:
    """The view in which a face is centred, upright and of the usual size.

    landmarks : (n, 68, 3) - patch coordinates
    """
    flat = landmarks[..., :2]
    across = flat[:, LEFT_EYE].mean(1) - flat[:, RIGHT_EYE].mean(1)
    down = flat[:, 8] - flat[:, 27]  # chin and the nose's root: sure where the eyes lie behind one another
    right = torch.stack([across[:, 0] + down[:, 1], across[:, 1] - down[:, 0]], 1)
    turn = right / right.square().sum(1, keepdim=True).sqrt().clamp(min=1e-9)
    nowhere, whole = torch.zeros_like(right), torch.ones_like(right[:, 0])
    back = AlignerView(nowhere, whole, turn * turn.new_tensor([1.0, -1.0]))
    upright = back.to_patch(landmarks)[..., :2]
    low, high = upright.amin(1), upright.amax(1)
    middle = ((low + high) / 2)[:, None]
    centre = AlignerView(nowhere, whole, turn).to_patch(functional.pad(middle, (0, 1)))[:, 0, :2]
    half = (high - low).prod(1).sqrt().clamp(0.1, 2.0) * LOOSENESS / 2
    return AlignerView(centre, half, turn)


def unturned(like: Tensor) -> Tensor:
    """(n,) -> (n, 2): the `turn` of views that are not turned."""
    return torch.stack([torch.ones_like(like), torch.zeros_like(like)], 1)
