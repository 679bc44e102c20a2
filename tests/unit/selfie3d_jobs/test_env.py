import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from selfie3d_jobs import ConfigError, JobsConfig
from selfie3d_jobs.env import Domain, check, from_environment, name_unknown, report, setting, settings_of


@dataclass(frozen=True)
class Inner:
    count: int = setting("T_COUNT", 3, "how many", within=(1, 9))


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    share: float = setting("T_SHARE", 0.5, "how much", within=(0.0, 0.75))
    on: bool = setting("T_ON", True, "whether")
    path: Path | None = setting("T_PATH", None, "where")
    word: str = setting("T_WORD", "one", "which", words=("one", "two", "three"))
    device: str = setting("T_DEVICE", "cpu", "where", pattern=("cpu|gpu[0-9]", "cpu or gpuN"))
    listen: str = setting("T_LISTEN", "", "where to", address=True)
    server: str = setting("T_SERVER", "", "from where", target=True)
    url: str = setting("T_URL", "a", "secret", words=("a", "b"))
    fixed: str = "not from outside"


def test_settings_come_from_the_environment_by_type() -> None:
    environ = {"T_COUNT": "7", "T_SHARE": "0.25", "T_ON": "no", "T_PATH": "/tmp/x", "OTHER": "1"}
    assert from_environment(Outer, environ) == Outer(Inner(7), 0.25, False, Path("/tmp/x"))


def test_absent_and_empty_variables_leave_the_default() -> None:
    assert from_environment(Outer, {"T_COUNT": ""}) == Outer()


@pytest.mark.parametrize(
    ("name", "value", "clause"),
    [
        ("T_COUNT", "many", "a whole number from 1 to 9 is wanted"),
        ("T_COUNT", "2.5", "a whole number from 1 to 9 is wanted"),
        ("T_COUNT", "0", "a whole number from 1 to 9 is wanted"),
        ("T_COUNT", "10", "a whole number from 1 to 9 is wanted"),
        ("T_SHARE", "x", "a number from 0 to 0.75 is wanted"),
        ("T_SHARE", "nan", "a number from 0 to 0.75 is wanted"),
        ("T_SHARE", "-0.1", "a number from 0 to 0.75 is wanted"),
        ("T_ON", "2", "on or off is wanted"),
        ("T_WORD", "four", "one, two or three is wanted"),
        ("T_DEVICE", "gpu", "cpu or gpuN is wanted"),
        ("T_LISTEN", "nowhere", "the port is missing; HOST:PORT is wanted, such as localhost:50051"),
        ("T_SERVER", "http://a:1", "http:// is no part of an address; HOST:PORT is wanted, such as localhost:50051"),
    ],
)
def test_a_bad_value_is_told_with_variable_value_and_what_is_wanted(name: str, value: str, clause: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_environment(Outer, {name: value})
    assert str(error.value) == f"{name}={value!r}: {clause}."


def test_a_url_is_not_shown() -> None:
    with pytest.raises(ConfigError) as error:
        from_environment(Outer, {"T_URL": "redis://user:hunter2@host"})
    assert str(error.value) == "T_URL=(hidden): a or b is wanted."


@pytest.mark.parametrize(("name", "value"), [("T_SERVER", "unix:/run/x"), ("T_SERVER", "dns:///a:1"), ("T_COUNT", "9")])
def test_what_lies_in_the_domain_is_taken(name: str, value: str) -> None:
    from_environment(Outer, {name: value})


def test_a_configuration_made_in_a_program_is_checked_alike() -> None:
    check(Outer(share=0.75))
    with pytest.raises(ConfigError) as error:
        check(Outer(share=float("nan")))
    assert str(error.value) == "T_SHARE='nan': a number from 0 to 0.75 is wanted."
    with pytest.raises(ConfigError) as error:
        JobsConfig(lease_seconds=0.5)
    assert str(error.value) == "SELFIE3D_LEASE_SECONDS='0.5': a number from 1 to 3600 is wanted."


def test_a_process_that_does_not_start_names_the_variables_that_are_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELFIE3D_TLS_CRET", "chain.pem")
    assert report(ConfigError("No.")) == 2
    named = "SELFIE3D_TLS_CRET is not a setting of selfie3d and changes nothing: did you mean SELFIE3D_TLS_CERT?"
    assert capsys.readouterr().err == f"No.\n{named}\n"


def test_a_process_that_starts_logs_them(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("SELFIE3D_TLS_CRET", "chain.pem")
    name_unknown(logging.getLogger("test"))
    [record] = [record for record in caplog.records if getattr(record, "variable", "") == "SELFIE3D_TLS_CRET"]
    assert record.levelname == "WARNING"
    assert record.getMessage().endswith("did you mean SELFIE3D_TLS_CERT?")


def test_all_settings_are_listed() -> None:
    assert settings_of(Outer)[:4] == [
        ("T_COUNT", 3, "how many", Domain(within=(1, 9)), False),
        ("T_SHARE", 0.5, "how much", Domain(within=(0.0, 0.75)), False),
        ("T_ON", True, "whether", Domain(), False),
        ("T_PATH", None, "where", Domain(), False),
    ]


def test_a_redis_url_with_a_password_never_shows() -> None:
    config = JobsConfig(redis_url="redis://user:hunter2@host:6379/0")
    assert "hunter2" not in repr(config)
    with pytest.raises(ConfigError) as error:
        JobsConfig(redis_url="amqp://user:hunter2@host")
    assert "hunter2" not in str(error.value)
