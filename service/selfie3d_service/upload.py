"""The photos of a request as they come in, within their bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Reason
from selfie3d_photo import Limits as PhotoLimits
from selfie3d_photo import PhotoError, PhotoReason
from selfie3d_service import validation
from selfie3d_service.errors import CallError

MAX_PART_BYTES = 1024 * 1024  # of an upload
PHOTO_LIMITS = PhotoLimits()
MAX_PHOTOS_BYTES = 3 * PHOTO_LIMITS.max_bytes  # of all photos of one person
MIB = 1024 * 1024


class Upload:
    """The photos of an UploadJob call.

    settings : of the job, checked
    """

    def __init__(self, settings: pb.JobSettings) -> None:
        self.settings = settings
        self._complete: list[bytes] = []
        self._photo = bytearray()

    def add(self, chunk: bytes) -> None:
        """The next piece of the photo. Raises CallError, PhotoError."""
        if len(chunk) > MAX_PART_BYTES:
            raise CallError(Reason.UPLOAD_INVALID, "A chunk has at most 1 MiB.", field="chunk")
        self._photo += chunk
        check_sizes([*map(len, self._complete), len(self._photo)], so_far=True)

    def begin_next(self) -> None:
        """The photo is complete, and another one follows. Raises CallError, PhotoError."""
        self._complete.append(bytes(self._photo))
        self._photo = bytearray()
        validation.check_photo_number(self.settings, len(self._complete) + 1)
        check_sizes(list(map(len, self._complete)))

    @property
    def photos(self) -> list[bytes]:
        """All of them, the last one as far as it came."""
        return [*self._complete, bytes(self._photo)]


def check_sizes(sizes: Sequence[int], *, so_far: bool = False) -> None:
    """Raises PhotoError for a photo without bytes or with too many, and for too many together.

    so_far : the last photo is still on its way
    """
    for number, size in enumerate(sizes):
        with naming_photo(number, len(sizes)):
            if size == 0 and not (so_far and number == len(sizes) - 1):
                raise PhotoError(PhotoReason.EMPTY, Reason.PHOTO_EMPTY.text)
            if size > PHOTO_LIMITS.max_bytes:
                raise PhotoError(PhotoReason.TOO_LARGE, Reason.PHOTO_TOO_LARGE.text)
    if sum(sizes) > MAX_PHOTOS_BYTES:
        text = f"The photos together have too many bytes: at most {MAX_PHOTOS_BYTES // MIB} MiB; save them smaller."
        raise PhotoError(PhotoReason.TOO_LARGE, text)


@contextmanager
def naming_photo(number: int, count: int) -> Iterator[None]:
    """A PhotoError from inside says which of several photos it means."""
    try:
        yield
    except PhotoError as error:
        if count == 1:
            raise
        raise PhotoError(error.reason, f"Photo {number + 1}: {error}") from error
