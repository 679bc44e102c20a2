"""TLS and mutual TLS, with certificates made for the test."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_jobs import ConfigError, JobsConfig
from selfie3d_service import Server, ServiceConfig
from tests.integration.test_service import create, refused


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_config(service_config: ServiceConfig, authority: trustme.CA, tmp_path: Path) -> ServiceConfig:
    certificate = authority.issue_cert("localhost")
    chain, key, ca = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    authority.cert_pem.write_to_path(ca)
    return dataclasses.replace(
        service_config, listen="localhost:0", tls_certificate=chain, tls_key=key, tls_client_ca=ca
    )


def connect(server: Server, authority: trustme.CA, caller: str | None) -> tuple[grpc.aio.Channel, Any]:
    own: dict[str, bytes] = {}
    if caller:
        certificate = authority.issue_cert(f"{caller}.example.org", common_name=caller)
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        own = {"private_key": certificate.private_key_pem.bytes(), "certificate_chain": chain}
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes(), **own)
    channel = grpc.aio.secure_channel(f"localhost:{server.port}", credentials)
    return channel, rpc.ReconstructionServiceStub(channel)  # type: ignore[no-untyped-call]


async def test_a_client_certificate_is_the_owner(tls_config: ServiceConfig, authority: trustme.CA) -> None:
    async with Server(tls_config) as server:
        anna_channel, anna = connect(server, authority, "anna")
        bob_channel, bob = connect(server, authority, "bob")
        async with anna_channel, bob_channel:
            job = await create(anna)
            request = pb.GetJobRequest(job_id=job.id)
            assert (await anna.GetJob(request)).job == job
            assert (await refused(bob.GetJob(request)))[1] == "JOB_NOT_FOUND"


async def test_without_a_certificate_of_the_authority_nobody_gets_in(
    tls_config: ServiceConfig, authority: trustme.CA
) -> None:
    async with Server(tls_config) as server:
        nameless, api = connect(server, authority, None)
        plain = grpc.aio.insecure_channel(f"localhost:{server.port}")
        async with nameless, plain:
            for stub in (api, rpc.ReconstructionServiceStub(plain)):  # type: ignore[no-untyped-call]
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await stub.ListJobs(pb.ListJobsRequest())
                assert error.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_tls_alone_lets_everybody_in_over_tls(tls_config: ServiceConfig, authority: trustme.CA) -> None:
    async with Server(dataclasses.replace(tls_config, tls_client_ca=None)) as server:
        channel, api = connect(server, authority, None)
        async with channel:
            assert (await create(api)).id


async def test_a_certificate_that_cannot_be_read_and_a_taken_port_are_told(
    tls_config: ServiceConfig, jobs_config: JobsConfig
) -> None:
    missing = dataclasses.replace(tls_config, tls_key=Path("/nowhere/key.pem"))
    with pytest.raises(ConfigError, match=r"/nowhere/key\.pem"):
        await Server(missing).__aenter__()
    async with Server(ServiceConfig(jobs=jobs_config, listen="127.0.0.1:0")) as server:
        assert await unbound(jobs_config, f"127.0.0.1:{server.port}") == "another server listens there"


async def test_an_address_that_cannot_be_bound_is_told_with_the_reason(
    jobs_config: JobsConfig, tls_config: ServiceConfig, tmp_path: Path
) -> None:
    assert await unbound(jobs_config, "192.0.2.1:50051") == "this machine does not have that address"
    assert await unbound(jobs_config, "nosuch.invalid:50051") == "the name of the host is unknown"
    assert await unbound(jobs_config, f"unix:{tmp_path}/no/x.sock") == "No such file or directory"
    key = tmp_path / "other.pem"
    trustme.CA().issue_cert("other").private_key_pem.write_to_path(str(key))
    with pytest.raises(ConfigError) as error:
        await Server(dataclasses.replace(tls_config, tls_key=key)).__aenter__()
    said = f"{key} is not the key of the certificate in {tls_config.tls_certificate}"
    assert str(error.value) == f"SELFIE3D_TLS_CERT, SELFIE3D_TLS_KEY: {said}."


async def unbound(jobs: JobsConfig, listen: str) -> str:
    """The reason that is given when an address cannot be bound."""
    host = listen.rpartition(":")[0]
    with pytest.raises(ConfigError) as error:
        await Server(ServiceConfig(jobs=jobs, listen=listen, allow_insecure_bind=host)).__aenter__()
    begin = f"SELFIE3D_LISTEN={listen}: cannot be bound: "
    assert str(error.value).startswith(begin)
    return str(error.value).removeprefix(begin).removesuffix(".")
