"""Server reflection, v1 and v1alpha: the service describes its API.

grpcio-reflection has v1alpha alone (grpc/grpc#38576). The two differ in nothing but the name of their package, so that
one servicer answers both; the description of v1 itself is made from that of v1alpha.
"""

from __future__ import annotations

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_reflection.v1alpha import reflection, reflection_pb2

ALPHA, FINAL = "grpc.reflection.v1alpha", "grpc.reflection.v1"
FILE = "grpc/reflection/v1/reflection.proto"
SERVICES = tuple(f"{package}.ServerReflection" for package in (FINAL, ALPHA))
METHOD = "ServerReflectionInfo"


def enable(server: grpc.aio.Server, *described: str) -> None:
    """Answer reflection. described : full names of the other services that are listed"""
    _describe_v1()
    servicer = reflection.aio.ReflectionServicer((*described, *SERVICES))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = [grpc.method_handlers_generic_handler(service, {METHOD: handler}) for service in SERVICES]
    server.add_generic_rpc_handlers(handlers)


def _describe_v1() -> None:
    """Add the file of v1 to the descriptors that reflection is answered from, unless it is there."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName(FILE)
    except KeyError:
        alpha = descriptor_pb2.FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
        alpha.ClearField("options")
        final = descriptor_pb2.FileDescriptorProto()
        text_format.Parse(text_format.MessageToString(alpha).replace(ALPHA, FINAL), final)
        final.name = FILE
        pool.AddSerializedFile(final.SerializeToString())
