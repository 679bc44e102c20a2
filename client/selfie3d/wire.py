"""The types to and from the messages of the API: the only module that knows both.

Words of a newer peer do no harm: an unknown state is UNSPECIFIED, any other unknown enum value its number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from selfie3d.types import (
    Compression,
    Detail,
    Event,
    Extent,
    Format,
    JobOptions,
    JobState,
    JobStatus,
    LeftOut,
    MeshFile,
    OptionError,
    Options,
    PhotoView,
    Preview,
    Priority,
    Stage,
    Topology,
)
from selfie3d.types.options import check_one_person, choice
from selfie3d.v1 import reconstruction_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper as EnumTypeWrapper

    from selfie3d.types import Face, Pose

JOB_ONLY = (
    "priority",
    "job_timeout",
    "expire_after",
    "request_id",
    "webhook_url",
    "one_person",
)  # fields of JobOptions that are none of Options

MOST_SECONDS = 10_000 * 365.25 * 86400  # of a Duration


def state_name(state: JobState) -> str:
    """The API's name of a state."""
    return f"JOB_STATE_{state.name}"


def stage_name(stage: Stage | None) -> str:
    """The API's name of a stage."""
    return f"STAGE_{stage.name}" if stage else "STAGE_UNSPECIFIED"


def options_message(options: Options) -> pb.Options:
    """The options as the API has them."""
    return pb.Options(
        format=f"MESH_FORMAT_{options.format.name}",
        detail=f"DETAIL_{options.detail.name}",
        all_faces=options.all_faces,
        scene=options.scene,
        textured=options.textured,
        printable=options.printable,
        extent=f"EXTENT_{options.extent.name}",
        delight=options.delight,
        topology=f"TOPOLOGY_{options.topology.name}",
        rigged=options.rigged,
        neutral=options.neutral,
        compression=f"COMPRESSION_{options.compression.name}",
    )


def options_of(message: pb.Options) -> Options:
    """The message's options; what is unset takes its default. Raises OptionError."""
    format, detail = _word(pb.MeshFormat, message.format), _word(pb.Detail, message.detail)
    extent, topology = _word(pb.Extent, message.extent), _word(pb.Topology, message.topology)
    compression = _word(pb.Compression, message.compression)
    return Options(
        format=choice(Format, "format", format) if format else Options.format,
        detail=choice(Detail, "detail", detail) if detail else Options.detail,
        all_faces=message.all_faces,
        scene=message.scene,
        textured=message.textured,
        printable=message.printable,
        extent=choice(Extent, "extent", extent) if extent else Options.extent,
        delight=message.delight,
        topology=choice(Topology, "topology", topology) if topology else Options.topology,
        rigged=message.rigged,
        neutral=message.neutral,
        compression=choice(Compression, "compression", compression) if compression else Options.compression,
    )


def settings_message(request_id: str, options: JobOptions) -> pb.JobSettings:
    """The settings of a job.

    Raises OptionError for words that there are not and for options that contradict, TypeError for unknown options.
    """
    wanted: dict[str, Any] = {name: value for name, value in options.items() if name not in JOB_ONLY}
    priority = choice(Priority, "priority", options.get("priority", Priority.INTERACTIVE))
    of_mesh, one_person = Options.of(**wanted), options.get("one_person", False)
    if one_person:
        check_one_person(of_mesh)
    return pb.JobSettings(
        request_id=request_id,
        options=options_message(of_mesh),
        priority=f"PRIORITY_{priority.name}",
        timeout=_duration("job_timeout", options.get("job_timeout")),
        expire_after=_duration("expire_after", options.get("expire_after")),
        webhook_url=options.get("webhook_url", ""),
        one_person=one_person,
    )


def _duration(field: str, seconds: float | None) -> Duration | None:
    """Raises OptionError for what no message can hold; what the service accepts is less."""
    if seconds is None:
        return None
    if not abs(seconds) <= MOST_SECONDS:  # nor NaN
        raise OptionError(field, f"{field} is {seconds} s, which no job can have.")
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def file_message(file: MeshFile) -> pb.MeshFile:
    """What is known of a file."""
    return pb.MeshFile(
        format=f"MESH_FORMAT_{file.format.upper()}",
        media_type=file.media_type,
        extension=file.extension,
        size_bytes=file.size,
        sha256=file.sha256,
    )


def file_of(message: pb.MeshFile) -> MeshFile:
    """What is known of a file that is not downloaded yet."""
    format = _word(pb.MeshFormat, message.format) or "unspecified"
    return MeshFile(format, message.media_type, message.extension, message.size_bytes, message.sha256)


def preview_message(preview: Preview) -> pb.PreviewFile:
    """What is known of a picture."""
    return pb.PreviewFile(
        media_type=preview.media_type,
        width=preview.width,
        height=preview.height,
        size_bytes=preview.size,
        sha256=preview.sha256,
    )


def preview_of(message: pb.PreviewFile) -> Preview:
    """What is known of a picture that is not downloaded yet."""
    return Preview(message.media_type, message.width, message.height, message.size_bytes, message.sha256)


def face_messages(faces: Iterable[Face]) -> list[pb.Face]:
    """The faces of a result; of a scene only the first names the file."""
    messages: list[pb.Face] = []
    named: set[int] = set()
    for face in faces:
        file = None if id(face.file) in named else file_message(face.file)
        named.add(id(face.file))
        messages.append(_face_message(face, file))
    return messages


