"""What a child's heart does beside beating."""

from __future__ import annotations

from typing import cast

from selfie3d_jobs import JobsConfig, Record, Store
from selfie3d_jobs.maintenance import WorkerReport
from selfie3d_worker.heartbeat import Heartbeat
from selfie3d_worker.memory import SpareMemory


class Willing:
    """A store to which all is well."""

    def run(self, _command: object) -> bool:
        return True


class Noted(SpareMemory):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def job_ended(self) -> None:
        self.told.append("job ended")

    def look(self) -> None:
        self.told.append("look")


def test_memory_is_looked_at_between_jobs_and_never_while_one_runs() -> None:
    memory, job = Noted(), cast(Record, type("Job", (), {"id": "1", "attempt": 1})())
    heart = Heartbeat(cast(Store, Willing()), WorkerReport("host:1:2", verified=True), JobsConfig(), memory)
    heart._beat()
    with heart.holding(job):
        heart._beat()
        heart._beat()
    heart._beat()
    assert memory.told == ["look", "job ended", "look"]
