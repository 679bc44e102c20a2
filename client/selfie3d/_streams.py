"""What a stream that may be cut has brought so far, and the request that goes on from there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from selfie3d.errors import DownloadDamaged
from selfie3d.types import Event, JobStatus, MeshFile
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.wire import event_of, file_of, status_of

UPLOAD_CHUNK = 1 << 20  # bytes; the service takes up to 1 MiB a message
STREAMED_PHOTO = 3 << 20  # bytes; larger photos are streamed: a service may keep gRPC's limit of 4 MiB a message


M = TypeVar("M", bound=Message, contravariant=True)


class Transfer(Protocol[M]):
    """A resumable stream of answers."""

    rpc: str

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        ...

    def request(self) -> Message:
        """The message that asks for what is missing."""
        ...

    def take(self, message: M) -> Event | None:
        """Keep what the message brings; returns what is to be handed out."""
        ...


class Watch:
    """The events of a job after a number, and the job as it ended.

    with_result : the meshes and pictures are wanted, too, and meshes as soon as they are made. They are not missed: a
        service may not send them, and what does not come with the events is asked for afterwards
    only_end : nobody looks at the events before the last one
    previews : by face
    """

    rpc = "WatchJob"

    def __init__(self, job_id: str, after_event: int = 0, *, with_result: bool = False, only_end: bool = False) -> None:
        self.job: JobStatus | None = None
        self.previews: dict[int, pb.Preview] = {}
        self._downloads: dict[int, Download] = {}
        self._job_id = job_id
        self._after_event = after_event
        self._wanted = {"with_result": with_result, "early_mesh": with_result, "only_end": only_end}

    @property
    def complete(self) -> bool:
        return self.job is not None

    def request(self) -> pb.WatchJobRequest:
        return pb.WatchJobRequest(job_id=self._job_id, after_event=self._after_event, **self._wanted)

    def take(self, message: pb.WatchJobResponse) -> Event | None:
        if message.HasField("chunk"):
            self._take_chunk(message)
        if message.HasField("preview"):
            self.previews[message.preview.face_index] = message.preview
        if message.HasField("job"):
            self.job = status_of(message.job)
        if not message.HasField("event") or message.event.number <= self._after_event:
            return None
        self._after_event = message.event.number
        return event_of(message.event)

    def download(self, face_index: int, file: MeshFile) -> Download:
        """What has come of a face's mesh file; nothing when another file has come, of a worker that was replaced."""
        come = self._downloads.get(face_index)
        return come if come and come.file == file else Download(self._job_id, face_index)

    def _take_chunk(self, message: pb.WatchJobResponse) -> None:
        face, is_first = message.chunk.face_index, message.chunk.offset == 0
        if is_first or face not in self._downloads:
            self._downloads[face] = Download(self._job_id, face)
        self._downloads[face].take(message)


class Download:
    """The bytes of one mesh file, checked piece by piece and as a whole."""

    rpc = "DownloadMesh"

    def __init__(self, job_id: str, face_index: int) -> None:
        self.file: MeshFile | None = None
        self._pieces: list[bytes] = []
        self._size = 0  # of all pieces
        self._hash = hashlib.sha256()  # as pieces come: while the next one is on its way
        self._job_id = job_id
        self._face_index = face_index

    @property
    def complete(self) -> bool:
        return self.file is not None and self._size == self.file.size

    def request(self) -> pb.DownloadMeshRequest:
        return pb.DownloadMeshRequest(job_id=self._job_id, face_index=self._face_index, offset=self._size)

    def take(self, message: pb.DownloadMeshResponse | pb.WatchJobResponse) -> None:
        chunk = message.chunk
        file = file_of(chunk.file)
        self.file = self.file or file
        if chunk.offset != self._size or file != self.file:
            raise DownloadDamaged("The service sent another piece of the mesh than the one that follows.")
        data = chunk.data  # each look at it is a copy
        self._pieces.append(data)
        self._size += len(data)
        self._hash.update(data)
        if self._size > self.file.size:
            raise DownloadDamaged(f"The mesh is longer than the {self.file.size} bytes that were announced.")

    def verified(self) -> bytes:
        """The whole file. Raises DownloadDamaged when its SHA-256 is not the announced one."""
        if self.file is None or self._hash.hexdigest() != self.file.sha256:
            raise DownloadDamaged("The SHA-256 of the mesh is not the one that was announced: download it again.")
        return b"".join(self._pieces)


def upload_messages(settings: pb.JobSettings, photos: Sequence[bytes]) -> Iterator[pb.UploadJobRequest]:
    """The messages of UploadJob: the settings, then the photos in order."""
    yield pb.UploadJobRequest(settings=settings)
    for number, photo in enumerate(photos):
        if number:
            yield pb.UploadJobRequest(next_photo=True)
        for start in range(0, len(photo), UPLOAD_CHUNK):
            yield pb.UploadJobRequest(chunk=photo[start : start + UPLOAD_CHUNK])
