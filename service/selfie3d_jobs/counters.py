"""Counters of the whole deployment. They are counted by the scripts that change the records, so they cannot disagree.

created:QUEUE, attempts, ended:STATE:REASON, requeued:lost, republished, cancelled_by_operator, webhooks:OUTCOME
    counts
batch:SIZE, batch_wait
    runs of networks in model processes, by how many runs were in their batch, and the seconds that they waited for it
queue:le:BOUND, queue:sum; stage:STAGE:le:BOUND, stage:STAGE:sum                            histograms, seconds
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # s, as in common.lua


BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64)  # runs


@dataclass(frozen=True)
class Histogram:
    """Cumulative counts by upper bound as Prometheus wants them, and the sum of what was counted, e.g. of seconds."""

    buckets: list[tuple[str, float]]
    total: float


def histogram(counters: Mapping[str, float], name: str) -> Histogram:
    """The histogram `name`, e.g. "queue" or "stage:network"."""
    buckets, total = [], 0.0
    for bound in [f"{b:g}" for b in BOUNDS] + ["inf"]:
        total += counters.get(f"{name}:le:{bound}", 0.0)
        buckets.append(("+Inf" if bound == "inf" else bound, total))
    return Histogram(buckets, counters.get(f"{name}:sum", 0.0))


def batches(counters: Mapping[str, float]) -> Histogram:
    """Runs of networks by how many runs were in their batch."""
    runs = {int(size): count for (size,), count in labelled(counters, "batch").items()}
    buckets = [(f"{bound}", sum(n for size, n in runs.items() if size <= bound)) for bound in BATCH_BOUNDS]
    return Histogram([*buckets, ("+Inf", sum(runs.values()))], sum(size * n for size, n in runs.items()))


def labelled(counters: Mapping[str, float], name: str) -> dict[tuple[str, ...], float]:
    """Counts of `name:LABEL:LABEL...` by their labels."""
    start = f"{name}:"
    return {tuple(key[len(start) :].split(":")): value for key, value in counters.items() if key.startswith(start)}
