"""The API's messages in Python's own types, those of newer services too."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from selfie3d import (
    Compression,
    Detail,
    Extent,
    Format,
    JobOptions,
    JobState,
    LeftOut,
    OptionError,
    Options,
    PhotoView,
    Pose,
    Stage,
    Topology,
)
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.wire import (
    event_of,
    faces_of,
    file_of,
    options_message,
    options_of,
    settings_message,
    status_of,
    view_messages,
    views_of,
)


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -float("inf"), 1e300])
@pytest.mark.parametrize("field", ["job_timeout", "expire_after"])
def test_a_time_that_no_message_can_hold_is_refused_by_its_name(field: str, seconds: float) -> None:
    options: Any = {field: seconds}
    with pytest.raises(OptionError, match=field) as caught:
        settings_message("id", options)
    assert caught.value.field == field


def test_the_states_are_those_of_the_api() -> None:
    words = [pb.JobState.Name(number).removeprefix("JOB_STATE_").lower() for number in pb.JobState.values()]
    assert [state.value for state in JobState] == words
    assert {state for state in JobState if state.ended} == {"succeeded", "failed", "cancelled", "expired"}


def test_a_newer_service_s_words_do_no_harm() -> None:
    job = status_of(pb.Job(state=99, stage=98, stage_times=[pb.StageTime(stage=97, seconds=1)]))  # type: ignore[arg-type]
    assert (job.state, job.stage, job.seconds) == (JobState.UNSPECIFIED, "98", {"97": 1})
    assert file_of(pb.MeshFile(format=96)).format == "96"  # type: ignore[arg-type]


def test_the_stages_are_those_of_the_api() -> None:
    words = [pb.Stage.Name(number).removeprefix("STAGE_").lower() for number in pb.Stage.values()]
    assert [stage.value for stage in Stage] == words[1:]


@pytest.mark.parametrize("detail", Detail)
@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("extent", Extent)
def test_options_survive_the_wire(extent: Extent, format: Format, detail: Detail) -> None:
    textured = format in (Format.OBJ, Format.GLB, Format.USDZ)
    options = Options(format, detail, all_faces=True, scene=True, textured=textured, printable=not textured)
    options = replace(options, extent=extent, delight=textured)
    assert options_of(options_message(options)) == options


@pytest.mark.parametrize(
    "wanted", [{"topology": Topology.HEAD}, {"rigged": True}, {"neutral": True}, {"rigged": True, "neutral": True}]
)
def test_the_topology_survives_the_wire(wanted: dict[str, Any]) -> None:
    options = Options(Format.GLB, **wanted)
    assert options.topology is Topology.HEAD
    assert options_of(options_message(options)) == options


@pytest.mark.parametrize("compression", Compression)
def test_the_compression_survives_the_wire(compression: Compression) -> None:
    options = Options(Format.GLB, compression=compression)
    assert options_of(options_message(options)) == options


def test_a_caller_who_says_only_rigged_gets_the_topology_of_the_head() -> None:
    options = options_of(pb.Options(format=pb.MESH_FORMAT_GLB, rigged=True))
    assert (options.topology, options.rigged) == (Topology.HEAD, True)


def test_unset_options_are_the_defaults() -> None:
    assert options_of(pb.Options()) == Options()
    assert settings_message("id", {}).options == options_message(Options())


def test_times_are_utc_or_missing() -> None:
    stamp = Timestamp(seconds=1_700_000_000)
    job = status_of(pb.Job(create_time=stamp))
    assert job.created == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert (job.started, job.ended, job.expires) == (None, None, None)
    assert event_of(pb.JobEvent(number=1, time=stamp)).time == job.created


def test_a_job_that_waits_knows_its_place() -> None:
    assert status_of(pb.Job(state=pb.JOB_STATE_QUEUED, queue_position=3)).queue_position == 3


def test_a_job_that_did_not_fail_has_no_error() -> None:
    for state in (pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING, pb.JOB_STATE_SUCCEEDED):
        assert status_of(pb.Job(state=state)).error is None


def test_a_face_without_numbers_is_usable() -> None:
    (face,) = faces_of([pb.Face()])
    np.testing.assert_array_equal(face.mesh_to_photo, np.eye(4))
    assert face.landmarks.shape == (0, 3)


def test_what_each_photo_gave_survives_the_wire() -> None:
    views = (
        PhotoView(0, 0.25, Pose(-40.0, 1.5, 2.0)),
        PhotoView(1, 0.75, Pose(0.0, 0.0, 0.0)),
        PhotoView(2, 0.0, None, LeftOut.NO_FACE),
        PhotoView(3, 0.0, Pose(9.0, 0.0, 0.0), LeftOut.DIFFERENT_PERSON),
    )
    job = status_of(pb.Job(state=pb.JOB_STATE_SUCCEEDED, views=view_messages(views)))
    assert job.views == views
    assert [view.used for view in job.views] == [True, True, False, False]
    assert views_of([pb.PhotoView(left_out="ASLEEP")])[0].left_out == "ASLEEP"  # a newer service's word


def test_one_person_is_part_of_the_settings_and_excludes_what_it_must() -> None:
    assert settings_message("id", {"one_person": True}).one_person
    assert not settings_message("id", {}).one_person
    contradictions: list[JobOptions] = [{"all_faces": True}, {"printable": True}, {"extent": "face"}, {"format": "stl"}]
    for options in contradictions:
        with pytest.raises(OptionError):
            settings_message("id", {**options, "one_person": True})
