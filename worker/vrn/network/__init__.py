"""Networks that turn a crop into a field."""

from vrn.network.config import HourglassConfig
from vrn.network.hourglass import Hourglass
from vrn.network.load import Network, load_network
from vrn.network.official import Official, OfficialConfig

__all__ = ["Hourglass", "HourglassConfig", "Network", "Official", "OfficialConfig", "load_network"]
