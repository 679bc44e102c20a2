"""A bucket for workers: blocking, and it outlasts an absence of half a minute, because every call may be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from selfie3d_jobs.blob_place import Place
from selfie3d_jobs.blobs.access import Access, translated
from selfie3d_jobs.errors import BlobsUnavailable

T = TypeVar("T")

PATIENCE_SECONDS = 30.0  # a photo and a result may both wait so long within a worker's time for one photo
REQUEST_SECONDS = 10.0  # signals are heard between two requests
CONNECT_SECONDS = 1.0
LONGEST_PAUSE = 1.0  # s


class Bucket:
    """Whole objects in and out."""

    def __init__(self, place: Place, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Nothing is asked yet. Raises ConfigError without obstore."""
        self._access = Access(place, seconds=REQUEST_SECONDS, connect_seconds=CONNECT_SECONDS, retries=0)
        self._patience_seconds = patience_seconds

    def put(self, name: str, data: bytes, media_type: str = "") -> None:
        """Store an object, whole or not at all. Raises BlobsUnavailable."""
        import obstore

        attributes = self._access.attributes(media_type)
        self._patiently(lambda: obstore.put(self._access.store, name, data, attributes=attributes, use_multipart=False))

    def get(self, name: str) -> bytes | None:
        """The object; None when it is not there. Raises BlobsUnavailable."""
        import obstore

        try:
            return self._patiently(lambda: bytes(obstore.get(self._access.store, name).bytes()))
        except FileNotFoundError:
            return None

    def _patiently(self, work: Callable[[], T]) -> T:
        end, pause = time.monotonic() + self._patience_seconds, 0.05
        while True:
            try:
                with translated():
                    return work()
            except BlobsUnavailable:
                if time.monotonic() + pause > end:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
