"""Networks that turn a crop into a field."""

from vrn.network.config import HourglassConfig
from vrn.network.hourglass import Hourglass
from vrn.network.load import LoadedNetwork, load_network

__all__ = ["Hourglass", "HourglassConfig", "LoadedNetwork", "load_network"]
