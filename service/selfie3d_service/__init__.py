"""The gRPC front end. It never imports torch or vrn."""

from selfie3d_service.config import ServiceConfig
from selfie3d_service.errors import CallError
from selfie3d_service.server import Server

__all__ = ["CallError", "Server", "ServiceConfig"]
