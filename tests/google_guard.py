"""A server for Google's XML API: moto's S3, which that API is made like, behind Google's own signatures.

Run as `python -m tests.google_guard PORT KEY BUCKET`; KEY is the file of a service account, as Google hands it out.
https://cloud.google.com/storage/docs/authentication/canonical-requests
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
from werkzeug.test import Client

REFUSED = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>The guard of the tests says so.</Message></Error>"

AMAZONS = "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/s3/aws4_request"  # moto reads it and checks nothing


class Guard:
    """Lets through what the key has signed: a token in the header, or an address that is still good."""

    def __init__(self, app: Any, key: RSAPublicKey) -> None:
        self._app, self._key = app, key

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        trouble = self._trouble(environ)
        environ["HTTP_AUTHORIZATION"] = AMAZONS
        if not trouble:
            return self._app(environ, start)  # type: ignore[no-any-return]
        status, code = trouble
        start(status, [("Content-Type", "application/xml")])
        return [REFUSED % code]

    def _trouble(self, environ: dict[str, Any]) -> tuple[str, bytes] | None:
        query = dict(parse_qsl(environ["QUERY_STRING"]))
        if "X-Goog-Signature" in query:
            return None if self._address_is_good(environ, query) else ("403 Forbidden", b"SignatureDoesNotMatch")
        token = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        return None if self._token_is_good(token) else ("401 Unauthorized", b"AuthenticationRequired")

    def _token_is_good(self, token: str) -> bool:
        """A JSON web token that the client has signed itself: RFC 7515."""
        if token.count(".") != 2:
            return False
        signed, _, signature = token.rpartition(".")
        claims = json.loads(_unpacked(signed.partition(".")[2]))
        return claims["exp"] > time.time() and self._signed(_unpacked(signature), signed.encode())

    def _address_is_good(self, environ: dict[str, Any], query: dict[str, str]) -> bool:
        signature, made = bytes.fromhex(query.pop("X-Goog-Signature")), query["X-Goog-Date"]
        made_at = datetime.strptime(made, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if datetime.now(UTC) > made_at + timedelta(seconds=int(query["X-Goog-Expires"])):
            return False
        asked = "&".join(f"{quote(name, '')}={quote(value, '')}" for name, value in sorted(query.items()))
        path, host = environ["RAW_URI"].partition("?")[0], "storage.googleapis.com"
        request = f"{environ['REQUEST_METHOD']}\n{path}\n{asked}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
        scope = query["X-Goog-Credential"].partition("/")[2]
        digest = hashlib.sha256(request.encode()).hexdigest()
        return self._signed(signature, f"GOOG4-RSA-SHA256\n{made}\n{scope}\n{digest}".encode())

    def _signed(self, signature: bytes, data: bytes) -> bool:
        try:
            self._key.verify(signature, data, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def main(port: int, account: Path, bucket: str) -> None:
    """Serve until killed."""
    key = load_pem_private_key(json.loads(account.read_text())["private_key"].encode(), None)
    assert isinstance(key, RSAPrivateKey)
    app = DomainDispatcherApplication(create_backend_app)
    Client(app).put(f"/{bucket}", base_url=f"http://127.0.0.1:{port}")
    run_simple("127.0.0.1", port, Guard(app, key.public_key()), threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
