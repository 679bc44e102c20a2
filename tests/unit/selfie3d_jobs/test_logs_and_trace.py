import json
import logging

from selfie3d_jobs import logs, trace

PARENT = f"00-{'a1' * 16}-{'b2' * 8}-01"


def line(message: str, **extra: object) -> dict[str, object]:
    record = logging.getLogger("selfie3d_jobs").makeRecord("selfie3d_jobs", 20, __file__, 1, message, (), None)
    vars(record).update(extra)
    found: dict[str, object] = json.loads(logs.JsonFormatter().format(record))
    return found


def test_a_line_is_one_object_with_the_bound_fields() -> None:
    with logs.bound(job_id="j", trace_id="t"), logs.bound(attempt=2):
        inside = line("Done.\nReally.", action="finish")
    assert (inside["message"], inside["level"]) == ("Done.\nReally.", "info")
    assert (inside["job_id"], inside["trace_id"], inside["attempt"], inside["action"]) == ("j", "t", 2, "finish")
    assert "job_id" not in line("Outside.")


def test_a_valid_traceparent_is_kept_and_any_other_replaced() -> None:
    assert trace.accept(PARENT) == PARENT
    for bad in (None, "", "x", PARENT + "0", f"00-{'0' * 32}-{'b2' * 8}-01", PARENT.upper()):
        made = trace.accept(bad)
        assert made != bad
        assert trace.TRACEPARENT.fullmatch(made)


def test_a_span_keeps_the_trace() -> None:
    with trace.span("call", PARENT) as traceparent:
        assert trace.trace_id(traceparent) == "a1" * 16
    assert trace.trace_id("") == ""
