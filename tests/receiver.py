"""A receiver of webhooks: a real HTTP server that checks every signature with the Standard Webhooks library."""

from __future__ import annotations

import json
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + "c2VsZmllM2Qtc2VjcmV0LWZvci10aGUtdGVzdHM="


@dataclass
class Delivery:
    """One request. `message` is None when the signature is wrong."""

    path: str
    headers: dict[str, str]
    body: bytes
    message: dict[str, Any] | None

    @property
    def job_id(self) -> str:
        assert self.message is not None
        return str(self.message["data"]["id"])


@dataclass
class Receiver:
    """`with Receiver() as receiver: receiver.url`.

    answers : {path: statuses}, one for each request until used up, then 204
    hold : cleared: requests to /slow get no answer
    raw : {path: bytes} sent instead of an HTTP answer
    """

    secret: str = SECRET
    tls: ssl.SSLContext | None = None
    answers: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    raw: dict[str, bytes] = field(default_factory=dict)
    hold: threading.Event = field(default_factory=threading.Event)
    deliveries: list[Delivery] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        """HOST:PORT"""
        return f"localhost:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}"

    def of(self, job_id: str) -> list[Delivery]:
        """The requests about a job, with a good signature."""
        return [each for each in self.deliveries if each.message and each.job_id == job_id]

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        try:
            message = Webhook(self.secret).verify(body, headers)
        except Exception:
            message = None
        self.deliveries.append(Delivery(path, headers, body, message))

    def _handler(self) -> Callable[..., BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                path = self.path.partition("?")[0]
                receiver._take(self.path, dict(self.headers), body)
                if path == "/slow":
                    receiver.hold.wait()
                if path in receiver.raw:
                    self.wfile.write(receiver.raw[path])
                    return
                status = receiver.answers[path].pop(0) if receiver.answers[path] else 204
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", f"{receiver.url}/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def as_json(message: dict[str, Any]) -> str:
    """One spelling for comparisons."""
    return json.dumps(message, sort_keys=True)
