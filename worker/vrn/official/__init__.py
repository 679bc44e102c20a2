"""The released network of Jackson et al.: its Torch7 file, its architecture, its import."""

from vrn.official.config import OfficialConfig

__all__ = ["OfficialConfig"]
