"""The HTTP door and the page: a plain gRPC client of the service that holds no state."""

from selfie3d_web.app import make_app
from selfie3d_web.config import WebConfig
from selfie3d_web.server import WebServer

__all__ = ["WebConfig", "WebServer", "make_app"]
