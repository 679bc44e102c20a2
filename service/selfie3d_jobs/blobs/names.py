"""Names of objects. common.lua spells them, too: it discards them when a job ends or is removed.

photo/ID                       the photo's bytes, of several photos one behind the other
mesh/ID/ATTEMPT/FACE.EXT       a mesh file; the attempt keeps a late worker from overwriting a result
preview/ID/ATTEMPT/FACE.webp   a picture of a head
"""

from __future__ import annotations

PREVIEW_EXTENSION = ".webp"


def photo(job_id: str) -> str:
    """The photo's object."""
    return f"photo/{job_id}"


def mesh(job_id: str, attempt: int, face: int, extension: str) -> str:
    """A mesh's object. extension : with the dot."""
    return f"mesh/{job_id}/{attempt}/{face}{extension}"


def preview(job_id: str, attempt: int, face: int) -> str:
    """A picture's object."""
    return f"preview/{job_id}/{attempt}/{face}{PREVIEW_EXTENSION}"
