"""The service describes itself by both versions of reflection, alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2

from selfie3d_service import ServiceConfig
from tests.integration.conftest import served

V1, ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"
LISTED = {"selfie3d.v1.ReconstructionService", "selfie3d.v1.AdminService", "grpc.health.v1.Health", V1, ALPHA}
REQUESTS = [
    {"list_services": ""},
    {"file_containing_symbol": "selfie3d.v1.ReconstructionService"},
    {"file_containing_symbol": "selfie3d.v1.AdminService"},
    {"file_by_filename": "selfie3d/v1/reconstruction.proto"},
    {"file_containing_symbol": V1},
    {"file_containing_symbol": "no.such.Thing"},
    {"all_extension_numbers_of_type": "google.protobuf.MethodOptions"},
]


@pytest.fixture
async def channel(service_config: ServiceConfig) -> AsyncIterator[grpc.aio.Channel]:
    async with served(service_config) as stub:
        yield stub.channel


async def ask(channel: grpc.aio.Channel, service: str, request: bytes) -> bytes:
    """The answer of one version, as bytes: nobody's generated code in between."""
    call = channel.stream_stream(f"/{service}/ServerReflectionInfo")(iter([request]))
    answers: list[bytes] = [answer async for answer in call]
    assert len(answers) == 1
    return answers[0]


@pytest.mark.parametrize("wish", REQUESTS, ids=str)
async def test_both_versions_give_the_same_answer(channel: grpc.aio.Channel, wish: dict[str, str]) -> None:
    request = reflection_pb2.ServerReflectionRequest(**wish).SerializeToString()
    assert await ask(channel, V1, request) == await ask(channel, ALPHA, request)


async def test_both_are_listed_beside_the_service_and_its_health(channel: grpc.aio.Channel) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    answer = reflection_pb2.ServerReflectionResponse.FromString(await ask(channel, V1, request))
    assert {service.name for service in answer.list_services_response.service} == LISTED


async def test_a_client_that_knows_v1_only_from_its_description_gets_on_with_it(channel: grpc.aio.Channel) -> None:
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=V1).SerializeToString()
    answer = reflection_pb2.ServerReflectionResponse.FromString(await ask(channel, V1, request))
    [text] = answer.file_descriptor_response.file_descriptor_proto
    file = descriptor_pb2.FileDescriptorProto.FromString(text)
    assert (file.name, file.package) == ("grpc/reflection/v1/reflection.proto", "grpc.reflection.v1")
    assert b"v1alpha" not in text
    pool: Any = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(text)
    method = pool.FindServiceByName(V1).methods_by_name["ServerReflectionInfo"]
    ours = message_factory.GetMessageClass(method.input_type)
    theirs = message_factory.GetMessageClass(method.output_type)
    for kind, known in (
        (ours, reflection_pb2.ServerReflectionRequest),
        (theirs, reflection_pb2.ServerReflectionResponse),
    ):
        fields = {field.name: field.number for field in kind.DESCRIPTOR.fields}
        assert fields == {field.name: field.number for field in known.DESCRIPTOR.fields}
    wish = ours(file_containing_symbol="selfie3d.v1.ReconstructionService")
    found: Any = theirs.FromString(await ask(channel, V1, wish.SerializeToString()))
    described = descriptor_pb2.FileDescriptorProto.FromString(found.file_descriptor_response.file_descriptor_proto[0])
    assert described.name == "selfie3d/v1/reconstruction.proto"


async def test_switched_off_neither_answers(service_config: ServiceConfig) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    async with served(replace(service_config, reflection=False)) as stub:
        for service in (V1, ALPHA):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await ask(stub.channel, service, request)
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
