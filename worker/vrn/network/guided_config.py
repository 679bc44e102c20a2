"""The configuration of the guided network: everything that decides its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from vrn.errors import WeightsError

FAMILY = "guided"


@dataclass(frozen=True)
class GuidedConfig:
    """The hourglass of the paper's family with a guide beside the picture.

    Attributes
    ----------
    stem : channels at 96 x 96
    widths : channels at 48, 24, 12, ... of the hourglass, outermost first
    bottom : residual blocks at the coarsest level
    lateral : channels of the lateral head at 96 x 96
    shapes : coefficients of the head model
    squeeze, hidden : channels and units between the coarsest level and the corrections of pose and shape
    layers : cubic B-spline coefficients along depth of the displacement of every column
    residual : cubic B-spline coefficients along depth of the occupancy logit of every column that is added to the
        guide's; 0 leaves the volume of the moved guide as it is
    """

    stem: int = 32
    widths: tuple[int, ...] = (64, 96, 160, 208)
    bottom: int = 2
    lateral: int = 48
    shapes: int = 145
    squeeze: int = 24
    hidden: int = 256
    layers: int = 7
    residual: int = 0

    def __post_init__(self) -> None:
        if self.layers < 4 or 0 < self.residual < 4 or len(self.widths) < 2:
            raise WeightsError("expected at least 4 layers, 0 or 4 residual coefficients and two widths")

    def to_dict(self) -> dict[str, Any]:
        """For the weights' metadata; :meth:`of` reads it back."""
        return {"family": FAMILY, **asdict(self), "widths": list(self.widths)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> GuidedConfig:
        """Raises WeightsError when a field is missing, unknown or no number."""
        names = {field.name for field in fields(cls)}
        found = set(values) - {"family"}
        if found != names:
            raise WeightsError(
                f"the configuration of the weights does not fit: missing {sorted(names - found)}, "
                f"unexpected {sorted(found - names)}"
            )
        try:
            numbers = {name: int(values[name]) for name in names - {"widths"}}
            return cls(**numbers, widths=tuple(int(w) for w in values["widths"]))
        except (TypeError, ValueError) as error:
            raise WeightsError(f"the configuration of the weights does not fit: {error}") from error
