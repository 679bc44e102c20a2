"""Secrets in files that the environment names."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfie3d.secret_file import MOST_BYTES, secret_of
from selfie3d_cli.errors import UsageError
from selfie3d_cli.settings import Settings
from selfie3d_jobs import ConfigError, JobsConfig
from selfie3d_jobs.env import from_environment

URL = "redis://selfie3d:hush@redis:6379/0"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "url"
    path.write_text(f"{URL}\n")
    return path


def test_a_process_reads_its_secret_from_the_file(file: Path) -> None:
    environ = {"SELFIE3D_REDIS_URL_FILE": str(file)}
    assert from_environment(JobsConfig, environ).redis_url == URL
    assert Settings.of(environ).redis_url == URL


def test_the_command_reads_its_token_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("s3d_abc\n")
    assert Settings.of({"SELFIE3D_TOKEN_FILE": str(path)}).token == "s3d_abc"


def test_an_empty_variable_names_no_file() -> None:
    assert secret_of("T", {"T": "hush", "T_FILE": ""}) == "hush"
    assert secret_of("T", {}) == ""


def test_only_secrets_have_a_file(file: Path) -> None:
    assert from_environment(JobsConfig, {"SELFIE3D_REDIS_PREFIX_FILE": str(file)}) == JobsConfig()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "No such file or directory."),
        (b"", "the file is empty."),
        (b" \n", "the file is empty."),
        (b"\xff\xfe", "the file holds no text."),
        (b"x" * (MOST_BYTES + 1), "the file holds more than a secret."),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_process(tmp_path: Path, content: bytes | None, fault: str) -> None:
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    environ = {"SELFIE3D_REDIS_URL_FILE": str(path)}
    with pytest.raises(ConfigError) as error:
        from_environment(JobsConfig, environ)
    assert str(error.value) == f"SELFIE3D_REDIS_URL_FILE={str(path)!r}: {fault}"
    with pytest.raises(UsageError, match=r"SELFIE3D_REDIS_URL_FILE="):
        Settings.of(environ)


def test_a_file_that_another_user_owns_is_told_with_our_number(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read any file
    monkeypatch.setattr("os.getuid", lambda: 10001)
    with pytest.raises(ValueError, match=r"^T_FILE='.*/url': user 10001 may not read it\.$"):
        secret_of("T", {"T_FILE": str(file)})


def test_a_secret_is_not_given_twice(file: Path) -> None:
    environ = {"SELFIE3D_REDIS_URL": URL, "SELFIE3D_REDIS_URL_FILE": str(file)}
    with pytest.raises(ConfigError) as error:
        from_environment(JobsConfig, environ)
    assert str(error.value) == "SELFIE3D_REDIS_URL and SELFIE3D_REDIS_URL_FILE are both set: unset one."


def test_what_is_wrong_with_a_secret_is_told_without_it(file: Path) -> None:
    file.write_text("ftp://selfie3d:hush@host")
    with pytest.raises(ConfigError) as error:
        from_environment(JobsConfig, {"SELFIE3D_REDIS_URL_FILE": str(file)})
    assert "hush" not in str(error.value)
