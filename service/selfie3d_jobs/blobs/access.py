"""What both buckets, blocking and asyncio, do alike: open the place when it is first used, and translate its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from selfie3d_jobs.blob_place import Place
from selfie3d_jobs.blob_trouble import BlobTrouble, blob_trouble_of
from selfie3d_jobs.blobs.opening import open_store
from selfie3d_jobs.errors import BlobsUnavailable, JobsError


class Access:
    """A place and how long it may take."""

    def __init__(self, place: Place, *, seconds: float, connect_seconds: float, retries: int) -> None:
        """Nothing is asked yet. As `open_store`; raises ConfigError."""
        self.place = place
        self._times: dict[str, Any] = {"seconds": seconds, "connect_seconds": connect_seconds, "retries": retries}
        self._store: Any = None
        if place.scheme != "file":
            self._store = open_store(place, **self._times)

    @property
    def store(self) -> Any:
        """obstore's store. Raises BlobsUnavailable when the folder is not there, as before a volume is mounted."""
        if self.place.scheme == "file" and not Path(self.place.bucket).is_dir():
            raise BlobsUnavailable(BlobTrouble.BUCKET)
        if self._store is None:
            self._store = open_store(self.place, **self._times)
        return self._store

    def attributes(self, media_type: str) -> dict[str, str] | None:
        """What is stored with an object, where that is possible."""
        return {"Content-Type": media_type} if media_type and self.place.scheme != "file" else None

    def remove_unfinished(self, name: str) -> None:
        """What a killed process has left in a folder of a file that it was writing: obstore begins with NAME#NUMBER."""
        path = Path(self.place.bucket) / name
        for part in path.parent.glob(f"{path.name}#*"):
            part.unlink(missing_ok=True)
        with suppress(OSError):  # it holds other files, or is gone
            for folder in (path.parent, path.parent.parent):
                if folder != Path(self.place.bucket):
                    folder.rmdir()


@contextmanager
def translated() -> Iterator[None]:
    """obstore's errors to ours, once; that an object is not there stays FileNotFoundError."""
    try:
        yield
    except (JobsError, ModuleNotFoundError):
        raise
    except FileNotFoundError as error:
        if blob_trouble_of(error) is BlobTrouble.BUCKET:
            raise BlobsUnavailable(BlobTrouble.BUCKET) from None
        raise
    except Exception as error:
        if type(error).__module__.startswith("obstore") or isinstance(error, OSError | TimeoutError | ValueError):
            raise BlobsUnavailable(blob_trouble_of(error)) from error
        raise
