from pathlib import Path

from google.rpc import code_pb2

from selfie3d_jobs import Reason
from selfie3d_jobs.reasons import as_markdown

REPOSITORY = Path(__file__).parents[3]


def test_every_reason_has_a_code_and_says_what_to_do() -> None:
    for reason in Reason:
        assert reason.name == reason.name.upper()
        assert reason.code in code_pb2.Code.values()
        assert reason.code != code_pb2.OK
        assert reason.text.endswith(".")
    assert len({reason.text for reason in Reason}) == len(Reason.__members__)


def test_only_what_a_caller_may_try_again_has_a_delay() -> None:
    for reason in Reason:
        again = reason.code in (code_pb2.RESOURCE_EXHAUSTED, code_pb2.UNAVAILABLE)
        assert (reason.retry_seconds > 0) == again, reason


def test_an_unknown_name_is_internal() -> None:
    assert Reason.of("NO_FACE") is Reason.NO_FACE
    assert Reason.of("of") is Reason.of("") is Reason.INTERNAL


def test_the_reasons_of_photos_and_of_vrn_are_in_the_table() -> None:
    from selfie3d_photo import PhotoReason

    assert {str(reason) for reason in PhotoReason} <= set(Reason.__members__)
    errors = (REPOSITORY / "worker/vrn/errors.py").read_text()
    named = {line.split('"')[1] for line in errors.splitlines() if line.strip().startswith('reason = "')}
    assert named
    assert named <= set(Reason.__members__)


def test_the_page_of_errors_is_made_from_the_table() -> None:
    assert (REPOSITORY / "docs/errors.md").read_text() == as_markdown()
