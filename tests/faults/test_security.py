"""No one gets in who should not: TLS, tokens, scopes, owners, binding, against real processes."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2 as details
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from selfie3d import Client, JobState, NotFound, Retry, Tls, Unauthenticated
from selfie3d.v1 import admin_pb2
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1.admin_pb2_grpc import AdminServiceStub
from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import ConfigError
from selfie3d_service import ServiceConfig
from tests.faults.guarded import Authority, Door, TokenBook, bearer, ended_with, refusal, stub
from tests.stack import BOUND, eventually, free_port
from tests.tiny import make_photo

SCOPES = {
    "submit": ["CreateJob", "UploadJob", "Reconstruct", "CancelJob", "DeleteJob"],
    "read": ["GetJob", "WatchJob", "DownloadMesh", "GetMeshUrl", "GetPreview", "ListJobs"],
}
ADMIN = ["ListAllJobs", "CancelJobs", "PauseQueue", "ResumeQueue", "ListQueues", "ListWorkers"]
METHODS = [*SCOPES["submit"], *SCOPES["read"], *ADMIN]
BY_ID = ["GetJob", "WatchJob", "DownloadMesh", "GetMeshUrl", "GetPreview", "CancelJob", "DeleteJob"]
UNKNOWN = "0" * 32


@dataclass(frozen=True)
class Guarded:
    """A service with TLS and tokens; lists and reflection are off."""

    door: Door
    book: TokenBook
    authority: Authority
    channel: grpc.Channel

    def call(self, method: str, token: str | None, **fields: Any) -> Any:
        """The answer, or the first of them."""
        return call(self.channel, method, token, **fields)

    def create(self, token: str, **settings: Any) -> str:
        request = {"photo": make_photo(0), "settings": pb.JobSettings(**settings)}
        return str(self.call("CreateJob", token, **request).job.id)

    def client(self, token: str | None, tls: Any) -> Client:
        return Client(self.door.address, token=token, tls=tls, retry=Retry(attempts=1), timeout=BOUND)


def call(channel: grpc.Channel, method: str, token: str | None, **fields: Any) -> Any:
    if method == "UploadJob":
        request: Any = iter([pb.UploadJobRequest()])
    else:
        request = getattr(admin_pb2 if method in ADMIN else pb, f"{method}Request")(**fields)
    options = bearer(token) if token else {"timeout": BOUND, "wait_for_ready": True}
    api: Any = AdminServiceStub(channel) if method in ADMIN else stub(channel)  # type: ignore[no-untyped-call]
    answer = getattr(api, method)(request, **options)
    return next(answer) if method in ("WatchJob", "DownloadMesh", "Reconstruct") else answer


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return refusal(raised.value)[:2]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="module")
def guarded(redis: RedisServer, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    certificate, key = authority.issue("service", "localhost")
    book = TokenBook(folder / "tokens.toml")
    book.add("anna", "submit", "read")
    book.add("bob", "submit", "read")
    book.add("root", "admin")
    book.add("submit", "submit")
    book.add("read", "read")
    book.add("small", "submit", "read", max_active=1)
    env = {
        "SELFIE3D_REDIS_URL": redis.url,
        "SELFIE3D_TLS_CERT": str(certificate),
        "SELFIE3D_TLS_KEY": str(key),
        "SELFIE3D_TOKENS": str(book.path),
        "SELFIE3D_REFLECTION": "off",
        "SELFIE3D_LIST_JOBS": "off",
        "GRPC_VERBOSITY": "ERROR",  # docs/operations.md: no lines of another form
    }
    trusted = grpc.ssl_channel_credentials(authority.ca_file.read_bytes())
    with Door(folder, "guarded", **env).open(trusted) as door, door.channel(trusted) as channel:
        yield Guarded(door, book, authority, channel)
        shown = door.process.log.read_text()
        assert not [name for name, token in book.tokens.items() if token in shown]


def test_over_tls_with_a_token_a_caller_gets_its_job(guarded: Guarded) -> None:
    with guarded.client(guarded.book.tokens["anna"], Tls(ca=guarded.authority.ca_file)) as client:
        job = client.submit(make_photo(1))
        assert job.status().id == job.id
        assert job.cancel().state is JobState.CANCELLED


def test_without_tls_or_with_another_authority_nobody_is_connected(guarded: Guarded, tmp_path: Path) -> None:
    stranger = Authority.make(tmp_path / "stranger")
    token = guarded.book.tokens["anna"]
    for credentials in ((), (grpc.ssl_channel_credentials(stranger.ca_file.read_bytes()),)):
        with guarded.door.channel(*credentials) as channel, pytest.raises(grpc.RpcError) as raised:
            stub(channel).GetJob(pb.GetJobRequest(job_id=UNKNOWN), timeout=BOUND, metadata=bearer(token)["metadata"])
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_below_1_2_is_not_spoken(guarded: Guarded) -> None:
    host, _, port = guarded.door.address.rpartition(":")
    context = ssl.create_default_context(cafile=str(guarded.authority.ca_file))
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")  # so that it is the service who refuses
    plain = socket.create_connection((host, int(port)), timeout=BOUND)
    with plain, pytest.raises(ssl.SSLError, match=r"EOF occurred|protocol version"):
        context.wrap_socket(plain, server_hostname=host)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_answers_without_a_known_token(guarded: Guarded, method: str) -> None:
    known = guarded.book.tokens["anna"]
    assert refused(lambda: guarded.call(method, None)) == ("UNAUTHENTICATED", "TOKEN_MISSING")
    for wrong in ("x", known[:-1], known + "x", known.upper()):
        assert refused(partial(guarded.call, method, wrong)) == ("UNAUTHENTICATED", "TOKEN_INVALID")


@pytest.mark.parametrize(("scope", "method"), [(scope, method) for scope in SCOPES for method in METHODS])
def test_a_token_does_what_its_scopes_say_and_no_more(guarded: Guarded, scope: str, method: str) -> None:
    fields = {"job_id": UNKNOWN} if method in BY_ID else {}
    if method in SCOPES[scope]:
        code, reason = refused(lambda: guarded.call(method, guarded.book.tokens[scope], **fields))
        assert reason in ("JOB_NOT_FOUND", "PHOTO_EMPTY", "UPLOAD_INVALID", "LIST_DISABLED"), code
    else:
        answer = refused(lambda: guarded.call(method, guarded.book.tokens[scope], **fields))
        assert answer == ("PERMISSION_DENIED", "SCOPE_MISSING")


def test_the_tables_name_every_method() -> None:
    services = [*pb.DESCRIPTOR.services_by_name.values(), *admin_pb2.DESCRIPTOR.services_by_name.values()]
    assert sorted(method.name for service in services for method in service.methods) == sorted(METHODS)


@pytest.mark.parametrize("method", ADMIN)
def test_an_operators_token_is_answered_where_lists_of_callers_are_off(guarded: Guarded, method: str) -> None:
    fields: dict[str, dict[str, Any]] = {
        "CancelJobs": {"caller": "nobody"},
        "PauseQueue": {"priority": pb.PRIORITY_BULK},
    }
    fields["ResumeQueue"] = fields["PauseQueue"]
    answer = guarded.call(method, guarded.book.tokens["root"], **fields.get(method, {}))
    assert answer.DESCRIPTOR.name == f"{method}Response"


def test_who_was_not_let_in_is_in_the_log_without_the_token(guarded: Guarded) -> None:
    wrong = "s3d_not-a-token-of-this-service"
    refused(lambda: guarded.call("GetJob", wrong))
    lines = [json.loads(line) for line in guarded.door.process.log.read_text().splitlines()]
    entry = [line for line in lines if line.get("action") == "refuse"][-1]
    assert (entry["level"], entry["method"], entry["reason"]) == ("warning", "GetJob", "TOKEN_INVALID")
    assert entry["peer"]
    assert wrong not in guarded.door.process.log.read_text()


@pytest.mark.parametrize("method", BY_ID)
def test_anothers_job_is_answered_exactly_as_one_that_never_was(guarded: Guarded, method: str) -> None:
    job_id = guarded.create(guarded.book.tokens["anna"])
    answers = []
    for wanted in (job_id, UNKNOWN):
        with pytest.raises(grpc.RpcError) as raised:
            guarded.call(method, guarded.book.tokens["bob"], job_id=wanted)
        code, reason, status = refusal(raised.value)
        assert (code, reason) == ("NOT_FOUND", "JOB_NOT_FOUND")
        answers.append(status.SerializeToString().replace(wanted.encode(), b"ID"))
    assert answers[0] == answers[1]
    assert guarded.call("GetJob", guarded.book.tokens["anna"], job_id=job_id).job.state == pb.JOB_STATE_QUEUED
    guarded.call("CancelJob", guarded.book.tokens["root"], job_id=job_id)  # admin: any job, by its id
    assert guarded.call("GetJob", guarded.book.tokens["anna"], job_id=job_id).job.state == pb.JOB_STATE_CANCELLED


def test_the_same_request_id_of_two_callers_is_two_jobs(guarded: Guarded) -> None:
    anna, bob = (guarded.create(guarded.book.tokens[name], request_id="same") for name in ("anna", "bob"))
    assert anna != bob
    assert guarded.create(guarded.book.tokens["anna"], request_id="same") == anna
    for name, job_id in (("anna", anna), ("bob", bob)):
        guarded.call("CancelJob", guarded.book.tokens[name], job_id=job_id)


def test_a_token_has_limits_of_its_own(guarded: Guarded) -> None:
    small = guarded.book.tokens["small"]
    job_id = guarded.create(small)
    with pytest.raises(grpc.RpcError) as raised:
        guarded.create(small)
    code, reason, status = refusal(raised.value)
    assert (code, reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    assert any(detail.Is(details.RetryInfo.DESCRIPTOR) for detail in status.details)
    other = guarded.create(guarded.book.tokens["anna"])  # others are not disturbed
    for name, mine in (("small", job_id), ("anna", other)):
        guarded.call("CancelJob", guarded.book.tokens[name], job_id=mine)
    guarded.call("CancelJob", small, job_id=guarded.create(small))


def test_tokens_are_rotated_without_a_restart_and_the_old_one_ends(guarded: Guarded) -> None:
    old = guarded.book.add("carol", "read")
    answer = ("NOT_FOUND", "JOB_NOT_FOUND")
    eventually(lambda: refused(lambda: guarded.call("GetJob", old, job_id=UNKNOWN)) == answer, "a new token is known")
    new = guarded.book.add("carol", "read")
    eventually(lambda: refused(lambda: guarded.call("GetJob", new, job_id=UNKNOWN)) == answer, "the newer one, too")
    assert refused(lambda: guarded.call("GetJob", old, job_id=UNKNOWN)) == ("UNAUTHENTICATED", "TOKEN_INVALID")
    guarded.book.remove("carol")
    gone = ("UNAUTHENTICATED", "TOKEN_INVALID")
    eventually(lambda: refused(lambda: guarded.call("GetJob", new, job_id=UNKNOWN)) == gone, "a removed token ends")
    assert guarded.door.process.running


def test_tokens_are_hashed_at_rest(guarded: Guarded) -> None:
    kept = guarded.book.path.read_text()
    assert len(guarded.book.tokens) >= 6
    assert not [name for name, token in guarded.book.tokens.items() if token in kept or token[4:] in kept]


def test_lists_and_reflection_are_off(guarded: Guarded) -> None:
    for name in ("anna", "root"):
        token = guarded.book.tokens[name]
        assert refused(partial(guarded.call, "ListJobs", token)) == ("UNIMPLEMENTED", "LIST_DISABLED")
        with pytest.raises(grpc.RpcError) as raised:
            describe(guarded.channel, **bearer(token))
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_health_is_told_to_anyone_for_load_balancers(guarded: Guarded) -> None:
    answer = health_pb2_grpc.HealthStub(guarded.channel).Check(health_pb2.HealthCheckRequest(), timeout=BOUND)
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING  # there are no workers


def test_the_health_command_of_a_container_knows_tls(guarded: Guarded, tmp_path: Path) -> None:
    certificate = guarded.door.process.env["SELFIE3D_TLS_CERT"]
    here, nowhere = guarded.door.address, f"localhost:{free_port()}"
    said = "answers and is NOT_SERVING: it waits for Redis or for a worker"
    for number, (listen, question, code, text) in enumerate(
        [
            (here, [], 0, f"{here} {said}\n"),
            (here, ["live"], 0, f"{here} {said}\n"),
            (here, ["ready"], 1, f"{here} {said}\n"),
            (nowhere, ["live"], 1, f"{nowhere} does not answer: Connection refused\n"),
        ]
    ):
        env = {"SELFIE3D_TLS_CERT": certificate, "SELFIE3D_LISTEN": listen, "LOG": str(tmp_path / f"{number}.log")}
        assert ended_with(["health", *question], env) == (code, text)


def describe(channel: grpc.Channel, **options: Any) -> set[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answers = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]), **options)
    return {service.name for service in next(answers).list_services_response.service}


@pytest.fixture(scope="module")
def mutual(redis: RedisServer, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A service that wants certificates of its callers and no tokens."""
    certificate, key = authority.issue("mutual", "localhost")
    env = {
        "SELFIE3D_REDIS_URL": redis.url,
        "SELFIE3D_TLS_CERT": str(certificate),
        "SELFIE3D_TLS_KEY": str(key),
        "SELFIE3D_TLS_CLIENT_CA": str(authority.ca_file),
    }
    with Door(tmp_path_factory.mktemp("mutual"), "mutual", **env).open(shown(authority, authority, "first")) as door:
        yield door


