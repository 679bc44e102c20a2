"""The API's messages in Python's own types, those of newer services too."""

from datetime import UTC, datetime

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from selfie3d import Event, Face, JobState, JobStatus, MeshFile
from selfie3d.types.job import stage_name
from selfie3d.v1 import reconstruction_pb2 as pb


def test_the_states_are_those_of_the_api() -> None:
    words = [pb.JobState.Name(number).removeprefix("JOB_STATE_").lower() for number in pb.JobState.values()]
    assert [state.value for state in JobState] == words
    assert {state for state in JobState if state.ended} == {"succeeded", "failed", "cancelled", "expired"}


def test_a_newer_service_s_words_do_no_harm() -> None:
    job = JobStatus.from_message(pb.Job(state=99, stage=98, stage_times=[pb.StageTime(stage=97, seconds=1)]))  # type: ignore[arg-type]
    assert (job.state, job.stage, job.seconds) == (JobState.UNSPECIFIED, "98", {"97": 1})
    assert MeshFile.from_message(pb.MeshFile(format=96)).format == "96"  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", pb.Stage.values())
def test_every_stage_has_a_word(stage: pb.Stage) -> None:
    assert stage_name(stage) == ("" if stage == 0 else pb.Stage.Name(stage)[6:].lower())


def test_times_are_utc_or_missing() -> None:
    stamp = Timestamp(seconds=1_700_000_000)
    job = JobStatus.from_message(pb.Job(create_time=stamp))
    assert job.created == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert (job.started, job.ended, job.expires) == (None, None, None)
    assert Event.from_message(pb.JobEvent(number=1, time=stamp)).time == job.created


def test_a_job_that_did_not_fail_has_no_error() -> None:
    for state in (pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING, pb.JOB_STATE_SUCCEEDED):
        assert JobStatus.from_message(pb.Job(state=state)).error is None


def test_a_face_without_numbers_is_usable() -> None:
    face = Face.from_message(pb.Face())
    np.testing.assert_array_equal(face.mesh_to_photo, np.eye(4))
    assert face.landmarks.shape == (0, 3)
