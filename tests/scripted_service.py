"""A scripted service behind a real gRPC server, for tests of what talks to it."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Self

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as stubs

CHUNK = 1000  # bytes of mesh a message
GIVEN_UP_SECONDS = 0.1
STAGES = [pb.STAGE_DECODE, pb.STAGE_DETECT, pb.STAGE_NETWORK, pb.STAGE_ENCODE]
MATRIX = [2.0, 0, 0, 320, 0, -2.0, 0, 240, 0, 0, 2.0, 5, 0, 0, 0, 1]


def make_ply(vertices: int) -> bytes:
    """A PLY as the service writes it, with a property that no reader asks for."""
    floats = "".join(f"property float {name}\n" for name in ("x", "y", "z", "nx", "ny", "nz"))
    colours = "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    header = (
        f"ply\nformat binary_little_endian 1.0\ncomment units mm\nelement vertex {vertices}\n{floats}{colours}"
        "property float confidence\nproperty uchar face\n"
        f"element face {vertices - 2}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    fields = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    fields += [(name, "u1") for name in ("red", "green", "blue")]
    points = np.zeros(vertices, [*fields, ("confidence", "<f4"), ("face", "u1")])
    points["x"], points["y"], points["nz"] = np.arange(vertices), np.arange(vertices) ** 2 / 7, 1
    points["red"], points["confidence"] = np.arange(vertices) % 256, 0.5
    corners = np.zeros(vertices - 2, [("n", "u1"), ("v", "<i4", (3,))])
    corners["n"], corners["v"] = 3, np.arange(vertices - 2)[:, None] + np.arange(3)
    return header.encode() + points.tobytes() + corners.tobytes()


MESH = make_ply(300)
MESH_URL = "https://bucket.example/heads"
PICTURE = b"RIFF a picture WEBP"


def rich_error(code: int, message: str, *details: Any) -> grpc.Status:
    """A status with google.rpc details, as the service answers it."""
    status = status_pb2.Status(code=code, message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return rpc_status.to_status(status)


UNAVAILABLE = rich_error(code_pb2.UNAVAILABLE, "Redis does not answer.", error_details_pb2.ErrorInfo(reason="REDIS"))
FULL = rich_error(
    code_pb2.RESOURCE_EXHAUSTED,
    "The queue is full.",
    error_details_pb2.ErrorInfo(reason="QUEUE_FULL", domain="selfie3d"),
    error_details_pb2.RetryInfo(retry_delay=Duration(nanos=30_000_000)),
)


@dataclass
class Script:
    """What the service does, and what it saw.

    errors : {rpc: statuses}, one for each call until used up, before anything else happens
    cuts : {rpc: numbers}, one for each stream until used up: it breaks after that many messages
    """

    errors: defaultdict[str, list[grpc.Status]] = field(default_factory=lambda: defaultdict(list))
    cuts: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    calls: list[tuple[str, Any]] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    jobs: dict[str, pb.Job] = field(default_factory=dict)  # by request_id
    photos: dict[str, bytes] = field(default_factory=dict)  # by job id; of several the first
    more_photos: dict[str, list[bytes]] = field(default_factory=dict)  # the others
    old: bool = False  # knows nothing of several photos
    apart: bool = False  # as an older service: watches bring all events, and no meshes and pictures
    early: list[list[pb.MeshChunk]] = field(default_factory=list)  # of each watch, before the last event; used up
    outcome: pb.Job = field(default_factory=pb.Job)  # merged into a job when it ends
    damage: Callable[[bytes], bytes] = bytes
    hold: threading.Event = field(default_factory=threading.Event)  # cleared: watches stay open
    left: threading.Event = field(default_factory=threading.Event)  # set when a watch ends

    def requests(self, rpc: str) -> list[Any]:
        """What was asked of one method."""
        return [request for name, request in self.calls if name == rpc]


def succeeded(*meshes: bytes) -> pb.Job:
    """How a job with these meshes ends; b"" for the further faces of a scene, which have no file of their own."""
    return pb.Job(
        state=pb.JOB_STATE_SUCCEEDED,
        faces=[
            pb.Face(
                index=index,
                box=pb.Box(x=10, y=20, width=90, height=100),
                score=0.9,
                mesh_to_photo=MATRIX,
                pose=pb.HeadPose(yaw=12),
                landmarks=[pb.Landmark(x=n, y=-n, z=1, vertex=n) for n in range(68)],
                vertices=300,
                triangles=298,
                file=file_of(mesh) if mesh else None,
                preview=PREVIEW,
            )
            for index, mesh in enumerate(meshes)
        ],
        stage_times=[pb.StageTime(stage=pb.STAGE_NETWORK, seconds=0.25)],
    )


def file_of(mesh: bytes) -> pb.MeshFile:
    """The announcement of a mesh file."""
    digest = hashlib.sha256(mesh).hexdigest()
    return pb.MeshFile(format=pb.MESH_FORMAT_PLY, extension=".ply", size_bytes=len(mesh), sha256=digest)


PREVIEW = pb.PreviewFile(
    media_type="image/webp",
    width=512,
    height=512,
    size_bytes=len(PICTURE),
    sha256=hashlib.sha256(PICTURE).hexdigest(),
)


class ScriptedService(stubs.ReconstructionServiceServicer):
    """The API over a dict, following a script. Jobs end as soon as they are watched."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.meshes: list[bytes] = [MESH]

    def _begin(self, rpc: str, request: Any, context: grpc.ServicerContext) -> None:
        self.script.calls.append((rpc, request))
        self.script.metadata.append(dict(context.invocation_metadata()))
        if self.script.errors[rpc]:
            context.abort_with_status(self.script.errors[rpc].pop(0))

    def _stream(self, rpc: str, messages: Iterable[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        cut = self.script.cuts[rpc].pop(0) if self.script.cuts[rpc] else None
        for number, message in enumerate(messages):
            if number == cut:
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            yield message

    def _create(self, settings: pb.JobSettings, photo: bytes, *more: bytes) -> pb.Job:
        made = pb.Job(id=f"job-{len(self.script.jobs)}", state=pb.JOB_STATE_QUEUED, settings=settings)
        if self.script.old:
            made.settings.ClearField("one_person")
        job = self.script.jobs.setdefault(settings.request_id, made)
        self.script.photos[job.id], self.script.more_photos[job.id] = photo, list(more)
        return job

    def _job(self, job_id: str, context: grpc.ServicerContext) -> pb.Job:
        for job in self.script.jobs.values():
            if job.id == job_id:
                return job
        context.abort_with_status(rich_error(code_pb2.NOT_FOUND, "No such job."))
        raise AssertionError

    def CreateJob(self, request: pb.CreateJobRequest, context: grpc.ServicerContext) -> pb.CreateJobResponse:  # noqa: N802
        self._begin("CreateJob", request, context)
        return pb.CreateJobResponse(job=self._create(request.settings, request.photo, *request.more_photos))

    def UploadJob(  # noqa: N802
        self, request_iterator: Iterator[pb.UploadJobRequest], context: grpc.ServicerContext
    ) -> pb.UploadJobResponse:
        settings = next(request_iterator).settings
        given_up = threading.Event()
        context.add_callback(given_up.set)
        self._begin("UploadJob", settings, context)
        photos = [b""]
        for message in request_iterator:
            if message.next_photo:
                photos.append(b"")
            photos[-1] += message.chunk
        # the messages of a call that was given up may end as if they were complete; a moment later it is known
        if given_up.wait(GIVEN_UP_SECONDS):
            return pb.UploadJobResponse()
        return pb.UploadJobResponse(job=self._create(settings, *photos))

    def GetJob(self, request: pb.GetJobRequest, context: grpc.ServicerContext) -> pb.GetJobResponse:  # noqa: N802
        self._begin("GetJob", request, context)
        return pb.GetJobResponse(job=self._job(request.job_id, context))

    def WatchJob(  # noqa: N802
        self, request: pb.WatchJobRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchJobResponse]:
        context.add_callback(self.script.left.set)
        self._begin("WatchJob", request, context)
        job = self._job(request.job_id, context)
        events = [pb.JobEvent(number=1, state=pb.JOB_STATE_QUEUED)]
        for stage in STAGES:
            number = len(events) + 1
            events.append(pb.JobEvent(number=number, state=pb.JOB_STATE_RUNNING, stage=stage, progress=number / 6))
        first = len(events) if request.only_end and not self.script.apart else request.after_event
        messages = [pb.WatchJobResponse(event=event) for event in events[first:]]
        early = self.script.early.pop(0) if request.early_mesh and self.script.early else []
        messages += [pb.WatchJobResponse(chunk=chunk) for chunk in early]
        yield from self._stream(
            "WatchJob", chain(messages, self._end(request, job, len(events) + 1, early, context)), context
        )

    def _end(
        self,
        request: pb.WatchJobRequest,
        job: pb.Job,
        number: int,
        early: list[pb.MeshChunk],
        context: grpc.ServicerContext,
    ) -> Iterator[pb.WatchJobResponse]:
        """The last event, once it is not held back any more, and what of the result was not sent early."""
        while context.is_active() and not self.script.hold.wait(0.01):
            pass
        if job.state == pb.JOB_STATE_QUEUED:
            job.MergeFrom(self.script.outcome)
        yield pb.WatchJobResponse(event=pb.JobEvent(number=number, state=job.state, progress=1), job=job)
        if not request.with_result or self.script.apart:
            return
        for index in range(sum(face.HasField("file") for face in job.faces)):
            sent = [each for each in early if each.face_index == index and each.file == file_of(self.meshes[index])]
            offset = sent[-1].offset + len(sent[-1].data) if sent else 0
            yield from (pb.WatchJobResponse(chunk=chunk) for chunk in self.chunks(index, offset))
        for face in job.faces:
            if face.HasField("preview"):
                data = self.script.damage(PICTURE)
                yield pb.WatchJobResponse(preview=pb.Preview(face_index=face.index, file=PREVIEW, data=data))

    def chunks(self, index: int, offset: int = 0, mesh: bytes = b"") -> list[pb.MeshChunk]:
        """The pieces of a face's mesh, or of another one that a replaced worker had made."""
        mesh = mesh or self.meshes[index]
        sent = self.script.damage(mesh)
        return [
            pb.MeshChunk(face_index=index, offset=start, data=sent[start : start + CHUNK], file=file_of(mesh))
            for start in range(offset, len(sent), CHUNK)
        ]

    def DownloadMesh(  # noqa: N802
        self, request: pb.DownloadMeshRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.DownloadMeshResponse]:
        self._begin("DownloadMesh", request, context)
        self._job(request.job_id, context)
        chunks = self.chunks(request.face_index, request.offset)
        yield from self._stream("DownloadMesh", [pb.DownloadMeshResponse(chunk=chunk) for chunk in chunks], context)

    def GetPreview(self, request: pb.GetPreviewRequest, context: grpc.ServicerContext) -> pb.GetPreviewResponse:  # noqa: N802
        self._begin("GetPreview", request, context)
        self._job(request.job_id, context)
        return pb.GetPreviewResponse(file=PREVIEW, data=self.script.damage(PICTURE))

    def GetMeshUrl(self, request: pb.GetMeshUrlRequest, context: grpc.ServicerContext) -> pb.GetMeshUrlResponse:  # noqa: N802
        self._begin("GetMeshUrl", request, context)
        self._job(request.job_id, context)
        return pb.GetMeshUrlResponse(url=f"{MESH_URL}/{request.face_index}", file=file_of(MESH))

    def CancelJob(self, request: pb.CancelJobRequest, context: grpc.ServicerContext) -> pb.CancelJobResponse:  # noqa: N802
        self._begin("CancelJob", request, context)
        job = self._job(request.job_id, context)
        job.state = pb.JOB_STATE_CANCELLED
        return pb.CancelJobResponse(job=job)

    def DeleteJob(self, request: pb.DeleteJobRequest, context: grpc.ServicerContext) -> pb.DeleteJobResponse:  # noqa: N802
        self._begin("DeleteJob", request, context)
        job = self._job(request.job_id, context)
        del self.script.jobs[job.settings.request_id]
        return pb.DeleteJobResponse()

    def ListJobs(self, request: pb.ListJobsRequest, context: grpc.ServicerContext) -> pb.ListJobsResponse:  # noqa: N802
        self._begin("ListJobs", request, context)
        start = int(request.page_token or 0)
        jobs = [job for job in self.script.jobs.values() if not request.states or job.state in request.states]
        end = start + 2
        return pb.ListJobsResponse(jobs=jobs[start:end], next_page_token=str(end) if end < len(jobs) else "")


@dataclass
class Running:
    """A server that can be stopped and started again at its address."""

    service: ScriptedService
    credentials: grpc.ServerCredentials | None = None
    address: str = "localhost:0"
    server: grpc.Server | None = None

    @property
    def script(self) -> Script:
        """What the service does."""
        return self.service.script

    def start(self) -> None:
        """Listen, at the same address as before."""
        self.server = grpc.server(ThreadPoolExecutor(8))
        stubs.add_ReconstructionServiceServicer_to_server(self.service, self.server)  # type: ignore[no-untyped-call]
        if self.credentials is None:
            port = self.server.add_insecure_port(self.address)
        else:
            port = self.server.add_secure_port(self.address, self.credentials)
        self.address = f"localhost:{port}"
        self.server.start()

    def stop(self) -> None:
        """End at once, cutting what runs."""
        self.script.hold.set()
        if self.server is not None:
            self.server.stop(None).wait()

    @classmethod
    def with_mesh(cls, credentials: grpc.ServerCredentials | None = None) -> Self:
        """Started, and every job succeeds with MESH."""
        script = Script(outcome=succeeded(MESH))
        script.hold.set()
        server = cls(ScriptedService(script), credentials)
        server.start()
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
