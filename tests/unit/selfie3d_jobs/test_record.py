from selfie3d.types import JobState, Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import JobEvent, MeshAhead, Record
from selfie3d_jobs.record import parse_ring

FIELDS = {
    "id": "ab" * 16,
    "serial": "12",
    "owner": "anna",
    "state": "FAILED",
    "settings": pb.JobSettings(request_id="r").SerializeToString(),
    "photo_sha256": "00",
    "create_time": "1795375423041",
    "start_time": "1795375424000",
    "deadline": "1795375723041",
    "expire_time": "1795379323041",
    "attempt": "2",
    "stage": "network",
    "last_event": "9",
    "error_code": "3",
    "error_reason": "NO_FACE",
    "error_message": "No face: üöß.",
    "traceparent": "",
    "field_of_a_later_version": "1",
}


def flat(fields: dict[str, object]) -> list[bytes]:
    return [part if isinstance(part, bytes) else str(part).encode() for pair in fields.items() for part in pair]


def test_a_record_is_read_field_by_field_and_knows_what_is_not_there_yet() -> None:
    record = Record.of(flat(dict(FIELDS)))
    assert (record.state, record.stage, record.attempt) == (JobState.FAILED, Stage.NETWORK, 2)
    assert record.settings.request_id == "r"
    assert (record.create_time, record.end_time) == (1795375423.041, 0.0)
    assert record.error is not None
    assert (record.error.code, record.error.message) == (3, "No face: üöß.")
    assert (record.files, list(record.outcome.faces), record.worker) == (0, [], "")


def test_an_event_is_the_same_from_the_stream_and_from_the_doorbell() -> None:
    fields: dict[str, object] = {"time": 1500, "state": "RUNNING", "stage": "", "attempt": 1, "progress": 0.25}
    event = JobEvent.of((b"7-0", flat({**fields})))
    assert event == JobEvent(7, 1.5, JobState.RUNNING, None, 1, 0.25)
    text = b" ".join([b"job", b"7", *flat({**fields})])
    assert parse_ring(text) == ("job", event)


def test_a_mesh_that_was_sent_ahead_is_told_of_whatever_bytes_its_description_has() -> None:
    file = pb.MeshFile(media_type="with two spaces", size_bytes=32 << 7 | 32, sha256="ab" * 32)
    mesh = MeshAhead(attempt=2, face=11, file=file)
    assert MeshAhead.parse(mesh.ring("0" * 32)) == ("0" * 32, mesh)


def test_a_stage_of_a_later_version_is_none_of_ours() -> None:
    assert Record.of(flat({**FIELDS, "stage": "polish"})).stage is None
