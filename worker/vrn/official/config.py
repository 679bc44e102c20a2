"""The configuration of the released network: everything that decides its weights and its grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from selfie3d.types.frames import CROP_SIZE, DEPTH_STEP, VOLUME_DEPTH, Grid
from vrn.errors import WeightsError

FAMILY = "official"
LEVEL = 0.5  # the probability of the surface
STATISTICS = ("batch", "running")


@dataclass(frozen=True)
class OfficialConfig:
    """The nesting of the released network; the defaults are its sizes.

    Attributes
    ----------
    stem, width, middle : channels at 96 x 96, from 48 x 48 on, and inside the blocks of that width
    blocks : residual blocks of the coarse branch per level, outermost first
    halves : hourglasses in a row
    outputs : samples along depth
    depth_step : crop px between two of them
    eps : added to every variance
    bn : `batch` (statistics of each picture, as released) or `running` (stored statistics)
    """

    stem: int = 64
    middle: int = 128
    width: int = 256
    blocks: tuple[int, ...] = (6, 6, 6, 9)
    halves: int = 2
    outputs: int = VOLUME_DEPTH
    depth_step: float = DEPTH_STEP
    eps: float = 1e-5
    bn: str = "batch"

    def __post_init__(self) -> None:
        sizes = (self.stem, self.middle, self.width, self.halves, self.outputs, len(self.blocks), *self.blocks)
        if min(sizes) < 1 or self.eps <= 0 or self.depth_step <= 0:
            raise WeightsError(f"expected positive sizes of the official network, found {self}")
        if self.bn not in STATISTICS:
            raise WeightsError(f"bn: expected {' or '.join(STATISTICS)}, found {self.bn!r}")

    @property
    def grid(self) -> Grid:
        """One sample per crop pixel; 200 along depth in the released network."""
        return Grid((self.outputs, CROP_SIZE, CROP_SIZE), (0.0, 0.0, 0.0), (1.0, 1.0, self.depth_step))

    def to_dict(self) -> dict[str, Any]:
        """For the weights' metadata; :meth:`of` reads it back."""
        return {"family": FAMILY, **asdict(self), "blocks": list(self.blocks)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> OfficialConfig:
        """Raises WeightsError when a field is missing, unknown or of the wrong kind."""
        kinds = {field.name: type(getattr(cls, field.name)) for field in fields(cls)}
        found = set(values) - {"family"}
        if found != kinds.keys():
            raise WeightsError(
                f"the configuration of the weights does not fit: missing {sorted(kinds.keys() - found)}, "
                f"unexpected {sorted(found - kinds.keys())}"
            )
        try:
            given = {name: kind(values[name]) for name, kind in kinds.items()}
            return cls(**given | {"blocks": tuple(int(n) for n in values["blocks"])})
        except (TypeError, ValueError) as error:
            raise WeightsError(f"the configuration of the weights does not fit: {error}") from error
