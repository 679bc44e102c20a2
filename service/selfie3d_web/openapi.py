"""/openapi.json: the API as it is served, with schemas made from the service's own messages."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Reason
from selfie3d_jobs.payload import enum_words
from selfie3d_web import preview, problem
from selfie3d_web.body import MAX_PHOTO_BYTES, MAX_PHOTOS_BYTES
from selfie3d_web.mesh import MEDIA_TYPES
from selfie3d_web.settings import (
    COMPRESSIONS,
    DETAILS,
    EXTENTS,
    FORMATS,
    ONE_PERSON,
    PRIORITIES,
    STATES,
    SWITCHES,
    TOPOLOGIES,
)

PHOTO_TYPES = ("image/jpeg", "image/png", "image/webp", "image/heic", "image/avif", "application/octet-stream")
Json = dict[Any, Any]  # the numbers of statuses are keys, too, until they are written


@cache
def document() -> Json:
    """OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "selfie3d",
            "version": "1",
            "description": "Photos of a face in, a coloured 3D mesh out. The gRPC API's jobs over HTTP.",
        },
        "paths": _paths(),
        "webhooks": {"jobEnded": {"post": _webhook()}},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


REDIRECT: Json = {
    "name": "redirect",
    "in": "query",
    "description": "true: the answer may be an address of a bucket instead of the file.",
    "schema": {"type": "boolean"},
}


def _paths() -> Json:
    job, face = "/v1/jobs/{job_id}", "/v1/jobs/{job_id}/faces/{face}"
    return {
        "/v1/jobs": {"post": _create(), "get": _list()},
        job: {
            "get": _operation("getJob", "The job as it is now.", {200: _json("Job")}, [JOB_ID]),
            "delete": _operation(
                "deleteJob", "Remove an ended job and its meshes now.", {204: {"description": "Removed."}}, [JOB_ID]
            ),
        },
        f"{job}/cancel": {
            "post": _operation("cancelJob", "Stop it; an ended job stays as it is.", {200: _json("Job")}, [JOB_ID])
        },
        f"{job}/events": {"get": _events()},
        f"{face}/mesh": {
            "get": _mesh("getMesh", "The mesh file of a face."),
            "head": _mesh("headMesh", "The same without it."),
        },
        f"{face}/preview.webp": {
            "get": _preview("getPreview", "A picture of the head."),
            "head": _preview("headPreview", "The same without it."),
        },
        "/openapi.json": {"get": _plain("getOpenapi", "This document.", {"type": "object"})},
        "/healthz": {"get": _plain("getHealth", "Whether this process answers.", STATUS)},
        "/readyz": {"get": _plain("getReadiness", "Whether jobs are taken and workers are there.", STATUS)},
    }


def _create() -> Json:
    options: Json = {
        "format": _enum(FORMATS, "ply"),
        "detail": _enum(DETAILS, "standard"),
        "extent": _enum(EXTENTS, "head"),
        "topology": _enum(TOPOLOGIES, "volume"),
        "compression": _enum(COMPRESSIONS, "none") | {"description": COMPRESSION_TEXT},
        **{name: {"type": "boolean", "default": False, "description": SWITCH_TEXTS[name]} for name in SWITCHES},
        ONE_PERSON: {"type": "boolean", "default": False, "description": ONE_PERSON_TEXT},
        "priority": _enum(PRIORITIES, "interactive"),
        "timeout": {"type": "number", "description": "Seconds after which the job expires; default: the service's."},
        "expire_after": {"type": "number", "minimum": 1, "description": EXPIRE_TEXT},
        "webhook_url": {"type": "string", "format": "uri", "maxLength": 2048, "description": WEBHOOK_TEXT},
    }
    photo = {"type": "string", "contentMediaType": "application/octet-stream", "description": PHOTO_TEXT}
    form = {"type": "object", "properties": options | {"photo": photo}, "required": ["photo"]}
    operation = _operation(
        "createJob",
        f"Queue a photo of at most {MAX_PHOTO_BYTES >> 20} MiB and 64 megapixels: as the body, or as a form's file. "
        f"Several photos of one person are several files of a form, {MAX_PHOTOS_BYTES >> 20} MiB together.",
        {
            202: _json("Job")
            | {"headers": {"Location": {"schema": {"type": "string"}, "description": "The job's path."}}}
        },
        [
            *({"name": name, "in": "query", "schema": schema} for name, schema in options.items()),
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The same key, photo and options give the same job.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
            },
        ],
    )
    content: Json = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in PHOTO_TYPES}
    return operation | {
        "requestBody": {"required": True, "content": content | {"multipart/form-data": {"schema": form}}}
    }


