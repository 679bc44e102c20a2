"""What a worker says at its start."""

from __future__ import annotations

import logging
import os
import warnings

import pytest
from celery.exceptions import SecurityWarning
from celery.platforms import check_privileges

from selfie3d_worker.main import speak_of_root


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "getuid", lambda: 0)


@pytest.mark.usefixtures("as_root")
def test_root_is_told_once_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        check_privileges(["json"])
        assert [warning.category for warning in shown] == [SecurityWarning], "Celery has its own words"
        shown.clear()
        with caplog.at_level(logging.WARNING):
            speak_of_root()
        check_privileges(["json"])
        assert shown == []
    [record] = caplog.records
    assert record.getMessage() == "The worker runs as root: give it a user of its own."


@pytest.mark.usefixtures("as_root")
def test_another_warning_about_safety_is_shown() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        speak_of_root()
        warnings.warn(SecurityWarning("Something else."), stacklevel=1)
    assert [str(warning.message) for warning in shown] == ["Something else."]


def test_another_user_is_told_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    speak_of_root()
    assert caplog.records == []
