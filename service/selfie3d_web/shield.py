"""What stands before every route: whose page may call us, under which name, and what a browser may do with answers."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from selfie3d_web.problem import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSP = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
TOKEN_KEPT = (
    "The token would travel to the service readable by anyone on the way: set SELFIE3D_WEB_SERVER_CA for TLS, or "
    "SELFIE3D_INSECURE_TOKEN=on where something else protects the way."
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


class Shield:
    """ASGI middleware.

    hosts : names that a request may be addressed to, without ports; empty: any
    keeps_tokens : refuse requests with a token: it would be readable on its way to the service
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], *, keeps_tokens: bool = False) -> None:
        self._app = app
        self._keeps_tokens = keeps_tokens
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on; in both cases with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal.response() if refusal else self._app)(scope, receive, send_secured)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts and _name(f"//{host}") not in self._hosts:
            return Problem(421, "This server is not known by that name: set SELFIE3D_WEB_HOSTS to allow it.")
        if scope["method"] not in SAFE_METHODS and _is_foreign(headers, host):
            return Problem(403, "Pages of other sites may not do this.")
        if self._keeps_tokens and "authorization" in headers:
            return Problem(403, TOKEN_KEPT)
        return None


def _is_foreign(headers: Headers, host: str) -> bool:
    """Whether a browser sends this for a page of another site. Programs send neither header."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != host.lower()


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
