"""The volume network as a task of the training engine: pairs of crop and volume, and their loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from selfie3d_training.config import TrainConfig
from selfie3d_training.dataset import Material, Pairs, plain_batch
from selfie3d_training.engine import Batch, device
from selfie3d_training.loss import DEPTH_STRIDE, VolumeLoss
from vrn.network.hourglass import Hourglass

TERMS = ("loss", "entropy", "thickness", "front", "slope")
VALIDATION_PHOTOS = 64


class VolumeTask:
    """See `selfie3d_training.engine.Task`."""

    def __init__(self, config: TrainConfig, material: Material) -> None:
        self.config, self._material = config, material
        self._criterion = VolumeLoss(config).to(device())

    def network(self) -> Hourglass:
        """With random weights."""
        return Hourglass(self.config.network)

    def batches(self, rank: int, world: int) -> Dataset[Batch]:
        """See `Pairs`."""
        return Pairs(self._material, self.config, rank, world)

    def validation(self) -> Batch:
        """64 photos of the validation split, spread over all of it."""
        ids = self._material.photos.ids("val")
        return plain_batch(
            self._material, ids[:: max(len(ids) // VALIDATION_PHOTOS, 1)][:VALIDATION_PHOTOS], self.config
        )

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The terms of `VolumeLoss`, computed in float32 whatever the network computes in."""
        picture = batch["picture"].permute(0, 3, 1, 2).float() / 255
        row, column = batch["phase"].tolist()
        phase = (row, column) if self.config.network.columns == 96 else None
        logits = network(picture.contiguous(memory_format=torch.channels_last), phase, DEPTH_STRIDE)
        with torch.autocast(logits.device.type, enabled=False):
            terms: dict[str, Tensor] = self._criterion(
                logits.float(), batch["occupancy"], batch["front"], batch["hull"]
            )
        return terms
