"""Everything selfie3d_training raises on purpose.

TrainingError
├── DataError        the folder of photos or fits is incomplete or damaged
└── CheckpointError  a checkpoint does not belong to this run
"""

from __future__ import annotations


class TrainingError(Exception):
    """The training could not go on."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class DataError(TrainingError):
    """The folder of training data is incomplete: see docs/network.md for the files it must hold."""


class CheckpointError(TrainingError):
    """The checkpoint was written with another configuration: start in a new folder."""
