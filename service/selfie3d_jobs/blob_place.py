"""SELFIE3D_BLOBS as a value: which bucket or folder is meant."""

from __future__ import annotations

from dataclasses import dataclass, fields
from urllib.parse import parse_qsl, unquote, urlsplit

REDIS = "redis"
SCHEMES = ("s3", "gs", "az", "file")
PARAMETERS = {
    "s3": {"endpoint", "region", "public_endpoint"},
    "gs": {"endpoint", "public_endpoint"},
    "az": {"endpoint", "account", "public_endpoint"},
    "file": set(),
}
WANTED = "redis, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER is wanted"


@dataclass(frozen=True)
class Place:
    """A bucket, or a folder that all processes share.

    Attributes
    ----------
    scheme : s3, gs, az or file
    bucket : its name; of Azure the container; of file the folder's path
    prefix : in front of every object's name, without a slash at its end
    endpoint : address of the store where it is not the provider's own
    public_endpoint : the same as callers reach it, for presigned addresses; empty: the endpoint
    """

    scheme: str
    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    public_endpoint: str = ""
    account: str = ""

    @property
    def signs(self) -> bool:
        """Whether the store can make presigned addresses."""
        return self.scheme != "file"

    def __str__(self) -> str:
        if self.scheme == "file":
            return f"file://{self.bucket}"
        return f"{self.scheme}://{self.bucket}{f'/{self.prefix}' if self.prefix else ''}"


def place_of(text: str) -> Place | None:
    """The place that a setting names; None: Redis. Raises ValueError, whose text is a clause for people."""
    if text == REDIS:
        return None
    parts = urlsplit(text)
    if parts.scheme not in SCHEMES or "@" in parts.netloc or parts.fragment:
        raise ValueError(f"{WANTED}; keys and passwords come from the environment of the provider's own tools")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = query.keys() - PARAMETERS[parts.scheme]
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} is no parameter of {parts.scheme}://: {_known(parts.scheme)}")
    _check_endpoints(query)
    if parts.scheme == "file":
        return _folder(parts.netloc, unquote(parts.path))
    if not parts.netloc:
        raise ValueError(WANTED)
    return Place(parts.scheme, parts.netloc, parts.path.strip("/"), **query)


def _folder(host: str, path: str) -> Place:
    if host or not path.strip("/"):
        raise ValueError("file:///FOLDER wants three slashes and a folder's absolute path")
    return Place("file", "/" + path.strip("/"))


def _check_endpoints(query: dict[str, str]) -> None:
    for name in {"endpoint", "public_endpoint"} & query.keys():
        parts = urlsplit(query[name])
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError(f"{name} wants http://HOST:PORT or https://HOST")


def _known(scheme: str) -> str:
    names = [field.name for field in fields(Place) if field.name in PARAMETERS[scheme]]
    return f"there are {', '.join(names)}" if names else "it has none"
