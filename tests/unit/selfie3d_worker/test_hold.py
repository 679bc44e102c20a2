from selfie3d_jobs import Stage
from selfie3d_worker.hold import open_hold


class Answers:
    """A store that gives one answer after the other to every look."""

    def __init__(self, *answers: str | None) -> None:
        self.left = list(answers)

    def plain(self, key: str) -> str | None:
        assert key == "hold:it"
        return self.left.pop(0)


def test_a_stage_is_held_as_long_as_the_key_is_there() -> None:
    store = Answers("1", "1", None)
    open_hold("network:hold:it", store)(Stage.NETWORK)  # type: ignore[arg-type]
    assert store.left == []


def test_another_stage_is_not_held() -> None:
    store = Answers("1")
    open_hold("network:hold:it", store)(Stage.ALIGN)  # type: ignore[arg-type]
    assert store.left == []


def test_the_key_can_name_the_stage() -> None:
    store = Answers("align", "align", "network")
    open_hold("*:hold:it", store)(Stage.ALIGN)  # type: ignore[arg-type]
    assert store.left == []


def test_without_the_setting_redis_is_not_asked() -> None:
    open_hold("", Answers())(Stage.NETWORK)  # type: ignore[arg-type]
