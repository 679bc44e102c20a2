"""The configuration of the compact hourglass: everything that decides its weights and its grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from selfie3d.types.frames import DEPTH_RANGE, Grid
from vrn.errors import WeightsError

FAMILY = "hourglass"
LEVEL = 0.0  # the logit of the surface


@dataclass(frozen=True)
class HourglassConfig:
    """A compact member of the paper's family: stem, hourglass at 48 x 48, depth as channels.

    Attributes
    ----------
    stem : channels at 96 x 96
    widths : channels at 48, 24, 12, ... of the hourglass, outermost first
    bottom : residual blocks at the coarsest level
    columns : columns of the field along x and y; 48, or 96 with the finer lateral head
    lateral : channels of the lateral head (96 columns only)
    depths : samples of the field along depth
    coefficients : cubic B-spline coefficients per column that these samples are computed from
    behind : px of depth that the field reaches behind the paper's volume, where the hidden side of a profile lies
    ahead : px of depth that it reaches in front of it, so that a nose does not end at the field's border
    """

    stem: int = 32
    widths: tuple[int, ...] = (64, 96, 160, 208)
    bottom: int = 2
    columns: int = 96
    lateral: int = 48
    depths: int = 108
    coefficients: int = 30
    behind: float = 20.0
    ahead: float = 9.6

    def __post_init__(self) -> None:
        if self.columns not in (48, 96):
            raise WeightsError(f"columns: expected 48 or 96, found {self.columns}")
        if self.coefficients < 4 or not self.widths:
            raise WeightsError("expected at least 4 coefficients and one width")

    @property
    def grid(self) -> Grid:
        """Where the field's samples lie: centres of blocks over 192 x 192 px and depths -behind .. 100 + ahead px."""
        flat = Grid.blocks(self.columns, self.depths)
        step = (DEPTH_RANGE + self.behind + self.ahead) / self.depths
        return Grid(flat.shape, (*flat.origin[:2], (step - 0.5) / 2 - self.behind), (*flat.step[:2], step))

    def to_dict(self) -> dict[str, Any]:
        """For the weights' metadata; :meth:`of` reads it back."""
        return {"family": FAMILY, **asdict(self), "widths": list(self.widths)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> HourglassConfig:
        """Raises WeightsError when a field is missing, unknown or no number."""
        names = {field.name for field in fields(cls)}
        found = set(values) - {"family"}
        if found != names:
            raise WeightsError(
                f"the configuration of the weights does not fit: missing {sorted(names - found)}, "
                f"unexpected {sorted(found - names)}"
            )
        try:
            numbers = {k: (float if k in ("behind", "ahead") else int)(values[k]) for k in names - {"widths"}}
            return cls(**numbers, widths=tuple(int(w) for w in values["widths"]))  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise WeightsError(f"the configuration of the weights does not fit: {error}") from error
