"""What each of several photos of one person gave to the head."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfie3d.types.pose import Pose


class LeftOut(StrEnum):
    """Why a photo gave nothing to the head."""

    NO_FACE = "NO_FACE"  # none was found in it
    BLURRED = "BLURRED"  # others are much sharper
    COVERED = "COVERED"  # something hides the face that the other photos show
    DIFFERENT_PERSON = "DIFFERENT_PERSON"  # surely another one than in the other photos


@dataclass(frozen=True)
class PhotoView:
    """One photo of one person.

    Attributes
    ----------
    index : of the photo, as given, from 0
    weight : 0..1, its share of the head; the weights of all photos add up to 1
    pose : Pose | None - of the head in the photo; None where no face was found
    left_out : why the photo was not used, a word of `LeftOut` or of a newer service; empty when it was used
    """

    index: int
    weight: float
    pose: Pose | None
    left_out: str = ""

    @property
    def used(self) -> bool:
        """Whether the head was made with this photo."""
        return not self.left_out

    def as_json(self) -> dict[str, Any]:
        """As JSON types; degrees."""
        pose = vars(self.pose) if self.pose else None
        return {"photo": self.index, "weight": self.weight, "pose": pose, "left_out": self.left_out or None}
