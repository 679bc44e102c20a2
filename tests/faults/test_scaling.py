"""Workers come and go by what the scaler answers, down to none and back: no job is lost, doubled or late."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from selfie3d_service.scaler import METRIC
from selfie3d_service.scaler import externalscaler_pb2 as pb
from selfie3d_service.scaler.externalscaler_pb2_grpc import ExternalScalerStub
from tests.faults.farm import Farm
from tests.stack import Process, eventually

JOBS = 16  # of a wave
MOST = 3  # workers
REF = pb.ScaledObjectRef(name="worker", scaler_metadata={"jobsPerReplica": "3"})
LOOK_SECONDS, COOLDOWN_SECONDS = 0.2, 1.0  # KEDA's are 15 and 300: ours scale down at every chance to lose a job
DEADLINE_SECONDS = 120.0


class Autoscaler(threading.Thread):
    """What KEDA and the horizontal autoscaler do with the answers, without their patience."""

    def __init__(self, farm: Farm) -> None:
        super().__init__()
        self._farm = farm
        self.workers: list[Process] = []
        self.most, self.codes = 0, list[int]()
        self.made = 0
        self._active, self._last_active = False, 0.0
        self._over = threading.Event()

    def run(self) -> None:
        with self._farm.channel() as channel:
            scaler: Any = ExternalScalerStub(channel)  # type: ignore[no-untyped-call]
            stream = scaler.StreamIsActive(REF)
            listener = threading.Thread(target=self._listen, args=(stream,))
            listener.start()
            target = scaler.GetMetricSpec(REF).metric_specs[0].target_size_float
            question = pb.GetMetricsRequest(scaled_object_ref=REF, metric_name=METRIC)
            while not self._over.wait(LOOK_SECONDS):
                self._scale(self._wanted(scaler.GetMetrics(question).metric_values[0].metric_value_float / target))
            stream.cancel()
            listener.join()

    def end(self) -> None:
        self._over.set()
        self.join()
        self._scale(0)

    def _listen(self, stream: Any) -> None:
        try:
            for answer in stream:
                self._active = answer.result
        except grpc.RpcError:  # the end of this test, or of the service, upon which the questions fail, too
            return

    def _wanted(self, load: float) -> int:
        now = time.monotonic()
        if self._active:
            self._last_active = now
        if not self._active and now > self._last_active + COOLDOWN_SECONDS:
            return 0
        if not self.workers:
            return int(self._active)
        return min(max(math.ceil(load), 1), MOST)

    def _scale(self, wanted: int) -> None:
        while len(self.workers) < wanted:
            self.made += 1
            self.workers.append(self._farm.make_worker(f"scaled{self.made}").start())
        self.most = max(self.most, len(self.workers))
        while len(self.workers) > wanted:
            self.codes.append(self.workers.pop(0).stop())  # the oldest, which surely has a job if any has


@contextmanager
def autoscaled(folder: Path) -> Iterator[tuple[Farm, Autoscaler]]:
    """A farm that starts with no worker at all."""
    one = {"SELFIE3D_SCALER": "on", "SELFIE3D_CONCURRENCY": "1", "SELFIE3D_ALIGNER": "0.4"}
    with Farm(folder, services=1, workers=0, **one) as farm:
        autoscaler = Autoscaler(farm)
        autoscaler.start()
        try:
            yield farm, autoscaler
        finally:
            autoscaler.end()


@pytest.mark.timeout(300)
def test_scaled_to_zero_and_back_no_job_is_lost_doubled_or_late(tmp_path: Path, figures: dict[str, float]) -> None:
    with autoscaled(tmp_path) as (farm, autoscaler), farm.client() as client:
        jobs: list[str] = []
        for wave in range(2):
            start = time.monotonic()
            mine = [farm.submit(client, timeout=DEADLINE_SECONDS) for _ in range(JOBS)]
            took = farm.await_ends(mine, start)
            figures[f"{JOBS} jobs of 0.4 s from no worker to {MOST}, wave {wave + 1}, s"] = took
            jobs += mine
            eventually(lambda: len(autoscaler.codes) == autoscaler.made, "the last worker is stopped")
        tally = farm.audit.check(jobs, SUCCEEDED=2 * JOBS)
        assert tally.most_attempts == 1  # every stopped worker finished what it had
        assert autoscaler.most == MOST
        assert set(autoscaler.codes) == {0}
        assert len(autoscaler.codes) > MOST  # the second wave had workers of its own
        assert farm.contradictions() == []