def faces_of(messages: Iterable[pb.Face]) -> tuple[Face, ...]:
    """The faces of a job, without their meshes."""
    faces: list[Face] = []
    for message in messages:
        face = _face_of(message)
        shares = faces and not message.file.size_bytes  # in a scene all faces lie in the first one's file
        faces.append(replace(face, file=faces[0].file) if shares else face)
    return tuple(faces)


def view_messages(views: Iterable[PhotoView]) -> list[pb.PhotoView]:
    """What each of several photos gave."""
    return [
        pb.PhotoView(
            index=view.index,
            weight=view.weight,
            pose=_pose_message(view.pose) if view.pose else None,
            left_out=view.left_out,
        )
        for view in views
    ]


def views_of(messages: Iterable[pb.PhotoView]) -> tuple[PhotoView, ...]:
    """What each of several photos gave; a reason of a newer service stays the word that it is."""
    return tuple(
        PhotoView(
            view.index,
            view.weight,
            _pose_of(view.pose) if view.HasField("pose") else None,
            LeftOut(view.left_out) if view.left_out in [*LeftOut] else view.left_out,
        )
        for view in messages
    )


def event_of(message: pb.JobEvent) -> Event:
    """The event of a job."""
    return Event(
        message.number,
        _time(message.time) or datetime.fromtimestamp(0, UTC),
        state_of(message.state),
        _word(pb.Stage, message.stage),
        message.attempt,
        message.progress,
    )


def status_of(message: pb.Job) -> JobStatus:
    """The job, with the error that it stands for."""
    status = JobStatus(
        id=message.id,
        state=state_of(message.state),
        stage=_word(pb.Stage, message.stage),
        request_id=message.settings.request_id,
        attempt=message.attempt,
        last_event=message.last_event,
        created=_time(message.create_time),
        started=_time(message.start_time),
        ended=_time(message.end_time),
        deadline=_time(message.deadline),
        expires=_time(message.expire_time),
        error=None,
        faces=faces_of(message.faces),
        seconds={_word(pb.Stage, time.stage): time.seconds for time in message.stage_times},
        queue_position=message.queue_position,
        queue_paused=message.queue_paused,
        views=views_of(message.views),
    )
    from selfie3d.errors import ended_error  # here: it brings gRPC, which a worker does without

    error = ended_error(status, message.error.code, message.error.reason, message.error.message)
    return replace(status, error=error) if error else status


def _face_message(face: Face, file: pb.MeshFile | None) -> pb.Face:
    x, y, width, height = face.box
    points = zip(face.landmarks.tolist(), face.landmark_vertices.tolist(), strict=True)
    return pb.Face(
        index=face.index,
        box=pb.Box(x=x, y=y, width=width, height=height),
        score=face.score,
        mesh_to_photo=face.mesh_to_photo.ravel().tolist(),
        pose=_pose_message(face.pose),
        landmarks=[pb.Landmark(x=px, y=py, z=pz, vertex=vertex) for (px, py, pz), vertex in points],
        vertices=face.vertices,
        triangles=face.triangles,
        file=file,
        preview=preview_message(face.preview) if face.has_preview else None,
    )


def _face_of(message: pb.Face) -> Face:
    import numpy as np  # here: the service passes faces on without a look

    from selfie3d.types import Face

    matrix = np.array(message.mesh_to_photo, np.float64)
    return Face(
        index=message.index,
        box=(message.box.x, message.box.y, message.box.width, message.box.height),
        score=message.score,
        mesh_to_photo=matrix.reshape(4, 4) if matrix.size == 16 else np.eye(4),
        pose=_pose_of(message.pose),
        landmarks=np.array([(p.x, p.y, p.z) for p in message.landmarks], np.float32).reshape(-1, 3),
        landmark_vertices=np.array([p.vertex for p in message.landmarks], np.int32),
        vertices=message.vertices,
        triangles=message.triangles,
        file=file_of(message.file),
        _preview=preview_of(message.preview) if message.HasField("preview") else None,
    )


def _pose_message(pose: Pose) -> pb.HeadPose:
    return pb.HeadPose(yaw=pose.yaw, pitch=pose.pitch, roll=pose.roll)


def _pose_of(message: pb.HeadPose) -> Pose:
    from selfie3d.types import Pose

    return Pose(message.yaw, message.pitch, message.roll)


def state_of(value: int) -> JobState:
    """The state of a value of the API; UNSPECIFIED for one that this version does not know."""
    try:
        return JobState(_word(pb.JobState, value))
    except ValueError:
        return JobState.UNSPECIFIED


def _word(enum: EnumTypeWrapper[Any], value: int) -> str:
    """The value's name in lower case without its prefix; empty for none, the number for one of a newer peer."""
    if value == 0:
        return ""
    prefix = str(enum.Name(0)).removesuffix("UNSPECIFIED")
    try:
        return str(enum.Name(value)).removeprefix(prefix).lower()
    except ValueError:
        return str(value)


def _time(stamp: Timestamp) -> datetime | None:
    return stamp.ToDatetime(UTC) if stamp.ByteSize() else None
