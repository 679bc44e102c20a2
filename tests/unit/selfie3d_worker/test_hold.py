from typing import Any, cast

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Record, Stage, Store
from selfie3d_worker.hold import open_hold


class Answers:
    """A store that gives one answer after the other to every look at `key`."""

    def __init__(self, key: str, *answers: str | None) -> None:
        self.key, self.left = key, list(answers)

    def plain(self, key: str) -> str | None:
        assert key == self.key
        return self.left.pop(0)


class Job:
    """As much of a record as the hook looks at."""

    settings = pb.JobSettings(request_id="r1")


def hold(setting: str, store: Answers, stage: Stage) -> None:
    open_hold(setting, cast(Store, store))(cast(Record, cast(Any, Job())), stage)


def test_a_stage_is_held_as_long_as_the_key_is_there() -> None:
    store = Answers("hold:it", "1", "1", None)
    hold("network:hold:it", store, Stage.NETWORK)
    assert store.left == []


def test_another_stage_is_not_held() -> None:
    hold("network:hold:it", Answers("hold:it"), Stage.ALIGN)


def test_the_key_of_a_request_can_name_its_stage() -> None:
    store = Answers("hold:it:r1", "align", "align", "network")
    hold("*:hold:it", store, Stage.ALIGN)
    assert store.left == []


def test_without_the_setting_redis_is_not_asked() -> None:
    hold("", Answers(""), Stage.NETWORK)
