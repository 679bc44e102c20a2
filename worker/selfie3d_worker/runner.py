"""One delivered job: claim, reconstruct, store. Everything that can become of it is decided here."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from celery.exceptions import SoftTimeLimitExceeded

from selfie3d.types import MeshFile, Stage
from selfie3d_jobs import (
    BlobsUnavailable,
    JobLost,
    Reason,
    Record,
    Store,
    StoreFull,
    StoreUnavailable,
    execution,
    logs,
    trace,
)
from selfie3d_jobs.blobs import WorkerBlobs
from selfie3d_worker.heartbeat import Heartbeat
from selfie3d_worker.model import OnStage, Output, Reconstruct

log = logging.getLogger(__name__)

STORE_PROGRESS = 0.98  # what is left when the meshes are made


class Runner:
    """Runs jobs in this child, one after the other.

    store : outlasts a short absence of Redis
    """

    def __init__(
        self,
        name: str,
        store: Store,
        blobs: WorkerBlobs,
        heartbeat: Heartbeat,
        reconstruct: Reconstruct,
        lease_seconds: float,
    ) -> None:
        self._name = name
        self._store = store
        self._blobs = blobs
        self._heartbeat = heartbeat
        self._reconstruct = reconstruct
        self._lease_seconds = lease_seconds
        self._sender = ThreadPoolExecutor(1, "sender")
        self._pending: Future[None] | None = None  # the answer to the last command, until somebody waits for it

    def run(self, job_id: str, traceparent: str = "") -> None:
        """Take the job, unless the delivery is a late or second one, and end it.

        Returns in every case but one: when Redis stays away the job is left to the reaper.
        """
        with logs.bound(job_id=job_id, trace_id=trace.trace_id(traceparent)):
            try:
                job = self._store.run(execution.claim(job_id, self._name, uuid.uuid4().hex, self._lease_seconds))
                if job is None:
                    log.info(
                        "A delivery was dropped: a late or second one, or one of a paused queue.",
                        extra={"action": "drop"},
                    )
                    return
                with self._heartbeat.holding(job), trace.span("attempt", traceparent, attempt=job.attempt):
                    self._attempt(job)
            except JobLost as lost:
                log.info("The job is not ours any more.", extra={"action": "lost", "why": str(lost)})
            except (StoreUnavailable, StoreFull) as error:
                log.error("The store stayed away; the reaper will see to the job.", extra={"why": type(error).__name__})

    def _attempt(self, job: Record) -> None:
        clock, self._pending = Clock(), None
        try:
            result = self._work(job, clock)
            self._send(lambda: self._blobs.succeed(job, result))
            self._await_answer()
        except (JobLost, StoreUnavailable, StoreFull):
            raise
        except BlobsUnavailable as error:
            self._give_back(job, error)
        except Exception as error:
            reason = reason_of(error)
            if reason is Reason.INTERNAL:
                log.exception("The job failed in an unexpected way.")
            message = reason.text if reason in (Reason.INTERNAL, Reason.TIME_LIMIT) else str(error)
            self._fail(job, reason, message, clock)
        else:
            log.info("The job succeeded.", extra={"action": "succeed", **_summary(job, clock)})

    def _work(self, job: Record, clock: Clock) -> execution.ExecutionResult:
        def on_stage(name: str, progress: float) -> None:
            clock.stop()
            self._begin(job, Stage(name), progress)
            clock.start(Stage(name))

        try:
            output = self._output(job, on_stage)
        finally:
            clock.stop()
        self._begin(job, Stage.STORE, STORE_PROGRESS)
        batches = execution.BatchedRuns(output.batches, output.batch_wait)
        return execution.ExecutionResult(
            output.faces, output.files, clock.seconds, output.previews, output.views, batches
        )

    def _output(self, job: Record, on_stage: OnStage) -> Output:
        def on_files(files: Sequence[MeshFile]) -> None:
            self._await_answer()
            self._send(lambda: self._blobs.send_ahead(job, files))

        if job.settings.one_person:
            photos = self._blobs.photos(job)
            return self._reconstruct.together(photos, job.settings.options, on_stage, on_files)
        return self._reconstruct(self._blobs.photo(job), job.settings.options, on_stage, on_files)

    def _begin(self, job: Record, stage: Stage, progress: float) -> None:
        """Tell the watchers, learn whether the job is still wanted, renew the lease. Raises JobLost.

        A stage begins while the command is still on its way; its answer is awaited before the next one begins. Only the
        network does not begin without the answer.
        """
        self._await_answer()
        command = execution.advance(job, stage, progress, self._lease_seconds)
        self._send(lambda: self._store.run(command))
        if stage is Stage.NETWORK:
            self._await_answer()

    def _send(self, call: Callable[[], None]) -> None:
        """Call it in a thread of its own, after what was sent before."""
        self._pending = self._sender.submit(call)

    def _await_answer(self) -> None:
        """Wait for the answer to the last command. Raises what running it raises."""
        pending, self._pending = self._pending, None
        if pending:
            pending.result()

    def _give_back(self, job: Record, error: BlobsUnavailable) -> None:
        """The job is not to blame: it waits for the bucket in its queue, until its deadline."""
        self._store.run(execution.give_back(job))
        why = error.trouble
        log.warning("The job was put back: %s.", why, extra={"action": "give_back", "why": why.name})

    def _fail(self, job: Record, reason: Reason, message: str, clock: Clock) -> None:
        self._store.run(execution.fail(job, reason, message, clock.seconds))
        log.info("The job failed.", extra={"action": "fail", "reason": reason.name, **_summary(job, clock)})


class Clock:
    """Seconds by stage; a stage that comes again, as for a second face, adds up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage: Stage | None = None
        self._since = 0.0
        self._span = ExitStack()

    def start(self, stage: Stage) -> None:
        """A stage begins; the one before was stopped."""
        self._stage, self._since = stage, time.perf_counter()
        self._span.enter_context(trace.span(stage))

    def stop(self) -> None:
        """The stage, if any, is over."""
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + time.perf_counter() - self._since
            self._stage = None
        self._span.close()


def reason_of(error: Exception) -> Reason:
    """TIME_LIMIT where the time ended, the reason that vrn's and selfie3d_photo's errors carry, INTERNAL for any other.

    The end of the time comes as an exception wherever the job happens to be: what decodes a photo or opens a graph
    takes it, as any other, for the sign of a damaged file.
    """
    if any(isinstance(each, SoftTimeLimitExceeded) for each in _causes(error)):
        return Reason.TIME_LIMIT
    return Reason.of(str(getattr(error, "reason", "")))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those from which it was raised."""
    while error is not None:
        yield error
        error = error.__cause__


def _summary(job: Record, clock: Clock) -> dict[str, object]:
    return {"attempt": job.attempt, "seconds": {stage: round(t, 4) for stage, t in clock.seconds.items()}}
