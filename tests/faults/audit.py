"""What became of every job, read from its whole history through the API: none lost, none ended twice, none changed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from tests.stack import BOUND, FINAL_STATES, download, open_api, watch
from tests.tiny import expected_mesh


@dataclass
class Tally:
    """What became of jobs. `wrong`: the final record contradicts the events, or the mesh is not the photo's."""

    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    most_attempts: int = 0
    slowest_recovery: float = 0.0  # s from the last event of a lost attempt to the end of the job

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


class Audit:
    """Jobs of tiny workers behind some services.

    photos : job id -> the photo it was created with
    ended : job id -> the job as it was first seen ended; it must never be seen otherwise
    """

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.photos: dict[str, bytes] = {}
        self.ended: dict[str, bytes] = {}

    def look(self, job_ids: Iterable[str], bound: float = BOUND) -> Tally:
        """Read each job's whole history through the API and judge it."""
        tally = Tally()
        with grpc.insecure_channel(f"ipv4:{','.join(self.addresses)}") as channel, ThreadPoolExecutor(4) as pool:
            grpc.channel_ready_future(channel).result(BOUND)
            api = open_api(channel)
            list(pool.map(lambda job_id: self._judge(api, job_id, tally, bound), list(job_ids)))
        return tally

    def changed(self) -> list[str]:
        """Jobs that are not any more as they were first seen ended."""
        with grpc.insecure_channel(f"ipv4:{','.join(self.addresses)}") as channel:
            grpc.channel_ready_future(channel).result(BOUND)
            api = open_api(channel)
            return [job_id for job_id in self.ended if self.ended[job_id] != _bytes(api.GetJob(_request(job_id)).job)]

    def check(self, job_ids: Iterable[str], **states: int) -> Tally:
        """Look, and fail unless every job is clean; `states` are the wanted counts, e.g. SUCCEEDED=3."""
        tally = self.look(job_ids)
        assert tally.clean, tally
        if states:
            assert tally.states == states, tally
        return tally

    def _judge(self, api: rpc.ReconstructionServiceStub, job_id: str, tally: Tally, bound: float) -> None:
        try:
            answers = list(watch(api, job_id, bound=bound))
        except grpc.RpcError as error:
            tally.lost.append(f"{job_id}: {error.code().name}")
            return
        job = answers[-1].job
        ends = [answer.event for answer in answers if answer.event.state in FINAL_STATES]
        if not ends or job.state not in FINAL_STATES:
            tally.lost.append(job_id)
            return
        if len(ends) > 1:
            tally.doubled.append(job_id)
        tally.states[pb.JobState.Name(job.state).removeprefix("JOB_STATE_")] += 1
        tally.reasons[job.error.reason] += 1
        tally.most_attempts = max(tally.most_attempts, job.attempt)
        tally.slowest_recovery = max(tally.slowest_recovery, recovery(answers))
        problem = self._contradiction(api, job, answers, ends[-1])
        if problem:
            tally.wrong.append(f"{job_id}: {problem}")

    def _contradiction(self, api: Any, job: pb.Job, answers: list[Any], end: pb.JobEvent) -> str:
        numbers = [answer.event.number for answer in answers]
        if numbers != list(range(1, len(numbers) + 1)) or answers[-1].event != end or end.state != job.state:
            return f"events {numbers}, end {end.number}, state {job.state}"
        if self.ended.setdefault(job.id, _bytes(job)) != _bytes(job):
            return "the record changed after its end"
        if (job.state == pb.JOB_STATE_SUCCEEDED) != (len(job.faces) == 1):
            return f"{len(job.faces)} faces"
        if job.state == pb.JOB_STATE_SUCCEEDED:
            expected = expected_mesh(self.photos[job.id], job.settings.options)
            return "" if download(api, job.id) == expected else "not the photo's mesh"
        return ""


def _bytes(job: pb.Job) -> bytes:
    return job.SerializeToString(deterministic=True)


def _request(job_id: str) -> pb.GetJobRequest:
    return pb.GetJobRequest(job_id=job_id)


def recovery(answers: list[pb.WatchJobResponse]) -> float:
    """Seconds from the last sign of an attempt that was lost to the job's end; 0 when none was."""
    events = [answer.event for answer in answers]
    steps = itertools.pairwise(events)
    lost = [a for a, b in steps if (a.state, b.state) == (pb.JOB_STATE_RUNNING, pb.JOB_STATE_QUEUED)]
    return (events[-1].time.ToMilliseconds() - lost[0].time.ToMilliseconds()) / 1000 if lost else 0.0
