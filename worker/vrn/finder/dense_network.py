"""The network of the third look, in torch: the aligner's with other last layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vrn.finder.config import DenseConfig
from vrn.finder.dense import POINTS
from vrn.finder.looks import upright_view
from vrn.finder.networks import LightBlock, convolution, doubled, normalised


class DenseNetwork(nn.Module):
    """Centres of mass of heat maps for x and y, and a small fully connected branch that adds what the maps cannot say
    and gives the depth; as `vrn.finder.networks.AlignerNetwork`."""

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth, sixteenth = config.channels
        self.quarter = nn.Sequential(convolution(3, half, 3, 2), convolution(half, quarter, 3, 2), LightBlock(quarter))
        self.eighth = nn.Sequential(convolution(quarter, eighth, 3, 2), LightBlock(eighth), LightBlock(eighth))
        self.sixteenth = nn.Sequential(convolution(eighth, sixteenth, 3, 2), LightBlock(sixteenth))
        self.from_sixteenth = nn.Conv2d(sixteenth, config.head, 1)
        self.from_eighth = nn.Conv2d(eighth, config.head, 1)
        self.from_quarter = nn.Conv2d(quarter, config.head, 1)
        self.merge = convolution(config.head, config.head)
        self.dense_heat = nn.Conv2d(config.head, POINTS, 1)
        cells = (config.size // 16) ** 2
        self.dense_whole = nn.Sequential(
            convolution(sixteenth, 16, 1),
            nn.Flatten(),
            nn.Linear(16 * cells, 128),
            nn.ReLU(),
            nn.Linear(128, POINTS * 3),
        )
        last = self.dense_whole[-1]
        if isinstance(last, nn.Linear):
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, 3, size, size) 0..255 -> (n, 160, 3): x right, y down, depth to the viewer; 0 is the picture's centre,
        1 half its side. Mean depth is 0."""
        quarter = self.quarter(normalised(pictures))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        merged = self.from_eighth(eighth) + doubled(self.from_sixteenth(sixteenth))
        merged = self.merge(functional.relu(self.from_quarter(quarter) + doubled(merged)))
        share = functional.softmax(self.dense_heat(merged).float().flatten(2), 2)
        cells = merged.shape[-1]
        place = (torch.arange(cells, dtype=share.dtype, device=share.device) + 0.5) * 2 / cells - 1
        places = torch.stack([place.repeat(cells), place.repeat_interleave(cells)], 1)
        points = functional.pad(share @ places, (0, 1))
        points = points + self.dense_whole(sixteenth).float().reshape(-1, POINTS, 3)
        return torch.cat([points[..., :2], points[..., 2:] - points[..., 2:].mean(1, keepdim=True)], 2)


class DenseLook(nn.Module):
    """The network as it is run: at the upright face whose 68 landmarks are known."""

    def __init__(self, network: DenseNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor, landmarks: Tensor) -> Tensor:
        """patches (n, 3, h, h) 0..255, landmarks (n, 68, 3) in patch coordinates -> (n, 160, 3) in the same."""
        view = upright_view(landmarks)
        points: Tensor = self.network(view.cut(patches, self.network.config.size))
        return view.to_patch(points)
