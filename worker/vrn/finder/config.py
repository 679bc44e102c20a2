"""The configurations of the finder's networks: everything that decides their weights, and what their answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vrn.errors import WeightsError

DETECTOR, ALIGNER, DENSE = "face-detector", "face-aligner", "face-dense-aligner"  # families of weights
LANDMARKS = 68
DETECTOR_STRIDE = 4  # picture px per cell of the detector's map
DETECTOR_FACE_SIZE = 28.0  # px, the size of face that the detector's size output is relative to
DETECTOR_MAPS = 4  # score logit, centre x, centre y (in cells), log of size / 28 px
LOOSENESS = 1.7  # side of the aligners' picture / size of the face's box
PATCH_LOOSENESS = 2.6  # side of the patch of the photo that all looks are cut from / size of the face


@dataclass(frozen=True)
class DetectorConfig:
    """channels : of the features at 1/2, 1/4, 1/8 and 1/16 of the picture."""

    channels: tuple[int, int, int, int] = (16, 32, 64, 64)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> DetectorConfig:
        """From a weights file. Raises WeightsError."""
        return cls(_four(_checked(config, DETECTOR, cls)["channels"]))

    def to_dict(self) -> dict[str, Any]:
        """For a weights file."""
        return {"family": DETECTOR} | asdict(self)


@dataclass(frozen=True)
class AlignerConfig:
    """size : px of the square picture; channels : of the features at 1/2 to 1/16; head : before the heat maps."""

    size: int = 96
    channels: tuple[int, int, int, int] = (24, 48, 96, 128)
    head: int = 64

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> AlignerConfig:
        """From a weights file. Raises WeightsError."""
        fields = _checked(config, ALIGNER, cls)
        return cls(int(fields["size"]), _four(fields["channels"]), int(fields["head"]))

    def to_dict(self) -> dict[str, Any]:
        """For a weights file."""
        return {"family": ALIGNER} | asdict(self)


@dataclass(frozen=True)
class DenseConfig:
    """size : px of the square picture; channels : of the features at 1/2 to 1/16; head : before the heat maps."""

    size: int = 128
    channels: tuple[int, int, int, int] = (24, 48, 96, 128)
    head: int = 64

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> DenseConfig:
        """From a weights file. Raises WeightsError."""
        fields = _checked(config, DENSE, cls)
        return cls(int(fields["size"]), _four(fields["channels"]), int(fields["head"]))

    def to_dict(self) -> dict[str, Any]:
        """For a weights file."""
        return {"family": DENSE} | asdict(self)


def _checked(config: Mapping[str, Any], family: str, kind: type[Any]) -> dict[str, Any]:
    """The fields of `kind`, all of them and no others."""
    fields = dict(config)
    if fields.pop("family", None) != family:
        raise WeightsError(f"expected weights of the family {family!r}, found {config.get('family')!r}")
    if fields.keys() != kind.__dataclass_fields__.keys():
        raise WeightsError(f"expected the fields {sorted(kind.__dataclass_fields__)}, found {sorted(fields)}")
    return fields


def _four(numbers: Any) -> tuple[int, int, int, int]:
    if not isinstance(numbers, list | tuple) or len(numbers) != 4:
        raise WeightsError(f"expected the channels of four stages, found {numbers!r}")
    first, second, third, fourth = (int(number) for number in numbers)
    return first, second, third, fourth
