"""Where the page of a stack in this terminal is, if there can be one."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from selfie3d_cli.ports import free_port
from selfie3d_cli.settings import DEFAULT_WEB_LISTEN, Settings, from_environment

MODULES = ("starlette", "uvicorn", "python_multipart")  # of the extra web
PORTS = 20  # tried from the default one on


def page_address(settings: Settings, say: Callable[[str], None]) -> str:
    """HOST:PORT for the page: SELFIE3D_WEB_LISTEN, or 8080 on loopback or the next free port.

    Empty, after saying why, when there can be no page.
    """
    if any(find_spec(module) is None for module in MODULES):
        say("selfie3d | without the page: run `pip install '.[web]'` to have it")
        return ""
    if settings.tls_certificate and not settings.web_server_ca:
        say("selfie3d | without the page: with SELFIE3D_TLS_CERT it needs SELFIE3D_WEB_SERVER_CA to trust the service")
        return ""
    return settings.web_listen or next_free_address()


def next_free_address() -> str:
    """The default address, or one with the next free port behind it, or any free one."""
    host, _, first = DEFAULT_WEB_LISTEN.rpartition(":")
    return f"{host}:{free_port(*range(int(first), int(first) + PORTS), host=host)}"


def page_url(address: str) -> str:
    """What to type into a browser on this machine."""
    scheme = "https" if from_environment().web_tls_certificate else "http"
    host, _, port = address.rpartition(":")
    shown = "localhost" if host in ("0.0.0.0", "[::]", "127.0.0.1") else host
    return f"{scheme}://{shown}:{port}/"
