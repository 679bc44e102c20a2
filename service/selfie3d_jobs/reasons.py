"""The one table of everything that can go wrong in a call or a job. docs/errors.md is made from it.

The name travels as ErrorInfo.reason (calls) or JobError.reason (jobs), the code as google.rpc.Code.
"""

from __future__ import annotations

from enum import Enum

from google.rpc import code_pb2 as rpc

DOMAIN = "selfie3d"  # ErrorInfo.domain


class Reason(Enum):
    """An UPPER_SNAKE reason: its google.rpc.Code, what it means and what to do, and when to try again."""

    PHOTO_EMPTY = (rpc.INVALID_ARGUMENT, "The photo has no bytes: send the file's content.")
    PHOTO_TOO_LARGE = (rpc.INVALID_ARGUMENT, "The photo has too many bytes: at most 20 MiB; save it smaller.")
    PHOTO_UNSUPPORTED = (
        rpc.INVALID_ARGUMENT,
        "The photo is not in a supported format: send JPEG, PNG, WebP, HEIC or AVIF.",
    )
    PHOTO_CORRUPT = (rpc.INVALID_ARGUMENT, "The photo is damaged or cut short: save or send it again.")
    PHOTO_TOO_MANY_PIXELS = (rpc.INVALID_ARGUMENT, "The photo has too many pixels: at most 64 megapixels.")
    PHOTO_ANIMATED = (rpc.INVALID_ARGUMENT, "The photo is an animation: send one still picture.")
    PHOTO_TOO_SMALL = (rpc.INVALID_ARGUMENT, "The photo is too small to hold a face: send a larger one.")
    OPTION_UNKNOWN = (rpc.INVALID_ARGUMENT, "An option has a value that this service does not know.")
    OPTION_CONFLICT = (rpc.INVALID_ARGUMENT, "Two options do not go together.")
    REQUEST_MALFORMED = (rpc.INVALID_ARGUMENT, "The request is not a message of this method.")
    REQUEST_ID_INVALID = (rpc.INVALID_ARGUMENT, "request_id must be 1 to 64 characters of [A-Za-z0-9_-].")
    TIMEOUT_INVALID = (rpc.INVALID_ARGUMENT, "timeout is outside what this service accepts.")
    EXPIRE_AFTER_INVALID = (rpc.INVALID_ARGUMENT, "expire_after is outside what this service accepts.")
    WEBHOOK_URL_INVALID = (
        rpc.INVALID_ARGUMENT,
        "webhook_url must be an https address with a public host, of at most 2048 characters.",
    )
    JOB_ID_INVALID = (rpc.INVALID_ARGUMENT, "job_id is not a job's id: 32 characters of [0-9a-f].")
    PAGE_SIZE_INVALID = (rpc.INVALID_ARGUMENT, "page_size must be 0 to 1000.")
    PAGE_TOKEN_INVALID = (rpc.INVALID_ARGUMENT, "page_token is not one of this list: start without a token.")
    CALLER_INVALID = (rpc.INVALID_ARGUMENT, "caller must name whose jobs are meant, with 1 to 512 characters.")
    TIME_INVALID = (rpc.INVALID_ARGUMENT, "A time must be one of the years 1 to 9999.")
    UPLOAD_INVALID = (rpc.INVALID_ARGUMENT, "An upload is one message with settings, then chunks of up to 1 MiB.")
    OFFSET_OUT_OF_RANGE = (rpc.OUT_OF_RANGE, "The offset lies behind the end of the mesh file.")
    JOB_NOT_FOUND = (rpc.NOT_FOUND, "No such job: it never was, it is not yours, or its time to be kept is over.")
    FACE_NOT_FOUND = (rpc.NOT_FOUND, "The job has no mesh file or picture with this face_index.")
    REQUEST_ID_REUSED = (rpc.ALREADY_EXISTS, "The request_id belongs to a job with another photo or other settings.")
    JOB_NOT_ENDED = (rpc.FAILED_PRECONDITION, "The job has not ended: wait for it or cancel it first.")
    JOB_NOT_SUCCEEDED = (rpc.FAILED_PRECONDITION, "The job has no mesh: it has not ended, or ended without one.")
    WEBHOOK_SECRET_MISSING = (
        rpc.FAILED_PRECONDITION,
        "There is no secret to sign your webhooks with: ask the operator for one, or leave webhook_url out.",
    )
    QUEUE_FULL = (rpc.RESOURCE_EXHAUSTED, "Too many jobs are waiting: try again later.", 5.0)
    QUOTA_EXCEEDED = (rpc.RESOURCE_EXHAUSTED, "You have too many jobs that have not ended: wait for some.", 5.0)
    RATE_EXCEEDED = (
        rpc.RESOURCE_EXHAUSTED,
        "You have created as many jobs as your token allows in a minute: try again later.",
        10.0,
    )
    DAILY_QUOTA_EXCEEDED = (
        rpc.RESOURCE_EXHAUSTED,
        "You have created as many jobs as your token allows in a day: try again later.",
        3600.0,
    )
    STORAGE_FULL = (rpc.RESOURCE_EXHAUSTED, "No room for more photos: try again later.", 15.0)
    WEBHOOKS_FULL = (
        rpc.RESOURCE_EXHAUSTED,
        "Too many of your webhooks wait to be delivered: see that your receiver answers.",
        60.0,
    )
    UPLOADS_BUSY = (rpc.RESOURCE_EXHAUSTED, "Too many photos are being sent at once: try again.", 1.0)
    STREAMS_BUSY = (rpc.RESOURCE_EXHAUSTED, "Too many streams are open: close some or try again later.", 2.0)
    MESH_URL_UNAVAILABLE = (
        rpc.FAILED_PRECONDITION,
        "This service gives no addresses of meshes: download the mesh through the service.",
    )
    STORE_UNAVAILABLE = (rpc.UNAVAILABLE, "The service cannot reach its job store: try again.", 1.0)
    SHUTTING_DOWN = (rpc.UNAVAILABLE, "This server is going down: connect again.", 0.5)
    UPLOAD_STALLED = (rpc.DEADLINE_EXCEEDED, "No more of the photo arrived: send it again.")
    TOKEN_MISSING = (rpc.UNAUTHENTICATED, "This service wants metadata `authorization: Bearer TOKEN`.")
    TOKEN_INVALID = (rpc.UNAUTHENTICATED, "The token is not known: check it or ask for a new one.")
    CERTIFICATE_NAMELESS = (rpc.UNAUTHENTICATED, "The client certificate has neither a common nor an alternative name.")
    SCOPE_MISSING = (rpc.PERMISSION_DENIED, "The token does not have the scope that this call needs.")
    LIST_DISABLED = (rpc.UNIMPLEMENTED, "Listing jobs is switched off on this service.")
    NO_FACE = (rpc.INVALID_ARGUMENT, "No face was found: send a photo with a face at least 40 px wide, not covered.")
    NO_SURFACE = (rpc.INVALID_ARGUMENT, "The network saw no face-shaped solid: try a sharper or closer photo.")
    DEADLINE_PASSED = (rpc.DEADLINE_EXCEEDED, "The job was not done before its deadline.")
    TIME_LIMIT = (rpc.DEADLINE_EXCEEDED, "The job took longer than a worker may spend on one photo.")
    POISON_INPUT = (rpc.INTERNAL, "Every worker that took the job died or lost it; it was given up.")
    WEIGHTS = (rpc.INTERNAL, "The worker's weights do not fit: run `selfie3d weights verify` on it.")
    BACKEND_MISSING = (rpc.INTERNAL, "The worker lacks a package that the job needs.")
    INTERNAL = (rpc.INTERNAL, "Something unexpected went wrong; the server's log says more.")

    def __init__(self, code: int, text: str, retry_seconds: float = 0.0) -> None:
        self.code = code
        self.text = text
        self.retry_seconds = retry_seconds

    @classmethod
    def of(cls, name: str) -> Reason:
        """The reason of this name; INTERNAL for a name that the table lacks."""
        return cls.__members__.get(name, cls.INTERNAL)


def as_markdown() -> str:
    """docs/errors.md."""
    rows = [f"| `{r.name}` | {rpc.Code.Name(r.code)} | {r.text} | {_seconds(r)} |" for r in Reason]
    return "\n".join([_HEAD, *rows, ""])


def _seconds(reason: Reason) -> str:
    return f"{reason.retry_seconds:g} s" if reason.retry_seconds else ""


_HEAD = f"""# Errors

A call that fails carries a `google.rpc.Status` (AIP-193) with `ErrorInfo` (domain `{DOMAIN}`, the reason below),
`BadRequest` where a field is wrong, `ResourceInfo` where something is missing, `RetryInfo` where trying again helps.
A job that ended FAILED or EXPIRED carries the same code and reason in `Job.error`.

A message over gRPC's receive limit (a little above the 20 MiB a photo may have) is refused by gRPC itself:
RESOURCE_EXHAUSTED, "Received message larger than max", without details.
A call that does not reach a service has none either: [operations.md](operations.md), "TLS", lists what our client then
says.

Made by `python -m selfie3d_jobs`.

| Reason | Code | Meaning and remedy | Try again after |
|---|---|---|---|"""
