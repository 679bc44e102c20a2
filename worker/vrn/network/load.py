"""Weights to a network that is ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from selfie3d.types.frames import CROP_SIZE, Grid
from vrn.errors import WeightsError
from vrn.meshing.field import Field
from vrn.network.config import FAMILY, HourglassConfig
from vrn.network.hourglass import Hourglass
from vrn.official.network import FAMILY as OFFICIAL
from vrn.official.network import Official, OfficialConfig
from vrn.weights import file as weights

DEFAULT = "default"


class Volumetric(Protocol):
    """What a family's module offers beside being a torch module: RGB in 0..1 to values on its grid."""

    level: float

    @property
    def grid(self) -> Grid:
        """Where the samples of the output lie in the crop frame."""
        ...


def _hourglass(config: Mapping[str, Any]) -> torch.nn.Module:
    return Hourglass(HourglassConfig.of(config))


def _official(config: Mapping[str, Any]) -> torch.nn.Module:
    return Official(OfficialConfig.of(config))


FAMILIES: dict[str, Callable[[Mapping[str, Any]], torch.nn.Module]] = {FAMILY: _hourglass, OFFICIAL: _official}


class LoadedNetwork:
    """A network with its weights, for inference.

    Attributes
    ----------
    config : the configuration that came with the weights
    metrics : what was measured with these weights
    sha256 : of the weights' file
    """

    def __init__(self, module: torch.nn.Module, loaded: weights.Weights, device: str) -> None:
        self.config, self.metrics, self.sha256 = loaded.config, loaded.metrics, loaded.sha256
        self._device = torch.device(device)
        self._layout = getattr(module, "layout", torch.channels_last)
        self._module = module.eval().requires_grad_(False).to(self._device, memory_format=self._layout)  # type: ignore[call-overload]

    @property
    def grid(self) -> Grid:
        """The grid of every field this network makes."""
        return cast(Volumetric, self._module).grid

    def field(self, crop: NDArray[np.uint8]) -> Field:
        """crop : (192, 192, 3) uint8 - RGB, crop frame. Raises ValueError for another shape or type."""
        return self.fields([crop])[0]

    def fields(self, crops: Sequence[NDArray[np.uint8]]) -> list[Field]:
        """The fields of several crops in one run of the network; none of them depends on the others."""
        if not crops:
            return []
        for crop in crops:
            if crop.shape != (CROP_SIZE, CROP_SIZE, 3) or crop.dtype != np.uint8:
                raise ValueError(f"a crop is ({CROP_SIZE}, {CROP_SIZE}, 3) uint8, not {crop.shape} {crop.dtype}")
        picture = torch.from_numpy(np.stack(crops)).to(self._device).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            values = self._module(picture.contiguous(memory_format=self._layout))
        level = cast(Volumetric, self._module).level
        return [Field(np.ascontiguousarray(v), self.grid, level) for v in values.float().cpu().numpy()]


def load_network(name_or_path: str | Path = DEFAULT, device: str = "cpu") -> LoadedNetwork:
    """Bundled weights by name, or a file.

    Raises WeightsError when they are missing, damaged, of an unknown family or do not fit their network.
    """
    loaded = weights.load(weights.resolve(name_or_path))
    family = loaded.config.get("family")
    if family not in FAMILIES:
        raise WeightsError(f"expected weights of the family {' or '.join(sorted(FAMILIES))}, found {family!r}")
    module = FAMILIES[family](loaded.config)
    weights.fill(module, loaded.tensors)
    return LoadedNetwork(module, loaded, device)
