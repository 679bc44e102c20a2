"""Workers of one machine share its cores; with a model process they are children of one worker."""

from __future__ import annotations

import os

import pytest

from selfie3d_cli.sharing import share


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setenv("SELFIE3D_DEVICE", "cpu")


@pytest.mark.parametrize(("workers", "threads"), [(1, "4"), (2, "2"), (3, "1"), (8, "1")])
def test_workers_share_the_cores(workers: int, threads: str) -> None:
    assert share(workers) == (workers, {"SELFIE3D_THREADS": threads})


def test_children_count_and_threads_that_are_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFIE3D_CONCURRENCY", "2")
    assert share(2) == (2, {"SELFIE3D_THREADS": "1"})
    monkeypatch.setenv("SELFIE3D_THREADS", "3")
    assert share(2) == (2, {"SELFIE3D_THREADS": "3"})


def test_with_a_model_process_one_worker_has_the_children_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFIE3D_MODEL_PROCESS", "on")
    monkeypatch.setenv("SELFIE3D_CONCURRENCY", "2")
    assert share(3) == (1, {"SELFIE3D_CONCURRENCY": "6"})


def test_settings_that_a_worker_refuses_are_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFIE3D_ENGINE", "onnx")
    monkeypatch.setenv("SELFIE3D_DEVICE", "cuda")
    assert share(2) == (2, {})
