import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
    JOB_STATE_EXPIRED: _ClassVar[JobState]

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_DECODE: _ClassVar[Stage]
    STAGE_DETECT: _ClassVar[Stage]
    STAGE_ALIGN: _ClassVar[Stage]
    STAGE_NETWORK: _ClassVar[Stage]
    STAGE_SURFACE: _ClassVar[Stage]
    STAGE_COLOUR: _ClassVar[Stage]
    STAGE_ENCODE: _ClassVar[Stage]
    STAGE_STORE: _ClassVar[Stage]

class MeshFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MESH_FORMAT_UNSPECIFIED: _ClassVar[MeshFormat]
    MESH_FORMAT_PLY: _ClassVar[MeshFormat]
    MESH_FORMAT_OBJ: _ClassVar[MeshFormat]
    MESH_FORMAT_GLB: _ClassVar[MeshFormat]
    MESH_FORMAT_STL: _ClassVar[MeshFormat]
    MESH_FORMAT_USDZ: _ClassVar[MeshFormat]

class Detail(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DETAIL_UNSPECIFIED: _ClassVar[Detail]
    DETAIL_PREVIEW: _ClassVar[Detail]
    DETAIL_STANDARD: _ClassVar[Detail]
    DETAIL_FULL: _ClassVar[Detail]

class Extent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXTENT_UNSPECIFIED: _ClassVar[Extent]
    EXTENT_HEAD: _ClassVar[Extent]
    EXTENT_FACE: _ClassVar[Extent]

class Topology(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOPOLOGY_UNSPECIFIED: _ClassVar[Topology]
    TOPOLOGY_VOLUME: _ClassVar[Topology]
    TOPOLOGY_HEAD: _ClassVar[Topology]

class Compression(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPRESSION_UNSPECIFIED: _ClassVar[Compression]
    COMPRESSION_NONE: _ClassVar[Compression]
    COMPRESSION_QUANTISED: _ClassVar[Compression]
    COMPRESSION_MESHOPT: _ClassVar[Compression]

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_INTERACTIVE: _ClassVar[Priority]
    PRIORITY_BULK: _ClassVar[Priority]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
JOB_STATE_EXPIRED: JobState
STAGE_UNSPECIFIED: Stage
STAGE_DECODE: Stage
STAGE_DETECT: Stage
STAGE_ALIGN: Stage
STAGE_NETWORK: Stage
STAGE_SURFACE: Stage
STAGE_COLOUR: Stage
STAGE_ENCODE: Stage
STAGE_STORE: Stage
MESH_FORMAT_UNSPECIFIED: MeshFormat
MESH_FORMAT_PLY: MeshFormat
MESH_FORMAT_OBJ: MeshFormat
MESH_FORMAT_GLB: MeshFormat
MESH_FORMAT_STL: MeshFormat
MESH_FORMAT_USDZ: MeshFormat
DETAIL_UNSPECIFIED: Detail
DETAIL_PREVIEW: Detail
DETAIL_STANDARD: Detail
DETAIL_FULL: Detail
EXTENT_UNSPECIFIED: Extent
EXTENT_HEAD: Extent
EXTENT_FACE: Extent
TOPOLOGY_UNSPECIFIED: Topology
TOPOLOGY_VOLUME: Topology
TOPOLOGY_HEAD: Topology
COMPRESSION_UNSPECIFIED: Compression
COMPRESSION_NONE: Compression
COMPRESSION_QUANTISED: Compression
COMPRESSION_MESHOPT: Compression
PRIORITY_UNSPECIFIED: Priority
PRIORITY_INTERACTIVE: Priority
PRIORITY_BULK: Priority

class Options(_message.Message):
    __slots__ = ("format", "detail", "all_faces", "scene", "textured", "printable", "extent", "delight", "topology", "rigged", "neutral", "compression")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ALL_FACES_FIELD_NUMBER: _ClassVar[int]
    SCENE_FIELD_NUMBER: _ClassVar[int]
    TEXTURED_FIELD_NUMBER: _ClassVar[int]
    PRINTABLE_FIELD_NUMBER: _ClassVar[int]
    EXTENT_FIELD_NUMBER: _ClassVar[int]
    DELIGHT_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    RIGGED_FIELD_NUMBER: _ClassVar[int]
    NEUTRAL_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    format: MeshFormat
    detail: Detail
    all_faces: bool
    scene: bool
    textured: bool
    printable: bool
    extent: Extent
    delight: bool
    topology: Topology
    rigged: bool
    neutral: bool
    compression: Compression
    def __init__(self, format: _Optional[_Union[MeshFormat, str]] = ..., detail: _Optional[_Union[Detail, str]] = ..., all_faces: _Optional[bool] = ..., scene: _Optional[bool] = ..., textured: _Optional[bool] = ..., printable: _Optional[bool] = ..., extent: _Optional[_Union[Extent, str]] = ..., delight: _Optional[bool] = ..., topology: _Optional[_Union[Topology, str]] = ..., rigged: _Optional[bool] = ..., neutral: _Optional[bool] = ..., compression: _Optional[_Union[Compression, str]] = ...) -> None: ...

class JobSettings(_message.Message):
    __slots__ = ("request_id", "options", "priority", "timeout", "webhook_url", "one_person", "expire_after")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_URL_FIELD_NUMBER: _ClassVar[int]
    ONE_PERSON_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_AFTER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    options: Options
    priority: Priority
    timeout: _duration_pb2.Duration
    webhook_url: str
    one_person: bool
    expire_after: _duration_pb2.Duration
    def __init__(self, request_id: _Optional[str] = ..., options: _Optional[_Union[Options, _Mapping]] = ..., priority: _Optional[_Union[Priority, str]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., webhook_url: _Optional[str] = ..., one_person: _Optional[bool] = ..., expire_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "state", "settings", "photo_sha256", "create_time", "start_time", "end_time", "deadline", "expire_time", "attempt", "stage", "last_event", "error", "faces", "stage_times", "queue_position", "caller", "queue_paused", "views", "photo_sha256s")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    PHOTO_SHA256_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FACES_FIELD_NUMBER: _ClassVar[int]
    STAGE_TIMES_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_PAUSED_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    PHOTO_SHA256S_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: JobState
    settings: JobSettings
    photo_sha256: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    deadline: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    attempt: int
    stage: Stage
    last_event: int
    error: JobError
    faces: _containers.RepeatedCompositeFieldContainer[Face]
    stage_times: _containers.RepeatedCompositeFieldContainer[StageTime]
    queue_position: int
    caller: str
    queue_paused: bool
    views: _containers.RepeatedCompositeFieldContainer[PhotoView]
    photo_sha256s: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., settings: _Optional[_Union[JobSettings, _Mapping]] = ..., photo_sha256: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., stage: _Optional[_Union[Stage, str]] = ..., last_event: _Optional[int] = ..., error: _Optional[_Union[JobError, _Mapping]] = ..., faces: _Optional[_Iterable[_Union[Face, _Mapping]]] = ..., stage_times: _Optional[_Iterable[_Union[StageTime, _Mapping]]] = ..., queue_position: _Optional[int] = ..., caller: _Optional[str] = ..., queue_paused: _Optional[bool] = ..., views: _Optional[_Iterable[_Union[PhotoView, _Mapping]]] = ..., photo_sha256s: _Optional[_Iterable[str]] = ...) -> None: ...

class JobError(_message.Message):
    __slots__ = ("code", "reason", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    message: str
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class StageTime(_message.Message):
    __slots__ = ("stage", "seconds")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    stage: Stage
    seconds: float
    def __init__(self, stage: _Optional[_Union[Stage, str]] = ..., seconds: _Optional[float] = ...) -> None: ...

class Face(_message.Message):
    __slots__ = ("index", "box", "score", "mesh_to_photo", "pose", "landmarks", "vertices", "triangles", "file", "preview")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    MESH_TO_PHOTO_FIELD_NUMBER: _ClassVar[int]
    POSE_FIELD_NUMBER: _ClassVar[int]
    LANDMARKS_FIELD_NUMBER: _ClassVar[int]
    VERTICES_FIELD_NUMBER: _ClassVar[int]
    TRIANGLES_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    index: int
    box: Box
    score: float
    mesh_to_photo: _containers.RepeatedScalarFieldContainer[float]
    pose: HeadPose
    landmarks: _containers.RepeatedCompositeFieldContainer[Landmark]
    vertices: int
    triangles: int
    file: MeshFile
    preview: PreviewFile
    def __init__(self, index: _Optional[int] = ..., box: _Optional[_Union[Box, _Mapping]] = ..., score: _Optional[float] = ..., mesh_to_photo: _Optional[_Iterable[float]] = ..., pose: _Optional[_Union[HeadPose, _Mapping]] = ..., landmarks: _Optional[_Iterable[_Union[Landmark, _Mapping]]] = ..., vertices: _Optional[int] = ..., triangles: _Optional[int] = ..., file: _Optional[_Union[MeshFile, _Mapping]] = ..., preview: _Optional[_Union[PreviewFile, _Mapping]] = ...) -> None: ...

class PhotoView(_message.Message):
    __slots__ = ("index", "weight", "pose", "left_out")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    POSE_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    index: int
    weight: float
    pose: HeadPose
    left_out: str
    def __init__(self, index: _Optional[int] = ..., weight: _Optional[float] = ..., pose: _Optional[_Union[HeadPose, _Mapping]] = ..., left_out: _Optional[str] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("x", "y", "width", "height")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    width: float
    height: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ..., width: _Optional[float] = ..., height: _Optional[float] = ...) -> None: ...

class HeadPose(_message.Message):
    __slots__ = ("yaw", "pitch", "roll")
    YAW_FIELD_NUMBER: _ClassVar[int]
    PITCH_FIELD_NUMBER: _ClassVar[int]
    ROLL_FIELD_NUMBER: _ClassVar[int]
    yaw: float
    pitch: float
    roll: float
    def __init__(self, yaw: _Optional[float] = ..., pitch: _Optional[float] = ..., roll: _Optional[float] = ...) -> None: ...

class Landmark(_message.Message):
    __slots__ = ("x", "y", "z", "vertex")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    VERTEX_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    z: float
    vertex: int
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ..., z: _Optional[float] = ..., vertex: _Optional[int] = ...) -> None: ...

class MeshFile(_message.Message):
    __slots__ = ("format", "media_type", "extension", "size_bytes", "sha256")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    EXTENSION_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    format: MeshFormat
    media_type: str
    extension: str
    size_bytes: int
    sha256: str
    def __init__(self, format: _Optional[_Union[MeshFormat, str]] = ..., media_type: _Optional[str] = ..., extension: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class PreviewFile(_message.Message):
    __slots__ = ("media_type", "width", "height", "size_bytes", "sha256")
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    media_type: str
    width: int
    height: int
    size_bytes: int
    sha256: str
    def __init__(self, media_type: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ("number", "time", "state", "stage", "attempt", "progress")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    number: int
    time: _timestamp_pb2.Timestamp
    state: JobState
    stage: Stage
    attempt: int
    progress: float
    def __init__(self, number: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., stage: _Optional[_Union[Stage, str]] = ..., attempt: _Optional[int] = ..., progress: _Optional[float] = ...) -> None: ...

class CreateJobRequest(_message.Message):
    __slots__ = ("settings", "photo", "more_photos")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    PHOTO_FIELD_NUMBER: _ClassVar[int]
    MORE_PHOTOS_FIELD_NUMBER: _ClassVar[int]
    settings: JobSettings
    photo: bytes
    more_photos: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, settings: _Optional[_Union[JobSettings, _Mapping]] = ..., photo: _Optional[bytes] = ..., more_photos: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CreateJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class UploadJobRequest(_message.Message):
    __slots__ = ("settings", "chunk", "next_photo")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    NEXT_PHOTO_FIELD_NUMBER: _ClassVar[int]
    settings: JobSettings
    chunk: bytes
    next_photo: bool
    def __init__(self, settings: _Optional[_Union[JobSettings, _Mapping]] = ..., chunk: _Optional[bytes] = ..., next_photo: _Optional[bool] = ...) -> None: ...

class UploadJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ("job_id", "after_event", "with_result", "only_end", "early_mesh")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_EVENT_FIELD_NUMBER: _ClassVar[int]
    WITH_RESULT_FIELD_NUMBER: _ClassVar[int]
    ONLY_END_FIELD_NUMBER: _ClassVar[int]
    EARLY_MESH_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after_event: int
    with_result: bool
    only_end: bool
    early_mesh: bool
    def __init__(self, job_id: _Optional[str] = ..., after_event: _Optional[int] = ..., with_result: _Optional[bool] = ..., only_end: _Optional[bool] = ..., early_mesh: _Optional[bool] = ...) -> None: ...

class WatchJobResponse(_message.Message):
    __slots__ = ("event", "job", "chunk", "preview")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    event: JobEvent
    job: Job
    chunk: MeshChunk
    preview: Preview
    def __init__(self, event: _Optional[_Union[JobEvent, _Mapping]] = ..., job: _Optional[_Union[Job, _Mapping]] = ..., chunk: _Optional[_Union[MeshChunk, _Mapping]] = ..., preview: _Optional[_Union[Preview, _Mapping]] = ...) -> None: ...

class Preview(_message.Message):
    __slots__ = ("face_index", "file", "data")
    FACE_INDEX_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    face_index: int
    file: PreviewFile
    data: bytes
    def __init__(self, face_index: _Optional[int] = ..., file: _Optional[_Union[PreviewFile, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class DownloadMeshRequest(_message.Message):
    __slots__ = ("job_id", "face_index", "offset")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FACE_INDEX_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    face_index: int
    offset: int
    def __init__(self, job_id: _Optional[str] = ..., face_index: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadMeshResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: MeshChunk
    def __init__(self, chunk: _Optional[_Union[MeshChunk, _Mapping]] = ...) -> None: ...

class MeshChunk(_message.Message):
    __slots__ = ("face_index", "offset", "data", "file")
    FACE_INDEX_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    face_index: int
    offset: int
    data: bytes
    file: MeshFile
    def __init__(self, face_index: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., file: _Optional[_Union[MeshFile, _Mapping]] = ...) -> None: ...

class GetMeshUrlRequest(_message.Message):
    __slots__ = ("job_id", "face_index")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FACE_INDEX_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    face_index: int
    def __init__(self, job_id: _Optional[str] = ..., face_index: _Optional[int] = ...) -> None: ...

class GetMeshUrlResponse(_message.Message):
    __slots__ = ("url", "expire_time", "file")
    URL_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    url: str
    expire_time: _timestamp_pb2.Timestamp
    file: MeshFile
    def __init__(self, url: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., file: _Optional[_Union[MeshFile, _Mapping]] = ...) -> None: ...

class GetPreviewRequest(_message.Message):
    __slots__ = ("job_id", "face_index")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FACE_INDEX_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    face_index: int
    def __init__(self, job_id: _Optional[str] = ..., face_index: _Optional[int] = ...) -> None: ...

class GetPreviewResponse(_message.Message):
    __slots__ = ("file", "data")
    FILE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    file: PreviewFile
    data: bytes
    def __init__(self, file: _Optional[_Union[PreviewFile, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ReconstructRequest(_message.Message):
    __slots__ = ("settings", "photo", "more_photos")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    PHOTO_FIELD_NUMBER: _ClassVar[int]
    MORE_PHOTOS_FIELD_NUMBER: _ClassVar[int]
    settings: JobSettings
    photo: bytes
    more_photos: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, settings: _Optional[_Union[JobSettings, _Mapping]] = ..., photo: _Optional[bytes] = ..., more_photos: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ReconstructResponse(_message.Message):
    __slots__ = ("job", "event", "chunk")
    JOB_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    job: Job
    event: JobEvent
    chunk: MeshChunk
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., event: _Optional[_Union[JobEvent, _Mapping]] = ..., chunk: _Optional[_Union[MeshChunk, _Mapping]] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class DeleteJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class DeleteJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[JobState]
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[JobState, str]]] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
