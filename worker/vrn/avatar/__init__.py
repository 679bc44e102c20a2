"""The morphable head that guides the network: its shapes, its fit to landmarks, its pictures and its volume."""

from vrn.avatar.fit import HeadPose, fit_landmarks
from vrn.avatar.model import HeadModel, load_model

__all__ = ["HeadModel", "HeadPose", "fit_landmarks", "load_model"]
