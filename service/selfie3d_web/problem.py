"""Every answer that is not a success: application/problem+json (RFC 9457) with the service's reasons.

Problem    raised anywhere in the app; made of a gRPC status, of one of the service's reasons, or of plain HTTP
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Self

import grpc
from google.rpc import code_pb2 as rpc
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status
from starlette.responses import JSONResponse, Response

from selfie3d_jobs import Reason

MEDIA_TYPE = "application/problem+json"
STATUSES: Mapping[int, int] = {
    rpc.CANCELLED: 503,  # only a service that goes down cancels: a caller who went away hears nothing
    rpc.UNKNOWN: 500,
    rpc.INVALID_ARGUMENT: 400,
    rpc.DEADLINE_EXCEEDED: 504,
    rpc.NOT_FOUND: 404,
    rpc.ALREADY_EXISTS: 409,
    rpc.PERMISSION_DENIED: 403,
    rpc.RESOURCE_EXHAUSTED: 429,
    rpc.FAILED_PRECONDITION: 409,
    rpc.ABORTED: 409,
    rpc.OUT_OF_RANGE: 416,
    rpc.UNIMPLEMENTED: 501,
    rpc.INTERNAL: 500,
    rpc.UNAVAILABLE: 503,
    rpc.DATA_LOSS: 500,
    rpc.UNAUTHENTICATED: 401,
}
OWN_STATUSES: Mapping[str, int] = {  # where HTTP has a more precise one than the code's
    Reason.PHOTO_TOO_LARGE.name: 413,
    Reason.PHOTO_UNSUPPORTED.name: 415,
    Reason.UPLOAD_STALLED.name: 408,
}


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """A request that cannot be answered as wished.

    Attributes
    ----------
    status : HTTP's
    reason : of docs/errors.md; empty for what HTTP itself names, such as 405
    violations : [{field, description, reason}] for what is wrong in the request
    resource : what is missing or in the way; empty when that is no matter
    retry_seconds : after which trying again may help; 0: it will not
    headers : further headers of the answer
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        reason: str = "",
        violations: list[dict[str, str]] | None = None,
        resource: str = "",
        retry_seconds: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.violations = violations or []
        self.resource = resource
        self.retry_seconds = retry_seconds
        self.headers = dict(headers or {})

    @classmethod
    def of_reason(cls, reason: Reason, detail: str | None = None, *, field: str = "") -> Self:
        """One that the service would name, found before asking it."""
        text = detail or reason.text
        violations = [{"field": field, "description": text, "reason": reason.name}] if field else []
        status = OWN_STATUSES.get(reason.name, STATUSES[reason.code])
        return cls(status, text, reason=reason.name, violations=violations, retry_seconds=reason.retry_seconds)

    @classmethod
    def of_call(cls, error: grpc.aio.AioRpcError) -> Self:
        """What the service, or the way to it, answered."""
        status = rpc_status.from_call(error)
        code: int = error.code().value[0]
        found = {detail.TypeName(): detail for detail in status.details} if status else {}
        info, bad = details.ErrorInfo(), details.BadRequest()
        retry, missing = details.RetryInfo(), details.ResourceInfo()
        for message in (info, bad, retry, missing):
            if message.DESCRIPTOR.full_name in found:
                found[message.DESCRIPTOR.full_name].Unpack(message)
        return cls(
            OWN_STATUSES.get(info.reason, STATUSES.get(code, 500)),
            (error.details() or "") if info.reason else _UNREACHABLE.get(code, "The service failed without a reason."),
            reason=info.reason,
            violations=[
                {"field": each.field, "description": each.description, "reason": each.reason}
                for each in bad.field_violations
            ],
            resource=missing.resource_name,
            retry_seconds=retry.retry_delay.ToTimedelta().total_seconds(),
        )

    def body(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "type": f"urn:selfie3d:{self.reason}" if self.reason else "about:blank",
            "title": _title(self.status, self.reason),
            "status": self.status,
            "detail": str(self),
        } | {name: value for name, value in self._extensions().items() if value}

    def response(self) -> Response:
        """The answer."""
        headers = {"Cache-Control": "no-store", **self.headers}
        if self.retry_seconds:
            headers["Retry-After"] = str(math.ceil(self.retry_seconds))
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Bearer realm="selfie3d"'
        return JSONResponse(self.body(), self.status, headers, MEDIA_TYPE)

    def _extensions(self) -> dict[str, Any]:
        return {
            "reason": self.reason,
            "violations": self.violations,
            "resource": self.resource,
            "retry_after": self.retry_seconds,
        }


def _title(status: int, reason: str) -> str:
    if reason:
        return reason.replace("_", " ").capitalize()
    return HTTPStatus(status).phrase


_UNREACHABLE = {
    rpc.UNAVAILABLE: "The service cannot be reached: try again.",
    rpc.DEADLINE_EXCEEDED: "The service did not answer in time: try again.",
}
