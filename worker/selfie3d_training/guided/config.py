"""Everything a training run of the guided network is decided by."""

from __future__ import annotations

from dataclasses import dataclass, field

from selfie3d_training.config import RunConfig
from vrn.finder.config import DenseConfig
from vrn.network.guided_config import GuidedConfig

MOST_RESIDUAL = 0.016  # share of the face; photos whose fit is further from its points are left out


@dataclass(frozen=True)
class GuidedTrainConfig(RunConfig):
    """A run of the guided network.

    Attributes
    ----------
    turned_share : of the samples, how many are turned views where there are any
    yaw_from, yaw_boost : photos that look aside by more than these degrees are drawn this much more often
    most_residual : share of the face; photos whose fit is further from its points are left out
    coarse_weight : of the head after the corrections of pose and shape, against 1 for the displaced one
    edge_weight : of the strain of the face's edges
    landmark_weight : of the distance of the true landmarks to the surface
    smooth_weight : of the second differences of the displacement field, px
    """

    network: GuidedConfig = field(default_factory=GuidedConfig)
    samples: int = 1_000_000
    batch: int = 8
    learning_rate: float = 1e-3
    warmup: int = 1_500
    clip: float = 3.0
    ema: float = 0.998
    bf16: bool = False
    checkpoint_minutes: float = 3.0
    turned_share: float = 0.4
    yaw_from: tuple[float, ...] = (25.0, 40.0)
    yaw_boost: tuple[float, ...] = (2.5, 5.0)
    most_residual: float = MOST_RESIDUAL
    coarse_weight: float = 0.5
    edge_weight: float = 5.0
    landmark_weight: float = 1.0
    smooth_weight: float = 0.05


@dataclass(frozen=True)
class DenseTrainConfig(RunConfig):
    """A run of the dense aligner."""

    network: DenseConfig = field(default_factory=DenseConfig)
    seed: int = 1
    samples: int = 576_000
    batch: int = 32
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warmup: int = 6_400
    clip: float = 5.0
    floor: float = 0.01
    ema: float = 0.998
    bf16: bool = False
    workers: int = 0
    log_every: int = 10
