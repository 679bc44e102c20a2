"""What a job hands out: its mesh files in chunks, also before it has ended, and pictures of its heads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from selfie3d.types import JobState
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import MeshAhead, Reason, Record
from selfie3d_jobs.blobs import AsyncBlobs
from selfie3d_service.errors import CallError


@dataclass
class _Sent:
    """What of a mesh file was sent. size : bytes"""

    file: pb.MeshFile
    size: int = 0


class MeshStream:
    """The mesh files of a job on their way to one caller."""

    def __init__(self, blobs: AsyncBlobs) -> None:
        self._blobs = blobs
        self._sent: dict[int, _Sent] = {}  # by face, before the job has ended

    async def ahead(self, job_id: str, mesh: MeshAhead) -> AsyncIterator[pb.MeshChunk]:
        """A mesh of a job that has not ended, as far as it is there."""
        sent = self._sent[mesh.face] = _Sent(mesh.file)
        async for data in self._blobs.mesh_ahead(job_id, mesh):
            yield pb.MeshChunk(face_index=mesh.face, offset=sent.size, data=data, file=mesh.file)
            sent.size += len(data)

    async def rest(self, record: Record) -> AsyncIterator[pb.MeshChunk]:
        """What was not sent ahead of all files, one after the other; nothing of a job that has not succeeded."""
        for face in range(record.files):
            sent = self._sent.get(face)
            offset = sent.size if sent and sent.file == mesh_file(record, face) else 0
            async for chunk in self.file(record, face, offset):
                yield chunk

    async def file(self, record: Record, face: int, offset: int) -> AsyncIterator[pb.MeshChunk]:
        """A mesh file from an offset. Raises CallError, JobNotFound."""
        file = mesh_file(record, face)
        if offset > file.size_bytes:
            text = f"offset {offset} lies behind the end of the file, which has {file.size_bytes} bytes."
            raise CallError(Reason.OFFSET_OUT_OF_RANGE, text, field="offset")
        async for data in self._blobs.mesh(record, face, offset, file):
            yield pb.MeshChunk(face_index=face, offset=offset, data=data, file=file)
            offset += len(data)


async def previews(blobs: AsyncBlobs, record: Record) -> AsyncIterator[pb.Preview]:
    """All pictures there are. Raises JobNotFound."""
    for index, face in enumerate(record.outcome.faces):
        if face.HasField("preview"):
            data = await blobs.preview(record, index, face.preview)
            yield pb.Preview(face_index=index, file=face.preview, data=data)


def mesh_file(record: Record, face: int) -> pb.MeshFile:
    """What is known of a mesh file. Raises CallError when there is none."""
    _check_succeeded(record)
    if face >= record.files:
        text = f"The job has {record.files} mesh files, counted from 0."
        raise CallError(Reason.FACE_NOT_FOUND, text, resource=("selfie3d.v1.Face", f"{record.id}/{face}"))
    return record.outcome.faces[face].file


def preview_file(record: Record, face: int) -> pb.PreviewFile:
    """What is known of a head's picture. Raises CallError when there is none."""
    _check_succeeded(record)
    faces = record.outcome.faces
    if face >= len(faces) or not faces[face].HasField("preview"):
        text = f"The job has {sum(each.HasField('preview') for each in faces)} pictures, counted from 0."
        raise CallError(Reason.FACE_NOT_FOUND, text, resource=("selfie3d.v1.Face", f"{record.id}/{face}"))
    return faces[face].preview


def _check_succeeded(record: Record) -> None:
    if record.state is JobState.SUCCEEDED:
        return
    if record.error:
        text = f"The job has no mesh: {record.error.message}"
        raise CallError(Reason.of(record.error.reason), text, code=Reason.JOB_NOT_SUCCEEDED.code)
    raise CallError(Reason.JOB_NOT_SUCCEEDED, f"The job has no mesh: it is {record.state}.")