def shown(trusted: Authority, issuer: Authority, name: str | None, *hosts: str) -> grpc.ChannelCredentials:
    certificate, key = issuer.issue(f"client-{name}", *(hosts or ("caller.example",)), name=name)
    return grpc.ssl_channel_credentials(trusted.ca_file.read_bytes(), key.read_bytes(), certificate.read_bytes())


def test_with_mutual_tls_a_caller_is_the_name_in_its_certificate(mutual: Door, authority: Authority) -> None:
    jobs = {}
    for name in ("anna", "bob", None):  # the third has an alternative name only
        with mutual.channel(shown(authority, authority, name, f"{name}.example")) as channel:
            jobs[name] = call(channel, "CreateJob", None, photo=make_photo(2)).job.id
            listed = call(channel, "ListJobs", None).jobs
            assert [job.id for job in listed] == [jobs[name]]
            assert "selfie3d.v1.ReconstructionService" in describe(channel, timeout=BOUND)
    with mutual.channel(shown(authority, authority, "bob", "elsewhere.example")) as channel:
        assert call(channel, "GetJob", None, job_id=jobs["bob"]).job.id == jobs["bob"]
        assert refused(partial(call, channel, "GetJob", None, job_id=jobs["anna"])) == ("NOT_FOUND", "JOB_NOT_FOUND")


