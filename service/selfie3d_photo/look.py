"""Looking at bytes with a bound on the work, whatever the bytes say."""

from __future__ import annotations

from selfie3d_photo.errors import PhotoError, PhotoReason

MAX_STEPS = 6_000  # a 20 MiB PNG has 2,560 chunks of libpng's usual 8 KiB; a JPEG has fewer than 200 segments
MAX_BYTES = 1 << 20  # looked at, of a file of whatever size


class Look:
    """Bytes of a file, read piece by piece and counted.

    Attributes
    ----------
    data : the file; never copied, never read as a whole
    steps : pieces looked at so far
    touched : bytes looked at so far
    """

    def __init__(self, data: bytes, max_steps: int = MAX_STEPS, max_bytes: int = MAX_BYTES) -> None:
        self.data = data
        self.steps = self.touched = 0
        self._max_steps, self._max_bytes = max_steps, max_bytes

    def __len__(self) -> int:
        return len(self.data)

    def bytes_at(self, at: int, count: int) -> bytes:
        """So many bytes from there. Raises PhotoError when the file ends before, or when the work is at its bound."""
        if at + count > len(self.data):
            raise damaged()
        self.count(count)
        return self.data[at : at + count]

    def number_at(self, at: int, count: int, *, little: bool = False) -> int:
        """An unsigned number of so many bytes, big-endian unless told otherwise. Raises PhotoError."""
        return int.from_bytes(self.bytes_at(at, count), "little" if little else "big")

    def count(self, touched: int) -> None:
        """One step more. Raises PhotoError when the work is at its bound."""
        self.steps += 1
        self.touched += touched
        if self.steps > self._max_steps or self.touched > self._max_bytes:
            raise PhotoError(PhotoReason.CORRUPT, "The file has too many parts for a photo: save it again.")


def damaged(message: str = "The header is damaged or cut short: send the original file.") -> PhotoError:
    """The refusal of a file that contradicts its format."""
    return PhotoError(PhotoReason.CORRUPT, message)
