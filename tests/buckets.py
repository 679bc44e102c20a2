"""Places for photos and meshes outside Redis: a folder, nanio (an S3 server) and moto (what AWS does beyond)."""

from __future__ import annotations

import os
import re
import socket
import urllib.request
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import parse_qsl, urlsplit

from tests.stack import Process, eventually, free_port

BUCKET = "heads"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "selfie3d", "AWS_SECRET_ACCESS_KEY": "of-the-tests-alone"}
REGION = "us-east-1"


class Bucket(Protocol):
    """A place that tests look into past selfie3d.

    credentials : the environment of those who may use it
    """

    credentials: dict[str, str]

    def setting(self, prefix: str) -> str:
        """SELFIE3D_BLOBS for objects below the prefix."""
        ...

    def objects(self, prefix: str) -> set[str]:
        """What lies there, by names below the prefix."""
        ...


class Server(Bucket, Protocol):
    """A place behind an address, which may be a proxy's."""

    port: int

    def setting(self, prefix: str, port: int = 0) -> str:
        """port : where selfie3d is to ask; 0: the server itself"""
        ...

    def lifetime(self, url: str) -> float:
        """How long a presigned address is good, s."""
        ...

    def prolonged(self, url: str) -> str:
        """The address as somebody would forge it who wants more time."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Folder:
    """Shared by all processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.credentials: dict[str, str] = {}

    def setting(self, prefix: str) -> str:
        (self.folder / prefix).mkdir(parents=True, exist_ok=True)
        return f"file://{self.folder / prefix}"

    def objects(self, prefix: str) -> set[str]:
        """Files, those that are not finished included."""
        return files_below(self.folder / prefix)


class OwnS3:
    """Addresses of an S3 server at a port of this machine."""

    credentials = CREDENTIALS
    port: int

    def setting(self, prefix: str, port: int = 0) -> str:
        return f"s3://{BUCKET}/{prefix}?endpoint=http://127.0.0.1:{port or self.port}&region={REGION}"

    def lifetime(self, url: str) -> float:
        return number_in(url, "X-Amz-Expires")

    def prolonged(self, url: str) -> str:
        return url.replace("X-Amz-Expires=", "X-Amz-Expires=9")


class Nanio(OwnS3):
    """An S3 server whose bucket is a folder; it may be killed, stopped and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        (folder / BUCKET).mkdir(parents=True)
        arguments = ["serve", "--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(self.port)]
        arguments += ["--region", REGION, "--no-access-log", "--log-level", "warning"]
        keys = zip(("NANIO_ACCESS_KEY", "NANIO_SECRET_KEY"), CREDENTIALS.values(), strict=True)
        self.process = Process(arguments, folder / "nanio.log", module="nanio", **dict(keys))

    def start(self) -> Self:
        self.process.start()
        await_port(self.port)
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.process.end()

    def objects(self, prefix: str) -> set[str]:
        """Files of the bucket's folder; what is not finished is not an object, and the server removes it."""
        return {name for name in files_below(self.folder / BUCKET / prefix) if not Path(name).name.startswith(".tmp.")}

    def unfinished_uploads(self) -> list[Path]:
        """Multipart uploads that were begun and neither completed nor aborted."""
        return list((self.folder / ".nanio" / "multipart").glob("*"))


class Moto(OwnS3):
    """AWS's semantics, without signatures."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.process = Process(["-H", "127.0.0.1", "-p", str(self.port)], folder / "moto.log", module="moto.server")

    def __enter__(self) -> Self:
        self.process.start()
        await_port(self.port)
        self._ask("PUT", f"/{BUCKET}")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.end()

    def objects(self, prefix: str) -> set[str]:
        keys = re.findall("<Key>(.*?)</Key>", self._ask("GET", f"/{BUCKET}?list-type=2&prefix={prefix}/"))
        return {key.removeprefix(f"{prefix}/") for key in keys}

    def _ask(self, method: str, path: str) -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())


def number_in(url: str, name: str) -> float:
    """A parameter of its query."""
    return float(dict(parse_qsl(urlsplit(url).query))[name])


def files_below(root: Path) -> set[str]:
    """Their names below the folder, which may change meanwhile."""
    return {str((Path(folder) / name).relative_to(root)) for folder, _, files in os.walk(root) for name in files}


def await_port(port: int) -> None:
    """Until something listens."""

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    eventually(listens, f"port {port} is open")


def use_credentials() -> None:
    """Let this process and those that it starts ask the servers here."""
    os.environ.update(CREDENTIALS)
