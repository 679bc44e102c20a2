import pytest

import vrn
from selfie3d_jobs import ConfigError, Reason, Stage
from selfie3d_jobs.env import from_environment
from selfie3d_photo import PhotoError, PhotoReason
from selfie3d_worker import WorkerConfig
from selfie3d_worker.main import celery_settings
from selfie3d_worker.runner import Clock, reason_of


def test_seconds_add_up_by_stage_and_a_stopped_clock_stands() -> None:
    clock = Clock()
    for stage in (Stage.NETWORK, Stage.SURFACE, Stage.NETWORK):
        clock.start(stage)
        clock.stop()
        clock.stop()
    assert list(clock.seconds) == [Stage.NETWORK, Stage.SURFACE]
    assert all(seconds > 0 for seconds in clock.seconds.values())


def test_vrn_and_the_job_store_name_the_stages_alike() -> None:
    assert [stage.value for stage in Stage] == [*vrn.Stage, "store"]


def test_an_error_is_what_its_reason_says_and_internal_otherwise() -> None:
    assert reason_of(PhotoError(PhotoReason.CORRUPT, "cut")) is Reason.PHOTO_CORRUPT
    assert reason_of(ZeroDivisionError()) is Reason.INTERNAL
    error = OSError("x")
    error.reason = "made up"  # type: ignore[attr-defined]
    assert reason_of(error) is Reason.INTERNAL


def test_celery_prefetches_one_job_per_child_and_acknowledges_late() -> None:
    settings = celery_settings(WorkerConfig(concurrency=3))
    assert (settings["worker_prefetch_multiplier"], settings["worker_concurrency"]) == (1, 3)
    assert settings["task_acks_late"]
    assert settings["worker_pool_start_method"] == "spawn"
    assert settings["task_soft_time_limit"] < settings["task_time_limit"]


@pytest.mark.parametrize(
    "environ", [{"SELFIE3D_CONCURRENCY": "0"}, {"SELFIE3D_THREADS": "-1"}, {"SELFIE3D_TEST_HOLD_STAGE": "network"}]
)
def test_what_cannot_work_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        from_environment(WorkerConfig, environ)


def test_the_reconstructor_cannot_be_set_from_outside_and_the_hook_is_off() -> None:
    config = from_environment(WorkerConfig, {"SELFIE3D_RECONSTRUCTOR": "os:system", "RECONSTRUCTOR": "os:system"})
    assert config.reconstructor == "selfie3d_worker.vrn_model:open_reconstructor"
    assert config.hold_stage == ""
