"""The calls of an operator: each is made once, on the stub, with the address, TLS and token of the command.

`selfie3d.Client` has none of them. It is for those who want meshes, and its calls go on after a cut; these are single
questions that may be asked again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from selfie3d import InvalidConnection, Priority, Selfie3dError
from selfie3d._connection import Connection
from selfie3d.errors import from_rpc_error
from selfie3d.v1 import admin_pb2 as pb
from selfie3d.v1 import reconstruction_pb2 as api
from selfie3d.v1.admin_pb2_grpc import AdminServiceStub
from selfie3d_cli.arguments import server_of
from selfie3d_cli.errors import CommandError
from selfie3d_cli.server_options import may_leak, refusal, tls_of, token_of
from selfie3d_cli.settings import from_environment

MAX_PAGE = 1000  # jobs, as in admin.proto
MAX_CANCELLED = 1000  # jobs of one call, as in admin.proto
REMEDIES = {
    "TOKEN_MISSING": "give a token with the scope admin, with --token-file FILE or in SELFIE3D_TOKEN.",
    "SCOPE_MISSING": "`selfie3d token NAME --scope admin --file FILE` makes a token with it.",
}


class Operator:
    """A connection to a service's administration. `with Operator(args) as operator: operator.queues()`.

    Every method raises CommandError when the call is refused or does not get through.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        """Raises UsageError."""
        self._address = server_of(args.server, from_environment().server)
        self._seconds: float = args.timeout
        try:
            self._way = Connection(self._address, tls_of(args) or False, token_of(args), may_leak(args))
            self._channel = self._way.channel()
        except InvalidConnection as error:
            raise refusal(error, args) from error
        self._stub: Any = AdminServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._channel.close()

    def jobs(self, wanted: pb.ListAllJobsRequest, most: int) -> Iterator[api.Job]:
        """Up to `most` jobs that meet the filter, newest first, page by page."""
        request, left = pb.ListAllJobsRequest(), most
        request.CopyFrom(wanted)
        while left:
            request.page_size = min(left, MAX_PAGE)
            page = self._call("ListAllJobs", request)
            yield from page.jobs
            left -= len(page.jobs)
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def cancel(self, caller: str) -> pb.CancelJobsResponse:
        """Stop the caller's jobs; those that are accepted meanwhile may remain."""
        request, cancelled = pb.CancelJobsRequest(caller=caller), 0
        while True:
            done = self._call("CancelJobs", request)
            cancelled += done.cancelled
            if done.cancelled < MAX_CANCELLED:
                return pb.CancelJobsResponse(cancelled=cancelled, remaining=done.remaining)

    def pause(self, priority: Priority) -> pb.Queue:
        """Let no worker take a job of the queue."""
        queue: pb.Queue = self._call("PauseQueue", pb.PauseQueueRequest(priority=_name(priority))).queue
        return queue

    def resume(self, priority: Priority) -> pb.Queue:
        """Let workers take its jobs again."""
        queue: pb.Queue = self._call("ResumeQueue", pb.ResumeQueueRequest(priority=_name(priority))).queue
        return queue

    def queues(self) -> list[pb.Queue]:
        """Both queues."""
        return list(self._call("ListQueues", pb.ListQueuesRequest()).queues)

    def workers(self) -> list[pb.Worker]:
        """The workers that are alive."""
        return list(self._call("ListWorkers", pb.ListWorkersRequest()).workers)

    def _call(self, method: str, request: Message) -> Any:
        try:
            return getattr(self._stub, method)(request, timeout=self._seconds, metadata=self._way.metadata)
        except grpc.RpcError as error:
            raise self._failure(from_rpc_error(error, self._address, encrypted=self._way.encrypted)) from error

    def _failure(self, error: Selfie3dError) -> CommandError:
        text = str(error) if self._address in str(error) else f"{self._address}: {error}"
        remedy = REMEDIES.get(error.reason)
        return CommandError(f"{text.rstrip('.')}: {remedy}" if remedy else text)


def _name(priority: Priority) -> str:
    """The API's name."""
    return f"PRIORITY_{priority.name}"
