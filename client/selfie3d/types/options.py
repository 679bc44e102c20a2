"""What the mesh should be, in words; translated to the API's enums in one place."""

from __future__ import annotations

from enum import StrEnum
from typing import TypedDict

from google.protobuf.duration_pb2 import Duration

from selfie3d.errors import InvalidArgument, Violation
from selfie3d.v1 import reconstruction_pb2 as pb


class Format(StrEnum):
    """The mesh file: PLY carries colours, normals and confidence; STL no colour."""

    PLY = "ply"
    OBJ = "obj"
    GLB = "glb"
    STL = "stl"


class Detail(StrEnum):
    """About 5,000 triangles, about 40,000, or the network's full grid."""

    PREVIEW = "preview"
    STANDARD = "standard"
    FULL = "full"


class Priority(StrEnum):
    """Interactive jobs overtake bulk jobs."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class JobOptions(TypedDict, total=False):
    """The keyword arguments of `submit` and `reconstruct`.

    format : "ply" (default), "obj", "glb" or "stl"
    detail : "preview", "standard" (default) or "full"
    all_faces : every face, by descending size, instead of the largest only
    scene : with all_faces: one file with all faces in place
    textured : UV coordinates and a JPEG texture instead of vertex colours; obj (then a ZIP) and glb only
    printable : a solid with a flat base
    priority : "interactive" (default) or "bulk"
    job_timeout : seconds after which the job expires if it has not ended; default: the service's
    request_id : idempotency key, 1 to 64 of [A-Za-z0-9_-]; default: a new one for this call
    """

    format: Format | str
    detail: Detail | str
    all_faces: bool
    scene: bool
    textured: bool
    printable: bool
    priority: Priority | str
    job_timeout: float | None
    request_id: str


def job_settings(request_id: str, options: JobOptions) -> pb.JobSettings:
    """The options as the message of the API.

    Raises InvalidArgument for a word that is not in the enums above, TypeError for an unknown option.
    """
    unknown = options.keys() - JobOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
    timeout = options.get("job_timeout")
    duration = Duration()
    if timeout is not None:
        duration.FromNanoseconds(round(timeout * 1e9))
    return pb.JobSettings(
        request_id=request_id,
        options=pb.Options(
            format=f"MESH_FORMAT_{_word(Format, 'format', options.get('format', 'ply'))}",
            detail=f"DETAIL_{_word(Detail, 'detail', options.get('detail', 'standard'))}",
            all_faces=options.get("all_faces", False),
            scene=options.get("scene", False),
            textured=options.get("textured", False),
            printable=options.get("printable", False),
        ),
        priority=f"PRIORITY_{_word(Priority, 'priority', options.get('priority', 'interactive'))}",
        timeout=duration if timeout is not None else None,
    )


def _word(enum: type[StrEnum], field: str, word: str) -> str:
    """The enum's member name for a word of the caller."""
    try:
        return enum(word).name
    except ValueError:
        message = f"{field} is {word!r}; it must be one of {', '.join(enum)}."
        violation = Violation(f"settings.options.{field}", message)
        raise InvalidArgument(message, reason="INVALID_OPTION", violations=(violation,)) from None
