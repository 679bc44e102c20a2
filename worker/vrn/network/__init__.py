"""Networks that turn a crop into a field."""

from vrn.network.config import HourglassConfig
from vrn.network.hourglass import Hourglass
from vrn.network.load import Network, load_network

__all__ = ["Hourglass", "HourglassConfig", "Network", "load_network"]
