"""The two networks of the bundled finder. Pictures go in as RGB, 0..255; the networks normalise themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vrn.finder.config import DETECTOR_MAPS, LANDMARKS, AlignerConfig, DetectorConfig


def normalised(pictures: Tensor) -> Tensor:
    """(n, 3, h, w) 0..255 -> about -2..2, mid-grey at 0, so that zero padding is mid-grey."""
    return ((pictures.float() - 127.5) / 64.0).contiguous(memory_format=torch.channels_last)


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class LightBlock(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(features + self.second(self.first(features)))


class DetectorNetwork(nn.Module):
    """Fully convolutional: for every 4th pixel, is it the centre of a face of 16 to 48 px, and where exactly."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth, sixteenth = config.channels
        self.shallow = nn.Sequential(
            convolution(3, half, 3, 2),
            convolution(half, quarter, 3, 2),
            convolution(quarter, quarter),
            convolution(quarter, eighth, 3, 2),
            LightBlock(eighth),
        )
        self.deep = nn.Sequential(
            convolution(eighth, sixteenth, 3, 2),
            LightBlock(sixteenth),
            LightBlock(sixteenth),
            convolution(sixteenth, eighth, 1),
        )
        self.head = nn.Sequential(LightBlock(eighth), nn.Conv2d(eighth, DETECTOR_MAPS * 4, 1), nn.PixelShuffle(2))
        self._start_without_faces()

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, 3, h, w) 0..255, h and w multiples of 16 -> (n, 4, h/4, w/4), see DETECTOR_MAPS."""
        return self.maps(normalised(pictures))

    def maps(self, pictures: Tensor) -> Tensor:
        """As `forward`, for pictures that are normalised."""
        shallow = self.shallow(pictures)
        deep = functional.interpolate(self.deep(shallow), scale_factor=2.0, mode="bilinear", align_corners=False)
        maps: Tensor = self.head(shallow + deep)
        return maps

    def _start_without_faces(self) -> None:
        """Bias the score to 1 % so that training does not start with faces everywhere (Lin et al. 2017)."""
        last = self.head[1]
        if isinstance(last, nn.Conv2d) and last.bias is not None:
            with torch.no_grad():
                last.bias.zero_()[:4] = -4.6


class AlignerNetwork(nn.Module):
    """68 landmarks in a loose crop.

    x and y are the centres of mass of heat maps (Sun et al. 2018, integral regression), depth the mean of a depth map
    under the same heat; a small fully connected branch adds what the maps cannot say and judges whether it is a face.
    """

    def __init__(self, config: AlignerConfig) -> None:
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
        self.heat = nn.Conv2d(config.head, LANDMARKS, 1)
        self.depth = nn.Conv2d(config.head, LANDMARKS, 1)
        cells = (config.size // 16) ** 2
        self.whole = nn.Sequential(
            convolution(sixteenth, 16, 1),
            nn.Flatten(),
            nn.Linear(16 * cells, 128),
            nn.ReLU(),
            nn.Linear(128, LANDMARKS * 3 + 1),
        )
        self._start_at_the_centre()

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, size, size) 0..255 -> landmarks (n, 68, 3), and logits (n,) of being a face.

        Landmarks: x right, y down, depth to the viewer; 0 is the picture's centre, 1 half its side. Mean depth is 0.
        """
        quarter = self.quarter(normalised(pictures))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        merged = self.from_eighth(eighth) + doubled(self.from_sixteenth(sixteenth))
        merged = self.merge(functional.relu(self.from_quarter(quarter) + doubled(merged)))
        whole = self.whole(sixteenth).float()
        landmarks = _centres_of_mass(self.heat(merged).float(), self.depth(merged).float())
        landmarks = landmarks + whole[:, 1:].reshape(-1, LANDMARKS, 3)
        depth = landmarks[..., 2:]
        return torch.cat([landmarks[..., :2], depth - depth.mean(1, keepdim=True)], 2), whole[:, 0]

    def _start_at_the_centre(self) -> None:
        last = self.whole[-1]
        if isinstance(last, nn.Linear):
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)


def doubled(features: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, c, 2 h, 2 w), linearly interpolated."""
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


def _centres_of_mass(heat: Tensor, depth: Tensor) -> Tensor:
    """Heat logits and depths (n, 68, h, w) -> (n, 68, 3), x and y from -1 to 1 over the map."""
    share = functional.softmax(heat.flatten(2), 2).reshape(heat.shape)
    x, y = (
        (torch.arange(n, dtype=heat.dtype, device=heat.device) + 0.5) * 2 / n - 1
        for n in (heat.shape[3], heat.shape[2])
    )
    return torch.stack([share.sum(2) @ x, share.sum(3) @ y, (share * depth).sum((2, 3))], 2)
