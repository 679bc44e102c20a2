"""Google's store for tests: `google_guard` in a process, and the key of a service account that may use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.buckets import BUCKET, await_port, number_in
from tests.stack import Process, free_port


class GoogleStorage:
    """Tokens and presigned addresses are checked."""

    def __init__(self, folder: Path) -> None:
        self.port, account = free_port(), folder / "account.json"
        write_account(account)
        self.credentials = {"GOOGLE_APPLICATION_CREDENTIALS": str(account)}
        arguments = [str(self.port), str(account), BUCKET]
        self.process = Process(arguments, folder / "google.log", module="tests.google_guard")

    def __enter__(self) -> Self:
        self.process.start()
        await_port(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.end()

    def setting(self, prefix: str, port: int = 0) -> str:
        return f"gs://{BUCKET}/{prefix}?endpoint=http://127.0.0.1:{port or self.port}"

    def objects(self, prefix: str) -> set[str]:
        from obstore import store

        return listed(
            store.GCSStore(
                BUCKET,
                prefix=prefix,
                base_url=f"http://127.0.0.1:{self.port}",
                application_credentials=self.credentials["GOOGLE_APPLICATION_CREDENTIALS"],
                client_options={"allow_http": True},
            )
        )

    def lifetime(self, url: str) -> float:
        return number_in(url, "X-Goog-Expires")

    def prolonged(self, url: str) -> str:
        return url.replace("X-Goog-Expires=", "X-Goog-Expires=9")


def listed(store: Any) -> set[str]:
    """Names of all objects of one of obstore's stores."""
    import obstore

    return {entry["path"] for batch in obstore.list(store) for entry in batch}


def write_account(path: Path) -> None:
    """The file of a service account, as Google hands it out, with a key of its own."""
    key = generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {"type": "service_account", "project_id": "tests", "private_key_id": "one", "private_key": pem}
    account |= {"client_email": "tests@tests.iam.gserviceaccount.com", "client_id": "1"}
    path.write_text(json.dumps(account))
