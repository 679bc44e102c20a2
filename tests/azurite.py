"""Azure's store for tests: Azurite, which Microsoft keeps, with its objects in memory."""

from __future__ import annotations

import base64
import hmac
import urllib.request
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from tests.buckets import BUCKET, await_port
from tests.google_storage import listed
from tests.stack import ROOT, Process, free_port

ACCOUNT, KEY = "selfie3d", base64.b64encode(b"of the tests alone").decode()
PROGRAM = ROOT / "tests" / "tools" / "node_modules" / ".bin" / "azurite-blob"
VERSION = "2023-11-03"


class Azurite:
    """Keys and presigned addresses are checked."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.credentials = {"AZURE_STORAGE_ACCOUNT_KEY": KEY}
        arguments = ["--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--inMemoryPersistence", "--silent"]
        accounts = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
        self.process = Process(arguments, folder / "azurite.log", program=[str(PROGRAM)], **accounts)

    def __enter__(self) -> Self:
        self.process.start()
        try:
            await_port(self.port)
            self._make_container()
        except BaseException:
            self.process.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.end()

    def setting(self, prefix: str, port: int = 0) -> str:
        return f"az://{BUCKET}/{prefix}?account={ACCOUNT}&endpoint=http://127.0.0.1:{port or self.port}/{ACCOUNT}"

    def objects(self, prefix: str) -> set[str]:
        from obstore import store

        return listed(
            store.AzureStore(
                BUCKET,
                prefix=prefix,
                endpoint=f"http://127.0.0.1:{self.port}/{ACCOUNT}",
                account_name=ACCOUNT,
                account_key=KEY,
                client_options={"allow_http": True},
            )
        )

    def lifetime(self, url: str) -> float:
        query = dict(parse_qsl(urlsplit(url).query))
        return (datetime.fromisoformat(query["se"]) - datetime.fromisoformat(query["st"])).total_seconds()

    def prolonged(self, url: str) -> str:
        return url.replace("se=20", "se=21")

    def _make_container(self) -> None:
        """With a SharedKey signature, of which the path has the account twice where it is not the host's name."""
        path, now = f"/{ACCOUNT}/{BUCKET}", format_datetime(datetime.now(UTC), usegmt=True)
        lines = [
            "PUT",
            *[""] * 11,
            f"x-ms-date:{now}",
            f"x-ms-version:{VERSION}",
            f"/{ACCOUNT}{path}",
            "restype:container",
        ]
        mark = base64.b64encode(hmac.digest(base64.b64decode(KEY), "\n".join(lines).encode(), "sha256")).decode()
        headers = {"x-ms-date": now, "x-ms-version": VERSION, "Authorization": f"SharedKey {ACCOUNT}:{mark}"}
        url = f"http://127.0.0.1:{self.port}{path}?restype=container"
        with urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers), timeout=30):
            pass
