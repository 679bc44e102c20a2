"""Networks that turn a crop into a field."""

from vrn.network.config import HourglassConfig
from vrn.network.load import LoadedNetwork, load_network

__all__ = ["HourglassConfig", "LoadedNetwork", "load_network"]
