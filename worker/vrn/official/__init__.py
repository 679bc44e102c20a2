"""The released network of Jackson et al.: its Torch7 file, its architecture, its import."""

from vrn.official.network import Official, OfficialConfig

__all__ = ["Official", "OfficialConfig"]
