"""The guided network as a task of the training engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from selfie3d_training.engine import Batch
from selfie3d_training.guided.config import GuidedTrainConfig
from selfie3d_training.guided.loss import HeadLoss
from selfie3d_training.guided.pairs import Drawn, HeadMaterial, HeadPairs, batch_of
from vrn.network.guided import Guide, GuidedHourglass
from vrn.weights import file as weights

VALIDATION_PHOTOS = 48


class GuidedTask:
    """See `selfie3d_training.engine.Task`.

    initial : a new run takes from these weights the tensors whose names and shapes it shares
    """

    def __init__(self, config: GuidedTrainConfig, material: HeadMaterial, initial: Path | None = None) -> None:
        self.config, self._material, self._initial = config, material, initial
        self._criterion = HeadLoss(material.model, config)

    def network(self) -> nn.Module:
        """A network with random weights, or with what `initial` has of them."""
        network = GuidedHourglass(self.config.network)
        if self._initial is not None:
            start_from(network, self._initial)
        return network

    def batches(self, rank: int, world: int) -> Dataset[Batch]:
        """Batches by step number; several processes take turns."""
        return _Shared(HeadPairs(self._material, self.config), rank, world)

    def validation(self) -> Batch:
        """Photos that were held out, with the guides that they would get."""
        material, rng = self._material, np.random.default_rng(0)
        ids = material.ids("val", self.config.most_residual)
        chosen = ids[:: max(len(ids) // VALIDATION_PHOTOS, 1)][:VALIDATION_PHOTOS].tolist()
        drawn = []
        for photo in chosen:
            source = material.of_photo(photo)
            points = material.points(source)
            if material.errors is not None:
                points = points + material.errors.draw(rng, source)
            drawn.append(Drawn(source, material.found_photos[photo], points))
        return batch_of(material, drawn, None)

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """See `HeadLoss`."""
        picture = batch["picture"].permute(0, 3, 1, 2).float() / 255
        guide = Guide(batch["scale"], batch["rotation"], batch["translation"], batch["coefficients"])
        answer = network(picture.contiguous(memory_format=torch.channels_last), batch["maps"], guide.code())
        self._criterion.to(picture.device)
        terms: dict[str, Tensor] = self._criterion(answer, guide, batch["target"], batch["landmarks"])
        return terms


class _Shared(Dataset[Batch]):
    """Every `world`-th batch of a data set."""

    def __init__(self, pairs: HeadPairs, rank: int, world: int) -> None:
        self._pairs, self._rank, self._world = pairs, rank, world

    def __getitem__(self, step: int) -> Batch:
        return self._pairs[step * self._world + self._rank]


def start_from(model: nn.Module, path: Path) -> int:
    """Take over the tensors of a weights file that `model` has under the same name and shape; returns how many."""
    own = model.state_dict()
    found = weights.load(path).tensors
    shared = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(own | shared)
    return len(shared)
