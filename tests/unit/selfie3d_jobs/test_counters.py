from importlib.resources import files

from selfie3d_jobs.counters import BOUNDS, histogram, labelled


def test_a_histogram_is_cumulative() -> None:
    counters = {"queue:le:0.01": 2.0, "queue:le:1": 3.0, "queue:le:inf": 1.0, "queue:sum": 4.5}
    found = histogram(counters, "queue")
    assert dict(found.buckets)["0.005"] == 0
    assert dict(found.buckets)["0.5"] == 2
    assert dict(found.buckets)["1"] == 5
    assert found.buckets[-1] == ("+Inf", 6)
    assert found.total == 4.5


def test_counts_by_label() -> None:
    counters = {"ended:FAILED:NO_FACE": 2.0, "ended:SUCCEEDED:": 5.0, "attempts": 9.0}
    assert labelled(counters, "ended") == {("FAILED", "NO_FACE"): 2.0, ("SUCCEEDED", ""): 5.0}


def test_the_scripts_use_the_same_bounds() -> None:
    source = (files("selfie3d_jobs") / "scripts/common.lua").read_text()
    written = source.split("BOUNDS = {")[1].split("}")[0]
    assert tuple(float(bound) for bound in written.split(",")) == BOUNDS
