"""What a call can be answered with instead of a result, and the one border where errors become statuses.

CallError    a reason of the table, with the field, the resource or the code that it is about
"""

from __future__ import annotations

import logging
from typing import NoReturn

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from selfie3d_jobs import (
    BlobsUnavailable,
    BlobTrouble,
    JobNotEnded,
    JobNotFound,
    NoSignedUrl,
    Reason,
    Refused,
    RequestReused,
    StoreFull,
    StoreUnavailable,
)
from selfie3d_jobs.reasons import DOMAIN
from selfie3d_photo import PhotoError

log = logging.getLogger(__name__)

CODES = {code.value[0]: code for code in grpc.StatusCode}  # google.rpc.Code -> grpc.StatusCode


class CallError(Exception):
    """A call cannot be answered.

    Attributes
    ----------
    reason : the row of the table
    message : more precise than the table's text, when given
    field : path of the bad field in the request
    resource : (type, name) of what is missing or in the way
    code : google.rpc.Code when it is not the table's
    """

    def __init__(
        self,
        reason: Reason,
        message: str | None = None,
        *,
        field: str | None = None,
        resource: tuple[str, str] | None = None,
        code: int | None = None,
    ) -> None:
        super().__init__(message or reason.text)
        self.reason = reason
        self.field = field
        self.resource = resource
        self.code = reason.code if code is None else code

    def status(self) -> status_pb2.Status:
        """The rich status, as AIP-193 wants it."""
        status = status_pb2.Status(code=self.code, message=str(self))
        status.details.add().Pack(details.ErrorInfo(reason=self.reason.name, domain=DOMAIN))
        if self.field:
            violation = details.BadRequest.FieldViolation(
                field=self.field, description=str(self), reason=self.reason.name
            )
            status.details.add().Pack(details.BadRequest(field_violations=[violation]))
        if self.resource:
            kind, name = self.resource
            info = details.ResourceInfo(resource_type=kind, resource_name=name, description=str(self))
            status.details.add().Pack(info)
        if self.reason.retry_seconds:
            retry = details.RetryInfo()
            retry.retry_delay.FromMilliseconds(int(self.reason.retry_seconds * 1000))
            status.details.add().Pack(retry)
        return status


def translate(error: Exception) -> CallError:
    """Whatever went wrong as a row of the table; the unexpected is logged and becomes INTERNAL, without its text."""
    match error:
        case CallError():
            return error
        case PhotoError():
            return CallError(Reason.of(error.reason), str(error), field="photo")
        case JobNotFound():
            return CallError(Reason.JOB_NOT_FOUND, resource=("selfie3d.v1.Job", error.job_id))
        case RequestReused():
            return CallError(Reason.REQUEST_ID_REUSED, field="settings.request_id")
        case JobNotEnded():
            return CallError(Reason.JOB_NOT_ENDED)
        case Refused():
            return CallError(error.reason)
        case StoreFull():
            return CallError(Reason.STORAGE_FULL)
        case NoSignedUrl():
            return CallError(Reason.MESH_URL_UNAVAILABLE)
        case BlobsUnavailable() if error.trouble is BlobTrouble.FULL:
            return CallError(Reason.STORAGE_FULL)
        case StoreUnavailable() | BlobsUnavailable():
            return CallError(Reason.STORE_UNAVAILABLE)
        case DecodeError():
            return CallError(Reason.REQUEST_MALFORMED)
        case _:
            log.error("A call failed in an unexpected way.", exc_info=error)
            return CallError(Reason.INTERNAL)


async def abort(context: grpc.aio.ServicerContext, error: CallError) -> NoReturn:
    """End the call with the error's status."""
    status = error.status()
    await context.abort(CODES[status.code], status.message, (("grpc-status-details-bin", status.SerializeToString()),))
    raise error  # not reached: abort raises
