"""Everything a training run is decided by. A copy lies in every checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol, Self

from selfie3d_training.errors import TrainingError
from vrn.network import HourglassConfig

BUDGET = ("samples", "minutes", "workers", "log_every", "checkpoint_minutes")  # what a resumed run may change


class NetworkConfig(Protocol):
    """What decides a network's weights."""

    def to_dict(self) -> dict[str, Any]:
        """For the metadata of the weights."""
        ...

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Raises WeightsError when a field is missing, unknown or ill-typed."""
        ...


@dataclass(frozen=True)
class RunConfig:
    """What every run is decided by. An override (JSON) holds only what differs from the defaults.

    Attributes
    ----------
    network : the network to train
    seed : of everything random
    samples : length of the run; the learning rate follows when it is changed
    minutes : the run is over after this time at the latest, on the same schedule; 0 is no limit
    batch : samples per step and process
    learning_rate, weight_decay, warmup, clip : of AdamW: peak, decay, samples until the peak, norm of the gradient
    floor : share of the peak that the learning rate falls to
    ema : share of the running mean of the weights that a step keeps
    bf16 : compute the forward pass in bfloat16
    workers : processes that make samples; 0 makes them in the training process
    log_every : steps per line of the log
    checkpoint_minutes : time between checkpoints
    """

    network: NetworkConfig = field(default_factory=HourglassConfig)
    seed: int = 0
    samples: int = 400_000
    minutes: float = 0.0
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: int = 4_000
    clip: float = 1.0
    floor: float = 0.0
    ema: float = 0.999
    bf16: bool = True
    workers: int = 1
    log_every: int = 50
    checkpoint_minutes: float = 4.0

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "network": self.network.to_dict()})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Defaults with `values` over them. Raises TrainingError for an unknown or ill-typed one."""
        return cls().override(values)

    def override(self, values: Mapping[str, Any]) -> Self:
        """This configuration with `values` over it; `network` may itself hold only what differs."""
        names = [f.name for f in fields(self)]
        for name in values:
            if name not in names:
                raise TrainingError(f"{name}: there is no such setting (there are: {', '.join(names)})")
        return replace(self, **{name: self._converted(name, value) for name, value in values.items()})

    def read(self, path: Path | None) -> Self:
        """This configuration with the override file at `path` over it. Raises TrainingError."""
        if path is None:
            return self
        try:
            values = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(f"{path}: expected a file of JSON: {error}") from error
        return self.override(values)

    def differences(self, other: RunConfig) -> list[str]:
        """The settings, apart from the budget, in which another configuration differs."""
        names = [f.name for f in fields(self) if f.name not in BUDGET]
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    def _converted(self, name: str, value: Any) -> Any:
        if name == "network":
            return type(self.network).of(self.network.to_dict() | dict(value))
        kind = type(getattr(self, name))
        if kind is tuple:
            return tuple(float(v) for v in value)
        if kind is bool and not isinstance(value, bool):
            raise TrainingError(f"{name}: expected true or false, found {value!r}")
        try:
            return kind(value)
        except (TypeError, ValueError) as error:
            raise TrainingError(f"{name}: expected {kind.__name__}, found {value!r}") from error


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """A run of the volume network.

    Attributes
    ----------
    turned_share : of the samples, how many are turned views where there are any
    yaw_from, yaw_boost : photos that look aside by more than these degrees are drawn this much more often
    softness : px, standard deviation of the Gaussian that softens the target along depth
    hull_weight : of the columns inside the hull of the landmarks, against 1 outside
    thickness_weight, front_weight, slope_weight : of the loss terms beside the cross-entropy
    """

    network: HourglassConfig = field(default_factory=HourglassConfig)
    turned_share: float = 0.45
    yaw_from: tuple[float, ...] = (25.0, 40.0)
    yaw_boost: tuple[float, ...] = (2.5, 5.0)
    softness: float = 5.0
    hull_weight: float = 4.0
    thickness_weight: float = 0.3
    front_weight: float = 0.03
    slope_weight: float = 0.1
