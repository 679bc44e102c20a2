"""Everything the client does with the service, written once: retries, deadlines, resuming, checking.

Each method makes a generator of steps (see `steps.py`); those that say "emits" hand out values on the way.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from selfie3d._effects import Call, Emit, Failure, Open, Read, Sleep, Step, Steps
from selfie3d._retry import Deadline, Retry
from selfie3d._streams import STREAMED_PHOTO, Download, Transfer, Watch, upload_messages
from selfie3d.errors import InvalidArgument, NotFound, Selfie3dError, Unavailable, from_rpc_error
from selfie3d.types.job import JobState, JobStatus
from selfie3d.types.mesh import Mesh
from selfie3d.types.options import JobOptions, job_settings
from selfie3d.types.result import Result, ResultFace
from selfie3d.v1 import reconstruction_pb2 as pb

PAGE_SIZE = 100  # jobs a page; each carries its faces' landmarks, about 3 kB a face


class Conversation:
    """What can be said to the service.

    timeout : seconds that end the whole of a method, retries included, where it is not given its own
    """

    def __init__(self, retry: Retry, timeout: float) -> None:
        self._retry = retry
        self._timeout = timeout

    def submit(self, photo: bytes, options: JobOptions, timeout: float | None) -> Steps[JobStatus]:
        """Create a job; the same one however often the connection breaks."""
        return (yield from self._submit(photo, options, self._deadline(timeout)))

    def status(self, job_id: str, timeout: float | None) -> Steps[JobStatus]:
        """The job as it is now."""
        return (yield from self._job("GetJob", pb.GetJobRequest(job_id=job_id), self._deadline(timeout)))

    def cancel(self, job_id: str, timeout: float | None) -> Steps[JobStatus]:
        """Stop the job; one that has ended stays as it is."""
        return (yield from self._job("CancelJob", pb.CancelJobRequest(job_id=job_id), self._deadline(timeout)))

    def delete(self, job_id: str, timeout: float | None) -> Steps[None]:
        """Remove the job. After a cut, NOT_FOUND means that the first try came through."""
        request = pb.DeleteJobRequest(job_id=job_id)
        tries: list[pb.DeleteJobRequest] = []

        def count() -> pb.DeleteJobRequest:
            tries.append(request)
            return request

        try:
            yield from self._call("DeleteJob", count, self._deadline(timeout))
        except NotFound:
            if len(tries) == 1:
                raise

    def jobs(self, states: Iterable[JobState | str], timeout: float | None) -> Steps[None]:
        """Emits the caller's jobs, newest first, page by page; `timeout` is for each page."""
        wanted = [f"JOB_STATE_{_state(state).name}" for state in states]
        token = ""
        while True:
            request = pb.ListJobsRequest(page_size=PAGE_SIZE, page_token=token, states=wanted)
            page = yield from self._call("ListJobs", lambda request=request: request, self._deadline(timeout))  # type: ignore[misc]
            for job in page.jobs:
                yield Emit(JobStatus.from_message(job))
            token = page.next_page_token
            if not token:
                return

    def watch(self, job_id: str, after_event: int, timeout: float | None) -> Steps[JobStatus]:
        """Emits the job's events behind that number, each once, until it has ended; the job as it ended."""
        return (yield from self._watch(job_id, after_event, self._deadline(timeout)))

    def download(self, job_id: str, face_index: int, timeout: float | None) -> Steps[bytes]:
        """The bytes of one face's mesh file."""
        return (yield from self._download(job_id, face_index, self._deadline(timeout)))

    def result(self, job_id: str, timeout: float | None) -> Steps[Result]:
        """Wait for the job and download its meshes; emits its events."""
        return (yield from self._result(job_id, self._deadline(timeout)))

    def reconstruct(self, photo: bytes, options: JobOptions, timeout: float | None) -> Steps[Result]:
        """Submit, watch and download, each resumed by itself after a cut; emits the job's events."""
        deadline = self._deadline(timeout)
        job = yield from self._submit(photo, options, deadline)
        return (yield from self._result(job.id, deadline))

    def _submit(self, photo: bytes, options: JobOptions, deadline: Deadline) -> Steps[JobStatus]:
        settings = job_settings(options.get("request_id") or uuid.uuid4().hex, options)
        if len(photo) > STREAMED_PHOTO:
            answer = yield from self._call("UploadJob", lambda: upload_messages(settings, photo), deadline)
        else:
            request = pb.CreateJobRequest(settings=settings, photo=photo)
            answer = yield from self._call("CreateJob", lambda: request, deadline)
        return JobStatus.from_message(answer.job)

    def _result(self, job_id: str, deadline: Deadline) -> Steps[Result]:
        job = yield from self._watch(job_id, 0, deadline)
        if job.error is not None:
            raise job.error
        faces: list[ResultFace] = []
        for face in job.faces:
            if faces and not face.file.size:  # in a scene: all faces lie in the first one's file
                face = replace(face, file=faces[0].file)
                data = faces[0].mesh.data
            else:
                data = yield from self._download(job_id, face.index, deadline)
            faces.append(ResultFace.of(face, Mesh(data, face)))
        return Result(job, tuple(faces))

    def _download(self, job_id: str, face_index: int, deadline: Deadline) -> Steps[bytes]:
        download = Download(job_id, face_index)
        yield from self._transfer(download, deadline)
        return download.verified()

    def _watch(self, job_id: str, after_event: int, deadline: Deadline) -> Steps[JobStatus]:
        watch = Watch(job_id, after_event)
        yield from self._transfer(watch, deadline)
        if watch.job is None:
            raise Unavailable
        return watch.job

    def _transfer(self, transfer: Transfer, deadline: Deadline) -> Steps[None]:
        """Read the stream until nothing is missing; after a cut go on from where it was."""
        failures = 0
        while not transfer.complete:
            try:
                stream = yield from _ask(Open(transfer.rpc, transfer.request, deadline.remaining))
                try:
                    while (message := (yield from _ask(Read(stream)))) is not None:
                        failures = 0
                        value = transfer.take(message)
                        if value is not None:
                            yield Emit(value)
                finally:
                    stream.cancel()
                if not transfer.complete:
                    raise Unavailable("The service ended the stream before everything was sent.")
            except Selfie3dError as error:
                if not transfer.complete:
                    failures += 1
                    yield from self._pause(error, failures, deadline)

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self._timeout if timeout is None else timeout)

    def _job(self, rpc: str, request: Any, deadline: Deadline) -> Steps[JobStatus]:
        answer = yield from self._call(rpc, lambda: request, deadline)
        return JobStatus.from_message(answer.job)

    def _call(self, rpc: str, request: Callable[[], Any], deadline: Deadline) -> Steps[Any]:
        """One idempotent call, made again as `retry` says."""
        failures = 0
        while True:
            try:
                return (yield from _ask(Call(rpc, request, deadline.remaining)))
            except Selfie3dError as error:
                failures += 1
                yield from self._pause(error, failures, deadline)

    def _pause(self, error: Selfie3dError, failures: int, deadline: Deadline) -> Steps[None]:
        """Wait before the next try, or raise the error when there is to be none."""
        pause = self._retry.pause(error, failures)
        if pause is None or not deadline.allows(pause):
            raise error
        yield Sleep(pause)


def _ask(step: Step) -> Steps[Any]:
    """The answer to a step; a failed call raises its typed error."""
    answer = yield step
    if isinstance(answer, Failure):
        raise from_rpc_error(answer.error) from answer.error
    return answer


def _state(word: JobState | str) -> JobState:
    try:
        return JobState(word)
    except ValueError:
        message = f"state is {word!r}; it must be one of {', '.join(JobState)}."
        raise InvalidArgument(message, reason="INVALID_STATE") from None
