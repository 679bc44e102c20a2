"""The interceptor in front of every method: identity, scope, bounds, trace, and errors to statuses.

All of it happens before the request is read: methods with one request message are served as if they streamed it
(the same bytes on the wire), so that a refused caller's 20 MiB never reach memory.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import grpc

from selfie3d_jobs import Reason, logs, trace
from selfie3d_service.concurrency import NO_SLOT, ConcurrencyLimit, SharedLimit, Slot
from selfie3d_service.config import ServiceConfig
from selfie3d_service.errors import CallError, abort, translate
from selfie3d_service.metrics import Metrics
from selfie3d_service.request_context import RequestContext, host_of, sender_of
from selfie3d_service.small_requests import small
from selfie3d_service.tokens import ANONYMOUS, Caller, Scope, TokenFile

log = logging.getLogger(__name__)

HEALTH = "/grpc.health.v1.Health/"
SCALER = "/externalscaler.ExternalScaler/"
OURS = "/selfie3d.v1."  # every service of the API
BEARER = "bearer "
INTRUSIONS = (Reason.TOKEN_MISSING, Reason.TOKEN_INVALID, Reason.SCOPE_MISSING, Reason.CERTIFICATE_NAMELESS)


@dataclass(frozen=True)
class Policy:
    """What a method needs."""

    scope: Scope | None
    upload: bool = False
    stream: bool = False
    open: bool = False  # without a token, and counted apart from the calls of those who show one


POLICIES: Mapping[str, Policy] = {
    "CreateJob": Policy(Scope.SUBMIT, upload=True),
    "UploadJob": Policy(Scope.SUBMIT, upload=True),
    "Reconstruct": Policy(Scope.SUBMIT, upload=True, stream=True),
    "CancelJob": Policy(Scope.SUBMIT),
    "DeleteJob": Policy(Scope.SUBMIT),
    "GetJob": Policy(Scope.READ),
    "GetPreview": Policy(Scope.READ),
    "GetMeshUrl": Policy(Scope.READ),
    "ListJobs": Policy(Scope.READ),
    "WatchJob": Policy(Scope.READ, stream=True),
    "DownloadMesh": Policy(Scope.READ, stream=True),
    "ListAllJobs": Policy(Scope.ADMIN),
    "CancelJobs": Policy(Scope.ADMIN),
    "PauseQueue": Policy(Scope.ADMIN),
    "ResumeQueue": Policy(Scope.ADMIN),
    "ListQueues": Policy(Scope.ADMIN),
    "ListWorkers": Policy(Scope.ADMIN),
}
ANY_CALLER = Policy(None, stream=True)  # reflection
SCALING = Policy(None, open=True)
MAX_OPEN = 16  # half of them for one host: KEDA holds a stream for each of its objects, and asks now and then


@dataclass(frozen=True)
class IncomingCall:
    """One call, before its request is read."""

    name: str
    policy: Policy
    metadata: Mapping[str, str]


class ServiceInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Wraps every handler but health's."""

    def __init__(self, config: ServiceConfig, metrics: Metrics, tokens: TokenFile | None) -> None:
        """tokens : None: all callers are anonymous, or named by their certificates."""
        self._config = config
        self._metrics = metrics
        self._tokens = tokens
        self._uploads = SharedLimit(config.max_uploads, Reason.UPLOADS_BUSY)
        self._streams = ConcurrencyLimit(config.max_streams, Reason.STREAMS_BUSY)
        self._open = SharedLimit(MAX_OPEN, Reason.STREAMS_BUSY)

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """The found handler with everything around it."""
        handler = await continuation(details)
        if handler is None or details.method.startswith(HEALTH):
            return handler
        name = details.method.rpartition("/")[2]
        policy = _policy_of(details.method, name)
        metadata = {key: value for key, value in details.invocation_metadata if isinstance(value, str)}
        return self._wrapped(handler, IncomingCall(name, policy, metadata))

    def _wrapped(self, handler: Any, call: IncomingCall) -> Any:
        parse = handler.request_deserializer if call.policy.upload else small(handler.request_deserializer)
        codec = (parse, handler.response_serializer)
        if handler.response_streaming:
            behaviour = handler.stream_stream or handler.unary_stream

            async def answer_many(messages: Any, context: Any) -> None:  # no generator: a vanished caller ends it here
                async with self._answering(call, context) as own_context:
                    request = messages if handler.request_streaming else await self._only(messages)
                    async with aclosing(behaviour(request, own_context)) as responses:
                        async for response in responses:
                            await context.write(response)

            return grpc.stream_stream_rpc_method_handler(answer_many, *codec)
        behaviour = handler.stream_unary or handler.unary_unary

        async def answer_one(messages: Any, context: Any) -> Any:
            async with self._answering(call, context) as own_context:
                request = messages if handler.request_streaming else await self._only(messages)
                return await behaviour(request, own_context)

        return grpc.stream_unary_rpc_method_handler(answer_one, *codec)

    @asynccontextmanager
    async def _answering(self, call: IncomingCall, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        """Yields what the behaviour gets as its context: ours, or gRPC's where the method is not one of ours."""
        started, outcome, slots = time.monotonic(), "OK", list[Slot]()
        try:
            request_context = self._admit(call, context, slots)
            with (
                trace.span(call.name, request_context.traceparent) as traceparent,
                logs.bound(trace_id=trace.trace_id(traceparent), caller=request_context.caller.name),
            ):
                yield replace(request_context, traceparent=traceparent) if call.policy.scope else context
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            refusal = translate(error)
            outcome = refusal.reason.name
            if refusal.reason in INTRUSIONS:
                extra = {"action": "refuse", "method": call.name, "reason": outcome, "peer": context.peer()}
                log.warning("A caller was not let in.", extra=extra)
            await abort(context, refusal)
        except BaseException:
            outcome = "CANCELLED"
            raise
        finally:
            for slot in slots:
                slot.release()
            self._metrics.observe_call(call.name, outcome, time.monotonic() - started)

    def _admit(self, call: IncomingCall, context: grpc.aio.ServicerContext, slots: list[Slot]) -> RequestContext:
        host = host_of(context.peer())
        if call.policy.open:
            slots.append(self._open.acquire(host))
            return RequestContext(host=host)
        caller = self._identify(call, context)
        if call.policy.scope and not caller.may(call.policy.scope):
            where = "" if self._tokens else ", and this service has no tokens: set SELFIE3D_TOKENS"
            raise CallError(Reason.SCOPE_MISSING, f"{call.name} needs a token with scope {call.policy.scope}{where}.")
        if call.policy.stream:
            slots.append(self._streams.acquire())
        upload = self._uploads.acquire(sender_of(caller, host)) if call.policy.upload else NO_SLOT
        slots.append(upload)
        return RequestContext(caller, trace.accept(call.metadata.get("traceparent")), upload, host)

    def _identify(self, call: IncomingCall, context: grpc.aio.ServicerContext) -> Caller:
        if self._tokens:
            authorization = call.metadata.get("authorization", "")
            if not authorization.lower().startswith(BEARER):
                raise CallError(Reason.TOKEN_MISSING)
            caller = self._tokens.find(authorization[len(BEARER) :].strip())
            if caller is None:
                raise CallError(Reason.TOKEN_INVALID)
            return caller
        return _holder(context) if self._config.tls_client_ca else ANONYMOUS

    async def _only(self, messages: AsyncIterator[Any]) -> Any:
        """The request of a method that has one."""
        try:
            async with asyncio.timeout(self._config.upload_seconds):
                return await anext(aiter(messages))
        except TimeoutError as error:
            raise CallError(Reason.UPLOAD_STALLED) from error
        except StopAsyncIteration as error:
            raise CallError(Reason.REQUEST_MALFORMED) from error


def _policy_of(method: str, name: str) -> Policy:
    """method : the full name; name : its last part"""
    if method.startswith(OURS):
        return POLICIES[name]
    return SCALING if method.startswith(SCALER) else ANY_CALLER


def _holder(context: grpc.aio.ServicerContext) -> Caller:
    """Who shows this certificate: its common name, or its first alternative one. Raises CallError."""
    certificate = context.auth_context()
    for kind in ("x509_common_name", "x509_subject_alternative_name"):
        for name in certificate.get(kind, ()):
            return replace(ANONYMOUS, name=f"cert:{name.decode(errors='replace')}")
    raise CallError(Reason.CERTIFICATE_NAMELESS)
