"""selfie3d.v1.ReconstructionService. Errors are raised here and become statuses in interceptor.py."""

# ruff: noqa: N802

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_jobs import AsyncStore, JobEvent, MeshAhead, Reason, Record, admission, queries
from selfie3d_jobs.blobs import AsyncBlobs
from selfie3d_jobs.webhooks import lane_of
from selfie3d_photo import inspect
from selfie3d_service import validation, wire
from selfie3d_service.broadcaster import EventBroadcaster
from selfie3d_service.config import ServiceConfig
from selfie3d_service.errors import CallError
from selfie3d_service.fair_pool import FairPool
from selfie3d_service.publisher import Publisher
from selfie3d_service.request_context import RequestContext
from selfie3d_service.results import MeshStream, mesh_file, preview_file, previews
from selfie3d_service.upload import PHOTO_LIMITS, Upload, check_sizes, naming_photo
from selfie3d_service.webhooks import Signer

log = logging.getLogger(__name__)

HASHERS = 2  # requests whose photos are hashed at once; checking one costs less than handing it to a thread
SMALL_BYTES = 128 * 1024  # and so does hashing so much


class ReconstructionServicer(rpc.ReconstructionServiceServicer):
    """The eleven methods. The interceptor calls them with a RequestContext in place of gRPC's own."""

    def __init__(
        self,
        config: ServiceConfig,
        store: AsyncStore,
        blobs: AsyncBlobs,
        on_deleted: Callable[[], None],
        broadcaster: EventBroadcaster,
        publisher: Publisher,
        signer: Signer,
    ) -> None:
        self._config = config
        self._store = store
        self._blobs = blobs
        self._on_deleted = on_deleted
        self._broadcaster = broadcaster
        self._publisher = publisher
        self._signer = signer
        self._hashers = FairPool(HASHERS, "hasher")

    async def CreateJob(self, request: pb.CreateJobRequest, context: RequestContext) -> pb.CreateJobResponse:
        """A photo, or several of one person, in one message."""
        photos = [request.photo, *request.more_photos]
        return pb.CreateJobResponse(job=wire.job(await self._create(request.settings, photos, context)))

    async def UploadJob(
        self, messages: AsyncIterator[pb.UploadJobRequest], context: RequestContext
    ) -> pb.UploadJobResponse:
        """A photo, or several of one person, in parts."""
        settings, photos = await self._receive(messages, context)
        return pb.UploadJobResponse(job=wire.job(await self._create(settings, photos, context)))

    async def GetJob(self, request: pb.GetJobRequest, context: RequestContext) -> pb.GetJobResponse:
        """The job as it is now."""
        return pb.GetJobResponse(job=wire.job(await self._get(request.job_id, context)))

    async def WatchJob(
        self, request: pb.WatchJobRequest, context: RequestContext
    ) -> AsyncIterator[pb.WatchJobResponse]:
        """Events, the job with the last of them, and its meshes and pictures if they are wanted."""
        record = await self._get(request.job_id, context)
        meshes = MeshStream(self._blobs)
        if record.state.ended and request.after_event >= record.last_event:
            yield pb.WatchJobResponse(job=wire.job(record))
        else:
            after = min(request.after_event, record.last_event)
            early = request.with_result and request.early_mesh
            async for news, ended in self._broadcaster.follow(record.id, after, early=early):
                record = ended or record
                if isinstance(news, MeshAhead):
                    async for chunk in meshes.ahead(record.id, news):
                        yield pb.WatchJobResponse(chunk=chunk)
                elif ended or not request.only_end:
                    yield pb.WatchJobResponse(event=wire.event(news), job=wire.job(ended) if ended else None)
        if request.with_result:
            async for chunk in meshes.rest(record):
                yield pb.WatchJobResponse(chunk=chunk)
            async for preview in previews(self._blobs, record):
                yield pb.WatchJobResponse(preview=preview)

    async def DownloadMesh(
        self, request: pb.DownloadMeshRequest, context: RequestContext
    ) -> AsyncIterator[pb.DownloadMeshResponse]:
        """A mesh file from an offset."""
        record = await self._get(request.job_id, context)
        async for chunk in MeshStream(self._blobs).file(record, request.face_index, request.offset):
            yield pb.DownloadMeshResponse(chunk=chunk)

    async def GetPreview(self, request: pb.GetPreviewRequest, context: RequestContext) -> pb.GetPreviewResponse:
        """A picture of a face's head."""
        record = await self._get(request.job_id, context)
        file = preview_file(record, request.face_index)
        data = await self._blobs.preview(record, request.face_index, file)
        return pb.GetPreviewResponse(file=file, data=data)

    async def GetMeshUrl(self, request: pb.GetMeshUrlRequest, context: RequestContext) -> pb.GetMeshUrlResponse:
        """An address of a mesh in the bucket itself."""
        record = await self._get(request.job_id, context)
        file = mesh_file(record, request.face_index)
        if not self._config.mesh_urls:
            raise CallError(Reason.MESH_URL_UNAVAILABLE)
        asked = int(time.time())  # signatures carry whole seconds; this one is never later than the bucket's
        signed = await self._blobs.mesh_url(record, request.face_index, file)
        response = pb.GetMeshUrlResponse(url=signed.url, file=file)
        response.expire_time.FromSeconds(asked + signed.seconds)
        return response

    async def Reconstruct(
        self, request: pb.ReconstructRequest, context: RequestContext
    ) -> AsyncIterator[pb.ReconstructResponse]:
        """Create, watch and download in one call."""
        record = await self._create(request.settings, [request.photo, *request.more_photos], context)
        request.Clear()  # the photo need not stay in memory for as long as the job runs
        yield pb.ReconstructResponse(job=wire.job(record))
        async for news, ended in self._broadcaster.follow(record.id, 0):
            if isinstance(news, JobEvent):
                yield pb.ReconstructResponse(event=wire.event(news))
            record = ended or record
        yield pb.ReconstructResponse(job=wire.job(record))
        async for chunk in MeshStream(self._blobs).rest(record):
            yield pb.ReconstructResponse(chunk=chunk)

    async def CancelJob(self, request: pb.CancelJobRequest, context: RequestContext) -> pb.CancelJobResponse:
        """End it now; its worker stops at the next stage."""
        command = queries.cancel(validation.check_job_id(request.job_id), context.reach)
        return pb.CancelJobResponse(job=wire.job(await self._store.run(command)))

    async def DeleteJob(self, request: pb.DeleteJobRequest, context: RequestContext) -> pb.DeleteJobResponse:
        """Remove an ended job."""
        await self._store.run(queries.delete(validation.check_job_id(request.job_id), context.reach))
        self._on_deleted()
        return pb.DeleteJobResponse()

    async def ListJobs(self, request: pb.ListJobsRequest, context: RequestContext) -> pb.ListJobsResponse:
        """The caller's jobs, newest first."""
        if not self._config.listing:
            raise CallError(Reason.LIST_DISABLED)
        states, size = validation.page_states(request), validation.page_size(request)
        below = validation.page_start(request, states)
        records, following = await self._store.run(queries.page(context.caller.name, below, size, states))
        jobs, rest = wire.page_of_jobs(records, following)
        return pb.ListJobsResponse(jobs=jobs, next_page_token=validation.page_token(rest, states))

    async def close(self) -> None:
        """Stop hashing photos."""
        await asyncio.to_thread(self._hashers.close)

    async def _get(self, job_id: str, context: RequestContext) -> Record:
        return await self._store.run(queries.get(validation.check_job_id(job_id), context.reach))

    async def _create(self, settings: pb.JobSettings, photos: list[bytes], context: RequestContext) -> Record:
        lane = self._check(settings, context)
        timeout = validation.timeout_seconds(settings, self._config)
        expire_after = validation.expire_after_seconds(settings, self._config)
        validation.check_photo_number(settings, len(photos))
        sizes = tuple(map(len, photos))
        check_sizes(sizes)
        job = admission.NewJob(
            id=admission.new_id(),
            owner=context.caller.name,
            settings=settings,
            priority=validation.priority(settings),
            photo_sizes=sizes,
            photo_sha256s=await self._sha256s(photos, context.sender),
            timeout_seconds=timeout,
            retention_seconds=self._config.retention_seconds,
            traceparent=context.traceparent,
            webhook_lane=lane,
            expire_after_seconds=expire_after,
        )
        limits = self._limits(context)
        record = await self._blobs.admit(job, limits)
        if record:
            await self._store.confirm()
        else:
            for number, photo in enumerate(photos):
                with naming_photo(number, len(photos)):
                    inspect(photo, PHOTO_LIMITS)
            record = await self._accept(job, photos, limits)
        context.upload.release()
        return record

    async def _sha256s(self, photos: list[bytes], sender: str) -> tuple[str, ...]:
        if sum(map(len, photos)) <= SMALL_BYTES:
            return _sha256s(photos)
        return await self._hashers.run(sender, _sha256s, photos)

    async def _accept(self, job: admission.NewJob, photos: list[bytes], limits: admission.AdmissionLimits) -> Record:
        record, is_new = await self._blobs.create(job, photos, limits)
        if is_new:
            if not record.queue_paused:
                self._publisher.send_job(record)
            extra = {"action": "accept", "job_id": record.id, "bytes": job.photo_bytes, "queue": job.priority}
            log.info("A job was accepted.", extra=extra)
        return record

    def _limits(self, context: RequestContext) -> admission.AdmissionLimits:
        limits, caller = self._config.limits, context.caller
        active = limits.max_active if caller.max_active is None else min(caller.max_active, limits.max_active)
        return replace(limits, max_active=active, max_per_minute=caller.max_per_minute, max_per_day=caller.max_per_day)

    def _check(self, settings: pb.JobSettings, context: RequestContext) -> str:
        """The lane of the job's webhook; empty: it has none. Raises CallError for settings that are not accepted."""
        validation.check_settings(settings)
        receiver = validation.receiver(settings, self._config.webhooks.listed)
        if receiver is None:
            return ""
        if not self._signer.secrets_of(context.caller.name):
            raise CallError(Reason.WEBHOOK_SECRET_MISSING, field="settings.webhook_url")
        return lane_of(receiver.origin, context.caller.name)

    async def _receive(
        self, messages: AsyncIterator[pb.UploadJobRequest], context: RequestContext
    ) -> tuple[pb.JobSettings, list[bytes]]:
        upload: Upload | None = None
        async for message in _each_within(messages, self._config.upload_seconds):
            part = message.WhichOneof("part")
            if (part == "settings") != (upload is None):
                raise CallError(Reason.UPLOAD_INVALID, "First the settings, once, then the chunks.", field="part")
            if upload is None:
                self._check(message.settings, context)
                upload = Upload(message.settings)
            elif part == "next_photo":
                upload.begin_next()
            else:
                upload.add(message.chunk)
        if upload is None:
            raise CallError(Reason.UPLOAD_INVALID, "No message came.", field="part")
        return upload.settings, upload.photos


def _sha256s(photos: list[bytes]) -> tuple[str, ...]:
    return tuple(hashlib.sha256(photo).hexdigest() for photo in photos)


async def _each_within(messages: AsyncIterator[Any], seconds: float) -> AsyncIterator[Any]:
    """The messages, as long as each comes in time. Raises CallError."""
    source = aiter(messages)
    while True:
        try:
            async with asyncio.timeout(seconds):
                message = await anext(source)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise CallError(Reason.UPLOAD_STALLED) from error
        yield message
