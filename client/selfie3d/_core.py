"""Everything the client does with the service, written once: retries, deadlines, resuming, checking.

Each method makes a generator of effects (see `_effects.py`); those that say "emits" hand out values on the way.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

from google.protobuf.message import Message

from selfie3d._effects import (
    Answer,
    Effect,
    Effects,
    Emit,
    Failure,
    OpenStream,
    Read,
    Request,
    ResponseStream,
    Sleep,
    Unary,
)
from selfie3d._retry import Deadline, Retry
from selfie3d._streams import STREAMED_PHOTO, Download, Transfer, Watch, upload_messages
from selfie3d.errors import (
    DownloadDamaged,
    InvalidArgument,
    NotFound,
    Selfie3dError,
    ServiceError,
    Unavailable,
    Violation,
)
from selfie3d.types import JobOptions, JobState, JobStatus, OptionError
from selfie3d.types.photo import PhotoSource, photos_bytes
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.wire import JOB_ONLY, preview_of, settings_message, state_name, status_of

if TYPE_CHECKING:
    from selfie3d.types import Face, Preview, Result

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)
Photos = PhotoSource | Sequence[PhotoSource]  # several are of one person
LOST = "JOB_NOT_FOUND"  # the reason of a job that the service does not know
PAGE_SIZE = 100  # jobs a page; each carries its faces' landmarks, about 3 kB a face


class Core:
    """What can be said to the service.

    timeout : seconds that end the whole of a method, retries included, where it is not given its own
    """

    def __init__(self, retry: Retry, timeout: float) -> None:
        self._retry = retry
        self._timeout = timeout

    def submit(self, photo: Photos, options: JobOptions, timeout: float | None) -> Effects[JobStatus]:
        """Create a job; the same one however often the connection breaks."""
        return (yield from self._submit(_bytes_of(photo, options), options, self._deadline(timeout)))

    def status(self, job_id: str, timeout: float | None) -> Effects[JobStatus]:
        """The job as it is now."""
        request = pb.GetJobRequest(job_id=job_id)
        answer = yield from self._call("GetJob", lambda: request, pb.GetJobResponse, self._deadline(timeout))
        return status_of(answer.job)

    def cancel(self, job_id: str, timeout: float | None) -> Effects[JobStatus]:
        """Stop the job; one that has ended stays as it is."""
        request = pb.CancelJobRequest(job_id=job_id)
        answer = yield from self._call("CancelJob", lambda: request, pb.CancelJobResponse, self._deadline(timeout))
        return status_of(answer.job)

    def delete(self, job_id: str, timeout: float | None) -> Effects[None]:
        """Remove the job. After a cut, NOT_FOUND means that the first try came through."""
        request = pb.DeleteJobRequest(job_id=job_id)
        tries: list[pb.DeleteJobRequest] = []

        def count() -> pb.DeleteJobRequest:
            tries.append(request)
            return request

        try:
            yield from self._call("DeleteJob", count, pb.DeleteJobResponse, self._deadline(timeout))
        except NotFound:
            if len(tries) == 1:
                raise

    def jobs(self, states: Iterable[JobState | str], timeout: float | None) -> Effects[None]:
        """Emits the caller's jobs, newest first, page by page; `timeout` is for each page."""
        wanted = [state_name(_state(state)) for state in states]
        token = ""
        while True:
            request = pb.ListJobsRequest(page_size=PAGE_SIZE, page_token=token, states=wanted)
            page = yield from self._page(request, self._deadline(timeout))
            for job in page.jobs:
                yield Emit(status_of(job))
            token = page.next_page_token
            if not token:
                return

    def watch(self, job_id: str, after_event: int, timeout: float | None) -> Effects[JobStatus]:
        """Emits the job's events behind that number, each once, until it has ended; the job as it ended."""
        return (yield from self._watch(Watch(job_id, after_event), self._deadline(timeout)))

    def wait(self, job_id: str, timeout: float | None) -> Effects[JobStatus]:
        """The job as it ended."""
        return (yield from self._watch(Watch(job_id, only_end=True), self._deadline(timeout)))

    def download(self, job_id: str, face_index: int, timeout: float | None) -> Effects[bytes]:
        """The bytes of one face's mesh file."""
        return (yield from self._download(Download(job_id, face_index), self._deadline(timeout)))

    def mesh_url(self, job_id: str, face_index: int, timeout: float | None) -> Effects[str]:
        """An address of one face's mesh file that needs no service and no token."""
        request = pb.GetMeshUrlRequest(job_id=job_id, face_index=face_index)
        answer = yield from self._call("GetMeshUrl", lambda: request, pb.GetMeshUrlResponse, self._deadline(timeout))
        return answer.url

    def preview(self, job_id: str, face_index: int, timeout: float | None) -> Effects[Preview]:
        """The picture of one face's head."""
        return (yield from self._preview(job_id, face_index, self._deadline(timeout)))

    def result(self, job_id: str, timeout: float | None, *, events: bool) -> Effects[Result]:
        """Wait for the job and download its meshes; emits its events, or without `events` perhaps only the last one."""
        return (yield from self._result(job_id, self._deadline(timeout), events))

    def reconstruct(
        self, photo: Photos, options: JobOptions, timeout: float | None, *, events: bool
    ) -> Effects[Result]:
        """Submit, watch and download, each resumed by itself after a cut; emits as `result`.

        When the service has lost the job, as after a loss of its store, the photo is sent once more.
        """
        deadline = self._deadline(timeout)
        options = {**options, "request_id": options.get("request_id") or uuid.uuid4().hex}
        photos = _bytes_of(photo, options)
        job = yield from self._submit(photos, options, deadline)
        try:
            return (yield from self._result(job.id, deadline, events))
        except NotFound as error:
            if error.reason != LOST:
                raise
            log.warning("The service has lost job %s; its photo is sent once more.", job.id)
        job = yield from self._submit(photos, options, deadline)
        return (yield from self._result(job.id, deadline, events))

    def _submit(self, photos: list[bytes], options: JobOptions, deadline: Deadline) -> Effects[JobStatus]:
        settings = _settings(options)
        if sum(map(len, photos)) > STREAMED_PHOTO:
            uploaded = yield from self._call(
                "UploadJob", lambda: upload_messages(settings, photos), pb.UploadJobResponse, deadline
            )
            return status_of(uploaded.job)  # an older service refuses the second photo
        request = pb.CreateJobRequest(settings=settings, photo=photos[0], more_photos=photos[1:])
        created = yield from self._call("CreateJob", lambda: request, pb.CreateJobResponse, deadline)
        if settings.one_person and not created.job.settings.one_person:
            cancel = pb.CancelJobRequest(job_id=created.job.id)
            yield from self._call("CancelJob", lambda: cancel, pb.CancelJobResponse, deadline)
            raise ServiceError("The service is older than heads of several photos, and saw the first photo alone.")
        return status_of(created.job)

    def _result(self, job_id: str, deadline: Deadline, events: bool) -> Effects[Result]:
        watch = Watch(job_id, with_result=True, only_end=not events)
        job = yield from self._watch(watch, deadline)
        if job.error is not None:
            raise job.error
        faces: list[Face] = []
        for face in job.faces:
            if faces and face.file is job.faces[0].file:  # in a scene all faces lie in the first one's file
                faces.append(face.downloaded(faces[0].file))
            else:
                data = yield from self._download(watch.download(face.index, face.file), deadline)
                faces.append(face.downloaded(face.file.downloaded(data)))
            if face.has_preview:
                sent = watch.previews.get(face.index)
                preview = _checked(sent) if sent else (yield from self._preview(job_id, face.index, deadline))
                faces[-1] = replace(faces[-1], _preview=preview)
        from selfie3d.types import Result  # here: a health check has no use for arrays

        return Result(tuple(faces), job.seconds, job, job.views)

    def _preview(self, job_id: str, face_index: int, deadline: Deadline) -> Effects[Preview]:
        request = pb.GetPreviewRequest(job_id=job_id, face_index=face_index)
        return _checked((yield from self._call("GetPreview", lambda: request, pb.GetPreviewResponse, deadline)))

    def _download(self, download: Download, deadline: Deadline) -> Effects[bytes]:
        yield from self._transfer(download, deadline)
        return download.verified()

    def _watch(self, watch: Watch, deadline: Deadline) -> Effects[JobStatus]:
        yield from self._transfer(watch, deadline)
        if watch.job is None:
            raise Unavailable
        return watch.job

    def _transfer(self, transfer: Transfer[M], deadline: Deadline) -> Effects[None]:
        """Read the stream until nothing is missing; after a cut go on from where it was."""
        failures = 0
        while not transfer.complete:
            try:
                opened = yield from _ask(OpenStream(transfer.rpc, transfer.request, deadline.remaining))
                stream = cast(ResponseStream, opened)
                try:
                    while (message := (yield from _ask(Read(stream)))) is not None:
                        failures = 0
                        value = transfer.take(cast(M, message))
                        if value is not None:
                            yield Emit(value)
                finally:
                    stream.cancel()
                if not transfer.complete:
                    raise Unavailable("The service ended the stream before everything was sent.")
            except DownloadDamaged:  # what is sent once more would be no better
                raise
            except Selfie3dError as error:
                if not transfer.complete:
                    failures += 1
                    yield from self._pause(error, failures, deadline)

    def _deadline(self, timeout: float | None) -> Deadline:
        if timeout is not None and not timeout > 0:  # nor NaN
            raise InvalidArgument(f"timeout is {timeout}, but must be above 0 seconds.", reason="INVALID_TIMEOUT")
        return Deadline(self._timeout if timeout is None else timeout)

    def _page(self, request: pb.ListJobsRequest, deadline: Deadline) -> Effects[pb.ListJobsResponse]:
        return (yield from self._call("ListJobs", lambda: request, pb.ListJobsResponse, deadline))

    def _call(self, rpc: str, request: Callable[[], Request], kind: type[M], deadline: Deadline) -> Effects[M]:
        """One idempotent call that is answered with a `kind`, made again as `retry` says."""
        failures = 0
        while True:
            try:
                answer = yield from _ask(Unary(rpc, request, deadline.remaining))
                if isinstance(answer, kind):
                    return answer
                raise ServiceError(f"{rpc} was answered with a {type(answer).__name__}.")
            except Selfie3dError as error:
                failures += 1
                yield from self._pause(error, failures, deadline)

    def _pause(self, error: Selfie3dError, failures: int, deadline: Deadline) -> Effects[None]:
        """Wait before the next try, or raise the error when there is to be none."""
        pause = self._retry.pause(error, failures)
        if pause is None or not deadline.allows(pause):
            raise error
        yield Sleep(pause)


