"""selfie3d.v1.AdminService: what operators do. Who may is decided in interceptor.py."""

# ruff: noqa: N802

from __future__ import annotations

import logging

from selfie3d.v1 import admin_pb2 as pb
from selfie3d.v1 import admin_pb2_grpc as rpc
from selfie3d_jobs import AsyncStore, JobsConfig, administration, queries
from selfie3d_service import admin_validation as validation
from selfie3d_service import wire
from selfie3d_service.publisher import Publisher
from selfie3d_service.request_context import RequestContext

log = logging.getLogger(__name__)

MOST_CANCELLED = 1000  # jobs of one call


class AdminServicer(rpc.AdminServiceServicer):
    """The six methods. The interceptor calls them with a RequestContext in place of gRPC's own."""

    def __init__(self, config: JobsConfig, store: AsyncStore, publisher: Publisher) -> None:
        self._config = config
        self._store = store
        self._publisher = publisher

    async def ListAllJobs(self, request: pb.ListAllJobsRequest, context: RequestContext) -> pb.ListAllJobsResponse:
        """The jobs of all callers that meet the filter, newest first."""
        del context
        wanted, size = validation.job_filter(request), validation.page_size(request)
        below = validation.page_start(request, wanted)
        records, following = await self._store.run(queries.filtered_page(wanted, below, size))
        jobs, rest = wire.page_of_jobs(records, following, wire.job_with_caller)
        return pb.ListAllJobsResponse(jobs=jobs, next_page_token=validation.page_token(rest, wanted))

    async def CancelJobs(self, request: pb.CancelJobsRequest, context: RequestContext) -> pb.CancelJobsResponse:
        """End the jobs of a caller; their workers stop at the next stage."""
        del context
        owner, count, below = validation.caller(request.caller), 0, None
        while True:
            done = await self._store.run(administration.cancel_jobs(owner, below, MOST_CANCELLED - count))
            count, below = count + done.count, done.below
            if below is None or count == MOST_CANCELLED:
                break
        log.info("A caller's jobs were cancelled.", extra={"action": "cancel", "of": owner, "jobs": count})
        return pb.CancelJobsResponse(cancelled=count, remaining=done.remaining)

    async def PauseQueue(self, request: pb.PauseQueueRequest, context: RequestContext) -> pb.PauseQueueResponse:
        """Workers take no more of its jobs."""
        queue = validation.queue(request.priority)
        status = await self._store.run(administration.pause(queue, context.caller.name))
        log.info("A queue was paused.", extra={"action": "pause", "queue": queue, "waiting": status.waiting})
        return pb.PauseQueueResponse(queue=wire.queue(status))

    async def ResumeQueue(self, request: pb.ResumeQueueRequest, context: RequestContext) -> pb.ResumeQueueResponse:
        """Workers take its jobs again."""
        del context
        queue = validation.queue(request.priority)
        status, messages = await self._store.run(administration.resume(queue))
        for message in messages:
            self._publisher.send(message)
        log.info("A queue was resumed.", extra={"action": "resume", "queue": queue, "published": len(messages)})
        return pb.ResumeQueueResponse(queue=wire.queue(status))

    async def ListQueues(self, request: pb.ListQueuesRequest, context: RequestContext) -> pb.ListQueuesResponse:
        """Both queues."""
        del request, context
        statuses = await self._store.run(administration.queues())
        return pb.ListQueuesResponse(queues=[wire.queue(status) for status in statuses])

    async def ListWorkers(self, request: pb.ListWorkersRequest, context: RequestContext) -> pb.ListWorkersResponse:
        """Who works, and on what."""
        del request, context
        workers = await self._store.run(administration.workers(self._config))
        return pb.ListWorkersResponse(workers=[wire.worker(worker) for worker in workers])
