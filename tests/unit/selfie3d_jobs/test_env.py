from dataclasses import dataclass, field
from pathlib import Path

import pytest

from selfie3d_jobs import ConfigError, JobsConfig
from selfie3d_jobs.env import from_environment, setting, settings_of


@dataclass(frozen=True)
class Inner:
    count: int = setting("T_COUNT", 3, "how many")


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    share: float = setting("T_SHARE", 0.5, "how much")
    on: bool = setting("T_ON", True, "whether")
    path: Path | None = setting("T_PATH", None, "where")
    fixed: str = "not from outside"


def test_settings_come_from_the_environment_by_type() -> None:
    environ = {"T_COUNT": "7", "T_SHARE": "0.25", "T_ON": "no", "T_PATH": "/tmp/x", "OTHER": "1"}
    assert from_environment(Outer, environ) == Outer(Inner(7), 0.25, False, Path("/tmp/x"))


def test_absent_and_empty_variables_leave_the_default() -> None:
    assert from_environment(Outer, {"T_COUNT": ""}) == Outer()


@pytest.mark.parametrize(
    ("name", "value", "kind"), [("T_COUNT", "many", "int"), ("T_SHARE", "x", "float"), ("T_ON", "2", "bool")]
)
def test_a_bad_value_is_told_with_variable_value_and_wanted_type(name: str, value: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}='{value}': {kind} wanted"):
        from_environment(Outer, {name: value})


def test_all_settings_are_listed() -> None:
    assert settings_of(Outer) == [
        ("T_COUNT", 3, "how many"),
        ("T_SHARE", 0.5, "how much"),
        ("T_ON", True, "whether"),
        ("T_PATH", None, "where"),
    ]


def test_a_redis_url_with_a_password_never_shows() -> None:
    config = JobsConfig(redis_url="redis://user:hunter2@host:6379/0")
    assert "hunter2" not in repr(config)
    with pytest.raises(ConfigError) as error:
        JobsConfig(redis_url="amqp://user:hunter2@host")
    assert "hunter2" not in str(error.value)