def _ask(effect: Effect) -> Effects[Answer]:
    """The answer to an effect; a failed call raises its typed error."""
    answer = yield effect
    if isinstance(answer, Failure):
        raise answer.error from answer.cause
    return answer


def _checked(answer: pb.Preview | pb.GetPreviewResponse) -> Preview:
    """The picture that came. Raises DownloadDamaged."""
    preview = preview_of(answer.file).downloaded(answer.data)
    if hashlib.sha256(answer.data).hexdigest() != preview.sha256:
        raise DownloadDamaged("The SHA-256 of the picture is not the one that was announced: ask for it again.")
    return preview


def _settings(options: JobOptions) -> pb.JobSettings:
    """The job's settings, with a request id of its own when there is none. Raises InvalidArgument."""
    try:
        return settings_message(options.get("request_id") or uuid.uuid4().hex, options)
    except OptionError as error:
        raise _invalid(error) from None


def _bytes_of(photo: Photos, options: JobOptions) -> list[bytes]:
    """The photo's bytes, or those of all photos of one person. Raises InvalidArgument, and as `photo_bytes`."""
    try:
        return photos_bytes(photo, one_person=options.get("one_person", False))
    except OptionError as error:
        raise _invalid(error) from None


def _invalid(error: OptionError) -> InvalidArgument:
    path = f"settings.{error.field}" if error.field in JOB_ONLY else f"settings.options.{error.field}"
    return InvalidArgument(str(error), reason="INVALID_OPTION", violations=(Violation(path, str(error)),))


def _state(word: JobState | str) -> JobState:
    try:
        return JobState(word)
    except ValueError:
        message = f"state is {word!r}; it must be one of {', '.join(JobState)}."
        raise InvalidArgument(message, reason="INVALID_STATE") from None
