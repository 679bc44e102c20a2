"""Every field of every request with extreme values: refused with the field's name, or JSON comes out.

The cases are made from the descriptors, so a new field, also one of a well-known type, is tested the day it is added.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status

from selfie3d.types import Priority
from selfie3d.v1 import admin_pb2
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1.admin_pb2_grpc import AdminServiceStub
from selfie3d_jobs import Store, administration
from selfie3d_service import ServiceConfig
from tests.faults.guarded import TokenBook
from tests.integration.conftest import served
from tests.integration.road import WIDE, finish
from tests.tiny import make_photo

CALLER = "ops"  # an operator, who may do everything
SERVICES = [*pb.DESCRIPTOR.services_by_name.values(), *admin_pb2.DESCRIPTOR.services_by_name.values()]
METHODS: list[MethodDescriptor] = [method for service in SERVICES for method in service.methods]
BIG = 1 << 20
TEXTS = ("\0", "a\nb", "\r\n", "\x1b[2J", "\ufeff", "\u202e", "\U0010ffff", "%s{}$", "x" * BIG, "ä" * BIG, "\0" * BIG)
BYTES = (b"\0", b"\n", b"\xff" * 8, b"\x80" * BIG)
INT32, INT64 = (1 << 31) - 1, (1 << 63) - 1
SIGNED, UNSIGNED = (-INT32 - 1, -1, INT32), (1, INT32, 2 * INT32 + 1)
SIGNED_LONG, UNSIGNED_LONG = (*SIGNED, -INT64 - 1, INT64), (*UNSIGNED, 1 << 53, INT64, 2 * INT64 + 1)
REALS = (float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.7e308)
F = FieldDescriptor
VALUES: dict[int, tuple[Any, ...]] = {  # every scalar type that there is
    F.TYPE_STRING: TEXTS,
    F.TYPE_BYTES: BYTES,
    F.TYPE_BOOL: (True, False),
    F.TYPE_INT32: SIGNED,
    F.TYPE_SINT32: SIGNED,
    F.TYPE_SFIXED32: SIGNED,
    F.TYPE_INT64: SIGNED_LONG,
    F.TYPE_SINT64: SIGNED_LONG,
    F.TYPE_SFIXED64: SIGNED_LONG,
    F.TYPE_UINT32: UNSIGNED,
    F.TYPE_FIXED32: UNSIGNED,
    F.TYPE_UINT64: UNSIGNED_LONG,
    F.TYPE_FIXED64: UNSIGNED_LONG,
    F.TYPE_FLOAT: REALS,
    F.TYPE_DOUBLE: REALS,
    F.TYPE_ENUM: (-INT32 - 1, -1, 0, 1, 2, 3, 4, 5, 6, 7, 99, INT32),
}
SECONDS = (0, 1, 59, 3600, -1, 1 << 53, 315576000001, -315576000001, 253402300800, -62135596801, INT64, -INT64 - 1)
NANOS = (0, 1, 999_999_999, 1_000_000_000, INT32, -1, -999_999_999, -1_000_000_000, -INT32 - 1)
CLOCKS = tuple({"seconds": seconds, "nanos": nanos} for seconds in SECONDS for nanos in NANOS)
WELL_KNOWN: dict[str, tuple[Any, ...]] = {
    "google.protobuf.Duration": CLOCKS,
    "google.protobuf.Timestamp": CLOCKS,
    "google.protobuf.FieldMask": tuple({"paths": paths} for paths in (["A"], ["a__b"], [""], ["a,b"], ["x"] * 10_000)),
    "google.protobuf.Any": ({"type_url": "nobody/knows"}, {"type_url": "", "value": b"\xff"}),
}
SAME = {"chunk": "photo"}  # what a part is called once it is whole
FOR_A_PATH = ("job_id", "face_index", "offset")  # these name what is asked for: it may not be there
REFUSALS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE}


def extremes(field: FieldDescriptor) -> Iterator[tuple[str, Any]]:
    """(path below the field, value as the message's constructor takes it)."""
    if field.type != F.TYPE_MESSAGE:
        yield from (("", value) for value in VALUES[field.type])
        return
    known = WELL_KNOWN.get(type_of(field).full_name)
    if known:
        yield from (("", value) for value in known)
        return
    yield "", {}
    for inner in type_of(field).fields:
        for path, value in extremes(inner):
            yield f".{inner.name}{path}", {inner.name: many(inner, value)}


def type_of(field: FieldDescriptor) -> Descriptor:
    assert field.message_type is not None
    return field.message_type


def many(field: FieldDescriptor, value: Any) -> Any:
    return [value] * 3 if field.is_repeated else value


def cases(message: Descriptor) -> Iterator[tuple[str, dict[str, Any]]]:
    for field in message.fields:
        for path, value in extremes(field):
            yield field.name + path, {field.name: many(field, value)}


def by_path(method: MethodDescriptor) -> dict[str, list[dict[str, Any]]]:
    values: dict[str, list[dict[str, Any]]] = {}
    for path, value in cases(method.input_type):
        values.setdefault(path, []).append(value)
    return values


ALL = [
    pytest.param(method, path, values, id=f"{method.name}-{path}")
    for method in METHODS
    for path, values in by_path(method).items()
]


def parts_of(value: dict[str, Any]) -> list[pb.UploadJobRequest]:
    """An upload with the value in the part that it belongs to."""
    good: list[dict[str, Any]] = [{"settings": {}}, {"chunk": make_photo()}]
    return [pb.UploadJobRequest(**(value if part.keys() == value.keys() else part)) for part in good]


def request_of(method: MethodDescriptor, value: dict[str, Any], job_id: str) -> Message | list[pb.UploadJobRequest]:
    """A good request but for the value."""
    if method.client_streaming:
        return parts_of(value)
    good = {"job_id": job_id, "photo": make_photo(), "caller": CALLER, "priority": pb.PRIORITY_BULK}
    names = {field.name for field in method.input_type.fields}
    kind: Any = GetMessageClass(method.input_type)
    made: Message = kind(**({name: content for name, content in good.items() if name in names} | value))
    return made


async def answers(api: Any, method: MethodDescriptor, request: Any) -> list[Message]:
    """The answers; of a stream that waits for a worker the first."""
    call = getattr(api, method.name)(request, timeout=30)
    if not method.server_streaming:
        return [await call]
    found = []
    async for answer in call:
        found.append(answer)
        if method.name == "Reconstruct":
            break
    call.cancel()
    return found


def complaint(error: grpc.aio.AioRpcError, path: str) -> str:
    """Why the refusal is not a good one; empty when it is."""
    found: dict[type, Any] = {}
    status = rpc_status.from_call(error)
    for kind in (details.BadRequest, details.ResourceInfo):
        for packed in status.details if status else ():
            message = kind()
            if packed.Unpack(message):
                found[kind] = message
    if error.code() is grpc.StatusCode.NOT_FOUND:
        named = path in FOR_A_PATH and details.ResourceInfo in found
        return "" if named else f"NOT_FOUND: {error.details()}"
    if error.code() not in REFUSALS or details.BadRequest not in found:
        return f"{error.code().name}: {error.details()}"
    fields = [violation.field for violation in found[details.BadRequest].field_violations]
    path = SAME.get(path, path)
    good = all(path == field or path.startswith(f"{field}.") or field.startswith(f"{path}.") for field in fields)
    return "" if fields and good else f"the field {fields}: {error.details()}"


class BothStubs:
    """The methods of both services, called with an operator's token."""

    def __init__(self, api: Any, token: str) -> None:
        self._stubs = (api, AdminServiceStub(api.channel))  # type: ignore[no-untyped-call]
        self._shown = (("authorization", f"Bearer {token}"),)

    def __getattr__(self, method: str) -> Any:
        stub = next(stub for stub in self._stubs if hasattr(stub, method))
        return partial(getattr(stub, method), metadata=self._shown)


@pytest.fixture
async def api(service_config: ServiceConfig, tmp_path: Path) -> AsyncIterator[Any]:
    """A service that takes every job, and a client that reads long lists and sends anything."""
    sizes = [(f"grpc.max_{way}_message_length", 64 * BIG) for way in ("send", "receive")]
    book = TokenBook(tmp_path / "tokens.toml")
    token = book.add(CALLER, "admin")
    async with served(replace(service_config, limits=WIDE, max_uploads=64, tokens=book.path), *sizes) as stub:
        yield BothStubs(stub, token)


@pytest.mark.parametrize(("method", "path", "values"), ALL)
async def test_it_is_refused_by_name_or_can_be_written_as_json(
    api: Any, store: Store, method: MethodDescriptor, path: str, values: list[dict[str, Any]]
) -> None:
    wrong = []
    for value in values:
        job_id = (await api.CreateJob(pb.CreateJobRequest(photo=make_photo()))).job.id
        store.run(administration.resume(Priority.INTERACTIVE))  # an earlier value may have been a good one
        finish(store, job_id)
        try:
            for answer in await answers(api, method, request_of(method, value, job_id)):
                json_format.MessageToJson(answer)
        except grpc.aio.AioRpcError as error:
            why = complaint(error, path)
        except (json_format.SerializeToJsonError, ValueError) as error:
            why = f"no JSON: {error}"
        else:
            why = ""
        wrong += [f"{str(value)[:80]}: {why}"] if why else []
    assert wrong == []
    await assert_everything_kept_is_json(api)


async def assert_everything_kept_is_json(api: Any) -> None:
    token, seen = "", 0
    while True:
        page = await api.ListJobs(pb.ListJobsRequest(page_size=1000, page_token=token))
        json_format.MessageToJson(page)
        seen += len(page.jobs)
        for job in page.jobs[:5]:
            json_format.MessageToJson(await api.GetJob(pb.GetJobRequest(job_id=job.id)))
        token = page.next_page_token
        if not token:
            break
    assert seen


def test_every_method_and_every_field_is_among_the_cases() -> None:
    """Also fields inside messages; a well-known type counts as a field. Fails when a type has no values yet."""
    tested = {(method.name, path) for method in METHODS for path in by_path(method)}
    assert len(ALL) == len(tested)
    leaves = {(method.name, path) for method in METHODS for path in paths(method.input_type)}
    assert leaves <= tested
    assert {("CreateJob", "settings.timeout"), ("ListAllJobs", "created_after")} <= tested
    assert {method for method, _ in tested} == {method.name for method in METHODS if method.input_type.fields}


def paths(message: Descriptor) -> Iterator[str]:
    for field in message.fields:
        yield field.name
        if field.type == F.TYPE_MESSAGE and type_of(field).full_name not in WELL_KNOWN:
            yield from (f"{field.name}.{path}" for path in paths(type_of(field)))