def test_with_mutual_tls_nobody_without_our_certificate_is_connected(
    mutual: Door, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority.make(tmp_path / "stranger")
    without = grpc.ssl_channel_credentials(authority.ca_file.read_bytes())
    for credentials in ((), (without,), (shown(authority, stranger, "anna"),)):
        with mutual.channel(*credentials) as channel, pytest.raises(grpc.RpcError) as raised:
            stub(channel).GetJob(pb.GetJobRequest(job_id=UNKNOWN), timeout=BOUND)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


def test_the_client_shows_its_certificate(mutual: Door, authority: Authority) -> None:
    certificate, key = authority.issue("library", "caller.example", name="library")
    tls = Tls(ca=authority.ca_file, certificate=certificate, key=key)
    with Client(mutual.address, tls=tls, retry=Retry(attempts=1), timeout=BOUND) as client:
        with pytest.raises(NotFound):
            client.job(UNKNOWN).status()
        assert client.submit(make_photo(3)).cancel().state is JobState.CANCELLED


def test_without_tls_nothing_but_loopback_is_bound(redis: RedisServer, tmp_path: Path) -> None:
    env = {"SELFIE3D_REDIS_URL": redis.url, "SELFIE3D_LISTEN": f"0.0.0.0:{free_port()}", "LOG": str(tmp_path / "log")}
    code, said = ended_with(["serve"], env)
    assert code == 2
    assert "without TLS only loopback is bound" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("listen", ["[::]:1", ":1", "ipv4:0.0.0.0:1", "dns:///0.0.0.0:1", "127.0.0.1.example.org:1"])
def test_no_spelling_of_an_address_passes_for_loopback(listen: str) -> None:
    with pytest.raises(ConfigError, match="SELFIE3D_LISTEN"):
        ServiceConfig(listen=listen)


def test_told_so_by_name_it_binds_without_tls(redis: RedisServer, tmp_path: Path) -> None:
    door = Door(tmp_path, "open", SELFIE3D_REDIS_URL=redis.url, SELFIE3D_ALLOW_INSECURE_BIND="0.0.0.0")
    port = door.address.rpartition(":")[2]
    door.process.env["SELFIE3D_LISTEN"] = f"0.0.0.0:{port}"
    door.address = f"127.0.0.1:{port}"
    with door.open(), door.channel() as channel:
        assert refused(lambda: call(channel, "GetJob", None, job_id=UNKNOWN)) == ("NOT_FOUND", "JOB_NOT_FOUND")


def test_a_wrong_token_is_the_clients_unauthenticated(guarded: Guarded) -> None:
    with guarded.client("wrong", Tls(ca=guarded.authority.ca_file)) as client, pytest.raises(Unauthenticated):
        client.job(UNKNOWN).status()
