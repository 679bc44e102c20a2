"""Counters of the whole deployment. They are counted by the scripts that change the records, so they cannot disagree.

created:QUEUE, attempts, ended:STATE:REASON, requeued:lost, republished, cancelled_by_operator, webhooks:OUTCOME
    counts
queue:le:BOUND, queue:sum; stage:STAGE:le:BOUND, stage:STAGE:sum                            histograms, seconds
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # s, as in common.lua


@dataclass(frozen=True)
class Histogram:
    """Cumulative counts by upper bound as Prometheus wants them, and the sum of seconds."""

    buckets: list[tuple[str, float]]
    total_seconds: float


def histogram(counters: Mapping[str, float], name: str) -> Histogram:
    """The histogram `name`, e.g. "queue" or "stage:network"."""
    buckets, total = [], 0.0
    for bound in [f"{b:g}" for b in BOUNDS] + ["inf"]:
        total += counters.get(f"{name}:le:{bound}", 0.0)
        buckets.append(("+Inf" if bound == "inf" else bound, total))
    return Histogram(buckets, counters.get(f"{name}:sum", 0.0))


def labelled(counters: Mapping[str, float], name: str) -> dict[tuple[str, ...], float]:
    """Counts of `name:LABEL:LABEL...` by their labels."""
    start = f"{name}:"
    return {tuple(key[len(start) :].split(":")): value for key, value in counters.items() if key.startswith(start)}
