import json
from contextlib import nullcontext
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from PIL import Image, ImageFile

from selfie3d.types import MeshFile, Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import ConfigError, JobsConfig, Reason
from selfie3d_jobs.blobs import WorkerBlobs
from selfie3d_jobs.env import from_environment
from selfie3d_photo import PhotoError, PhotoReason, decode
from selfie3d_worker import WorkerConfig
from selfie3d_worker.main import celery_settings
from selfie3d_worker.model import OnFiles, OnStage, Output
from selfie3d_worker.runner import Clock, Runner, reason_of


class ScriptedStore:
    """Answers as if the job had been cancelled just before the stage `lost_at` was told."""

    def __init__(self, lost_at: Stage | None = None) -> None:
        self._lost_at = lost_at
        self._is_lost = False
        self.told: list[str] = []

    def run(self, command: Any) -> Any:
        if command.name == "claim":
            return SimpleNamespace(id="a job", attempt=1, settings=pb.JobSettings(), outside=False, photo=b"")
        if command.name == "GET":
            return b"a photo"
        if command.name == "SET":
            self.told.append("sent ahead")
            return command.parse(b"OK")
        if command.name == "PUBLISH":
            self.told.append("announced")
            return command.parse(0)
        named = json.loads(command.arguments[0])
        self.told.append(named.get("stage") or named["state"])
        self._is_lost |= self.told[-1] == self._lost_at
        return command.parse(b"CANCELLED" if self._is_lost else b"OK")


def run_a_job(store: ScriptedStore) -> list[Stage]:
    """The stages that began."""
    begun = []

    def reconstruct(photo: bytes, _: pb.Options, on_stage: OnStage, on_files: OnFiles) -> Output:
        assert photo == b"a photo"
        for stage in list(Stage)[:-1]:
            on_stage(stage, 0.1)
            begun.append(Stage(stage))
        on_files([MeshFile.of(b"a mesh", "ply", "model/ply", ".ply")])
        return Output([], [b"a mesh"])

    heartbeat: Any = SimpleNamespace(holding=lambda _: nullcontext())
    model: Any = reconstruct
    scripted: Any = store
    Runner("me", scripted, WorkerBlobs(JobsConfig(), scripted), heartbeat, model, 6.0).run("a job")
    return begun


def test_seconds_add_up_by_stage_and_a_stopped_clock_stands() -> None:
    clock = Clock()
    for stage in (Stage.NETWORK, Stage.SURFACE, Stage.NETWORK):
        clock.start(stage)
        clock.stop()
        clock.stop()
    assert list(clock.seconds) == [Stage.NETWORK, Stage.SURFACE]
    assert all(seconds > 0 for seconds in clock.seconds.values())


def test_stages_are_told_in_order_and_then_the_end() -> None:
    store = ScriptedStore()
    assert run_a_job(store) == list(Stage)[:-1]
    assert store.told == [*list(Stage)[:-1], "sent ahead", "announced", Stage.STORE, "SUCCEEDED"]


@pytest.mark.parametrize("lost_at", [Stage.DECODE, Stage.ALIGN, Stage.SURFACE])
def test_a_cancelled_job_goes_on_for_one_stage_at_most(lost_at: Stage) -> None:
    store = ScriptedStore(lost_at)
    assert run_a_job(store)[-1] is lost_at
    assert store.told[-1] == lost_at


def test_a_cancelled_job_never_reaches_the_network() -> None:
    for lost_at in (Stage.DECODE, Stage.DETECT, Stage.ALIGN, Stage.NETWORK):
        assert Stage.NETWORK not in run_a_job(ScriptedStore(lost_at))


def test_a_result_of_a_cancelled_job_is_not_told_twice() -> None:
    store = ScriptedStore(Stage.STORE)
    run_a_job(store)
    assert store.told[-2:] == ["store", "SUCCEEDED"]  # refused, and nothing after it


def test_an_error_is_what_its_reason_says_and_internal_otherwise() -> None:
    assert reason_of(PhotoError(PhotoReason.CORRUPT, "cut")) is Reason.PHOTO_CORRUPT
    assert reason_of(ZeroDivisionError()) is Reason.INTERNAL
    assert reason_of(SoftTimeLimitExceeded()) is Reason.TIME_LIMIT
    error = OSError("x")
    error.reason = "made up"  # type: ignore[attr-defined]
    assert reason_of(error) is Reason.INTERNAL


@pytest.mark.parametrize("step", ["open", "load"])
def test_a_photo_is_not_blamed_for_time_that_ends_while_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    buffer = BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    monkeypatch.setattr(*{"open": (Image, "open"), "load": (ImageFile.ImageFile, "load")}[step], _out_of_time)
    with pytest.raises(PhotoError) as raised:
        decode(buffer.getvalue())
    assert reason_of(raised.value) is Reason.TIME_LIMIT


def _out_of_time(*_: object, **__: object) -> None:
    raise SoftTimeLimitExceeded


def test_celery_prefetches_one_job_per_child_and_acknowledges_late() -> None:
    settings = celery_settings(WorkerConfig(concurrency=3))
    assert (settings["worker_prefetch_multiplier"], settings["worker_concurrency"]) == (1, 3)
    assert settings["task_acks_late"]
    assert settings["task_soft_time_limit"] < settings["task_time_limit"]


@pytest.mark.parametrize("environ", [{"SELFIE3D_CONCURRENCY": "0"}, {"SELFIE3D_THREADS": "-1"}])
def test_what_cannot_work_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        from_environment(WorkerConfig, environ)


def test_the_reconstructor_cannot_be_set_from_outside() -> None:
    config = from_environment(WorkerConfig, {"SELFIE3D_RECONSTRUCTOR": "os:system", "RECONSTRUCTOR": "os:system"})
    assert config.reconstructor == "selfie3d_worker.vrn_model:open_reconstructor"