def _webhook() -> Json:
    message: Json = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "type": {"type": "string", "enum": [f"job.{state}" for state in ENDED]},
            "timestamp": {"type": "string", "format": "date-time", "description": "When the job ended."},
            "data": {"$ref": "#/components/schemas/Job"},
        },
        "required": ["type", "timestamp", "data"],
    }
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return {
        "operationId": "jobEnded",
        "summary": WEBHOOK_TEXT,
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}} for name in names
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": message}}},
        "responses": {
            "2XX": {"description": "It has arrived."},
            "410": {"description": "It is not sent again."},
            "default": {"description": "It is sent again, for 24 hours."},
        },
    }


def _list() -> Json:
    size = {"type": "integer", "minimum": 0, "maximum": 1000, "default": 50}
    states = {"type": "array", "items": _enum(STATES)}
    return _operation(
        "listJobs",
        "The caller's jobs, newest first.",
        {200: _json("ListJobsResponse")},
        [
            {"name": "page_size", "in": "query", "schema": size},
            {"name": "page_token", "in": "query", "schema": {"type": "string"}},
            {"name": "state", "in": "query", "schema": states, "explode": True},
        ],
    )


def _events() -> Json:
    number = {"type": "integer", "minimum": 0}
    return _operation(
        "watchJob",
        "Its events as they come: `progress` with a JobEvent, last `end` with the JobEvent and the job in it. "
        "Lines that begin with a colon are signs of life.",
        {
            200: {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            204: {"description": "The job has ended, and nothing is behind Last-Event-ID."},
        },
        [
            JOB_ID,
            {"name": "Last-Event-ID", "in": "header", "description": "Only events behind it.", "schema": number},
            {"name": "after", "in": "query", "description": "The same, where no header can be set.", "schema": number},
        ],
    )


def _mesh(name: str, text: str) -> Json:
    file = {"description": "The file.", "headers": MESH_HEADERS}
    if name == "getMesh":
        binary = {"schema": {"type": "string", "format": "binary"}}
        kinds = [*MEDIA_TYPES.values(), "application/zip", "application/octet-stream"]
        file["content"] = dict.fromkeys(kinds, binary)
    answers: Json = {200: file, 206: {**file, "description": "The part that Range names."}}
    answers |= {304: {"description": "It has not changed."}}
    parameters = [JOB_ID, FACE, *map(_header, ("Range", "If-None-Match", "If-Range"))]
    if name == "getMesh":
        answers |= {307: {"description": "The file is at this address of a bucket, for 15 minutes at most."}}
        parameters.append(REDIRECT)
    return _operation(name, text, answers, parameters)


def _preview(name: str, text: str) -> Json:
    file: Json = {"description": "The picture.", "headers": {"ETag": {"schema": {"type": "string"}}}}
    if name == "getPreview":
        file["content"] = {preview.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}
    answers = {200: file, 304: {"description": "It has not changed."}}
    return _operation(name, text, answers, [JOB_ID, FACE, _header("If-None-Match")])


def _header(name: str) -> Json:
    return {"name": name, "in": "header", "schema": {"type": "string"}}


def _operation(name: str, text: str, answers: Json, parameters: list[Json]) -> Json:
    refused = {
        "description": "What went wrong, and what to do.",
        "content": {problem.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    return {
        "operationId": name,
        "summary": text,
        "parameters": parameters,
        "responses": {str(status): answer for status, answer in answers.items()} | {"default": refused},
    }


def _plain(name: str, text: str, schema: Json) -> Json:
    answer = {"description": text, "content": {"application/json": {"schema": schema}}}
    return _operation(name, text, {200: answer}, []) | {"security": []}


def _json(schema: str) -> Json:
    return {
        "description": "Done.",
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _schemas() -> Json:
    found: Json = {}
    _describe(pb.Job.DESCRIPTOR, found)
    _describe(pb.JobEvent.DESCRIPTOR, found)
    _describe(pb.ListJobsResponse.DESCRIPTOR, found)
    return found | {"Problem": PROBLEM}


def _describe(message: Any, found: Json) -> None:
    """The schema of a message (its Descriptor), and those of the messages in it, as payload.py writes them."""
    if message.name in found:
        return
    schema: Json = {"type": "object", "additionalProperties": False, "properties": {}, "required": []}
    found[message.name] = schema
    for field in message.fields:
        one = _field(field, found)
        schema["properties"][field.name] = {"type": "array", "items": one} if field.is_repeated else one
        if field.is_repeated or (field.message_type is None and field.enum_type is None):
            schema["required"].append(field.name)


def _field(field: FieldDescriptor, found: Json) -> Json:
    if field.enum_type is not None:
        return _enum(enum_words(field.enum_type))
    if field.message_type is None:
        return dict(SCALARS[field.cpp_type])
    if field.message_type.full_name in WELL_KNOWN:
        return dict(WELL_KNOWN[field.message_type.full_name])
    _describe(field.message_type, found)
    return {"$ref": f"#/components/schemas/{field.message_type.name}"}


def _enum(words: dict[str, int], default: str | None = None) -> Json:
    return {"type": "string", "enum": list(words)} | ({"default": default} if default else {})


EXPIRE_TEXT = (
    "Seconds after the job's end until it and its meshes are removed, at most the service's retention time; default: "
    "that time after the deadline."
)
WEBHOOK_TEXT = "Gets a POST once the job has ended, signed as Standard Webhooks has it, until it has answered with 2xx."
ENDED = ("succeeded", "failed", "cancelled", "expired")
JOB_ID = {
    "name": "job_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
FACE = {"name": "face", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}}
STATUS = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
COMPRESSION_TEXT = "Of a GLB: integers (KHR_mesh_quantization), or these compressed (EXT_meshopt_compression)."
ONE_PERSON_TEXT = "The form's photos, up to 16, are of one person and together give one head."
PHOTO_TEXT = "The last part; with one_person up to 16 of them."
SWITCH_TEXTS = {
    "all_faces": "Every face, by descending size, instead of the largest only.",
    "scene": "One file with all faces in place. Needs all_faces.",
    "textured": "A JPEG texture instead of vertex colours: obj (then a ZIP) and glb; usdz always has one.",
    "printable": "A solid with a flat base for a 3D printer.",
    "delight": "The photo's light taken out of the colours, so that the mesh can be lit anew.",
    "rigged": "A GLB whose face moves: morph targets named as ARKit names them. Makes the topology head.",
    "neutral": "The face without the photo's expression. Makes the topology head.",
}
MESH_HEADERS = {
    name: {"schema": {"type": "string"}}
    for name in ("ETag", "Content-Disposition", "Content-Length", "Content-Range", "Accept-Ranges")
}
SCALARS: dict[int, Json] = {
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number"},
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer"},
    FieldDescriptor.CPPTYPE_INT64: {"type": "integer"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "integer", "minimum": 0},
}
WELL_KNOWN: dict[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "number", "description": "Seconds."},
}
VIOLATION = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("field", "description", "reason")},
    "required": ["field", "description", "reason"],
}
PROBLEM = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string", "enum": [reason.name for reason in Reason]},
        "violations": {"type": "array", "items": VIOLATION},
        "resource": {"type": "string"},
        "retry_after": {"type": "number", "description": "Seconds."},
    },
    "required": ["type", "title", "status", "detail"],
}
