"""Everything a training run is decided by. A copy lies in every checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from selfie3d_training.errors import TrainingError
from vrn.network import HourglassConfig


@dataclass(frozen=True)
class TrainConfig:
    """One run. An override file (JSON) holds only what differs from these defaults.

    Attributes
    ----------
    network : the network to train
    seed : of everything random
    samples : length of the run; the learning rate has fallen to zero by then
    minutes : the run is over after this time at the latest, on the same schedule; 0 is no limit
    batch : samples per step and process
    learning_rate, weight_decay, warmup, clip : of AdamW: peak, decay, samples until the peak, norm of the gradient
    ema : share of the running mean of the weights that a step keeps
    turned_share : of the samples, how many are turned views where there are any
    yaw_from, yaw_boost : photos that look aside by more than these degrees are drawn this much more often
    softness : px, standard deviation of the Gaussian that softens the target along depth
    hull_weight : of the columns inside the hull of the landmarks, against 1 outside
    thickness_weight, front_weight, slope_weight : of the loss terms beside the cross-entropy
    bf16 : compute the forward pass in bfloat16
    workers : processes that make samples
    log_every : steps per line of the log
    checkpoint_minutes : time between checkpoints
    """

    network: HourglassConfig = field(default_factory=HourglassConfig)
    seed: int = 0
    samples: int = 400_000
    minutes: float = 0.0
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: int = 4_000
    clip: float = 1.0
    ema: float = 0.999
    turned_share: float = 0.45
    yaw_from: tuple[float, ...] = (25.0, 40.0)
    yaw_boost: tuple[float, ...] = (2.5, 5.0)
    softness: float = 5.0
    hull_weight: float = 4.0
    thickness_weight: float = 0.3
    front_weight: float = 0.03
    slope_weight: float = 0.1
    bf16: bool = True
    workers: int = 1
    log_every: int = 50
    checkpoint_minutes: float = 4.0

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "network": self.network.to_dict()})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Defaults with `values` over them. Raises TrainingError for an unknown or ill-typed one."""
        return cls().override(values)

    def override(self, values: Mapping[str, Any]) -> TrainConfig:
        """This configuration with `values` over it; `network` may itself hold only what differs."""
        kinds = {f.name: type(getattr(self, f.name)) for f in fields(self)}
        changes: dict[str, Any] = {}
        for name, value in values.items():
            if name not in kinds:
                raise TrainingError(f"{name}: there is no such setting (there are: {', '.join(kinds)})")
            changes[name] = self._converted(name, kinds[name], value)
        return replace(self, **changes)

    def _converted(self, name: str, kind: type, value: Any) -> Any:
        if kind is HourglassConfig:
            return HourglassConfig.of(self.network.to_dict() | dict(value))
        if kind is tuple:
            return tuple(float(v) for v in value)
        if kind is bool and not isinstance(value, bool):
            raise TrainingError(f"{name}: expected true or false, found {value!r}")
        try:
            return kind(value)
        except (TypeError, ValueError) as error:
            raise TrainingError(f"{name}: expected {kind.__name__}, found {value!r}") from error


def read_config(path: Path | None) -> TrainConfig:
    """The defaults, with the override file at `path` over them."""
    if path is None:
        return TrainConfig()
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: expected a file of JSON: {error}") from error
    return TrainConfig.of(values)
