"""Webhooks from a service to real receivers: refused, signed, sent, sent again."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import jsonschema
import pytest
import trustme

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Reason, Store, execution
from selfie3d_jobs.maintenance import snapshot
from selfie3d_jobs.payload import to_json
from selfie3d_service import ServiceConfig
from selfie3d_service.tokens import new_token
from selfie3d_service.webhook_secret import new_secret
from selfie3d_service.webhooks import WebhookConfig, courier
from selfie3d_web.openapi import document
from tests.integration.conftest import served
from tests.integration.road import Keys, result, start
from tests.receiver import SECRET, Delivery, Receiver
from tests.stack import eventually_async
from tests.tiny import make_photo


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def hooked(config: ServiceConfig, receiver: Receiver, **changes: Any) -> ServiceConfig:
    values: dict[str, Any] = {"secret": SECRET, "hosts": receiver.host, "retry_seconds": 0.05, "timeout_seconds": 5.0}
    return replace(config, webhooks=WebhookConfig(**(values | changes)))


async def create(api: Any, url: str, request_id: str = "", **call: Any) -> pb.Job:
    settings = pb.JobSettings(request_id=request_id, webhook_url=url)
    request = pb.CreateJobRequest(settings=settings, photo=make_photo())
    return (await api.CreateJob(request, timeout=10, **call)).job  # type: ignore[no-any-return]


async def cancelled(api: Any, url: str) -> str:
    """A job that has ended."""
    job = await create(api, url)
    await api.CancelJob(pb.CancelJobRequest(job_id=job.id))
    return job.id


async def delivery_of(receiver: Receiver, job_id: str, count: int = 1) -> Delivery:
    async def look() -> Delivery | None:
        found = receiver.of(job_id)
        return found[count - 1] if len(found) >= count else None

    return await eventually_async(look, f"{count} deliveries of {job_id}: {receiver.deliveries}")


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value


async def empty(store: Store) -> None:
    async def look() -> bool:
        return store.run(snapshot()).sizes["webhooks"] == 0

    await eventually_async(look, "the outbox is empty")


async def test_the_receiver_gets_the_job_as_http_shows_it(
    service_config: ServiceConfig, store: Store, receiver: Receiver
) -> None:
    async with served(hooked(service_config, receiver)) as api:
        job = await create(api, f"{receiver.url}/hook?key=1")
        running = start(store, job.id)
        store.run(execution.succeed(running, result(b"mesh")))
        got = await delivery_of(receiver, job.id)
        job = (await api.GetJob(pb.GetJobRequest(job_id=job.id))).job
        await empty(store)
    assert got.message is not None
    assert got.message == {
        "type": "job.succeeded",
        "timestamp": job.end_time.ToJsonString(),
        "data": to_json(job),
    }
    assert got.path == "/hook?key=1"
    assert got.headers["webhook-id"] == f"evt_{job.id}"
    assert got.headers["content-type"] == "application/json"
    assert len(receiver.deliveries) == 1
    described = document()
    schema = described["webhooks"]["jobEnded"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.validate(got.message, {**schema, "components": described["components"]})
    assert store.run(snapshot()).counters["webhooks:delivered"] == 1


@pytest.mark.parametrize("status", [300, 301, 307, 400, 404, 429, 500, 503])
async def test_any_other_answer_than_2xx_is_tried_again_with_the_same_id_and_body(
    service_config: ServiceConfig, store: Store, receiver: Receiver, status: int
) -> None:
    receiver.answers["/hook"] = [status, status]
    async with served(hooked(service_config, receiver)) as api:
        job_id = await cancelled(api, f"{receiver.url}/hook")
        await delivery_of(receiver, job_id, 3)
        await empty(store)
    assert len({(each.path, each.headers["webhook-id"], each.body) for each in receiver.deliveries}) == 1
    assert len(receiver.deliveries) == 3


async def test_a_receiver_that_answers_gone_is_left_alone(
    service_config: ServiceConfig, store: Store, receiver: Receiver
) -> None:
    receiver.answers["/hook"] = [410]
    async with served(hooked(service_config, receiver)) as api:
        await cancelled(api, f"{receiver.url}/hook")
        await empty(store)
    assert len(receiver.deliveries) == 1
    assert store.run(snapshot()).counters["webhooks:given_up"] == 1


NONSENSE = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no status": b"HTTP/1.1 99 x\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 x\r\n" + b"a: b\r\n" * 10_000,
    "no final answer": b"HTTP/1.1 100 x\r\n\r\n" * 9,
}


@pytest.mark.parametrize("raw", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_no_delivery(
    service_config: ServiceConfig, store: Store, receiver: Receiver, raw: bytes
) -> None:
    receiver.raw["/hook"] = raw
    async with served(hooked(service_config, receiver)) as api:
        job_id = await cancelled(api, f"{receiver.url}/hook")
        await delivery_of(receiver, job_id, 2)
        assert store.run(snapshot()).sizes["webhooks"] == 1
        receiver.raw.clear()
        await empty(store)


async def test_an_endless_body_does_not_hold_the_sender(
    service_config: ServiceConfig, store: Store, receiver: Receiver
) -> None:
    receiver.raw["/hook"] = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n" + b"x" * 4_000_000
    async with served(hooked(service_config, receiver)) as api:
        await cancelled(api, f"{receiver.url}/hook")
        await empty(store)
    assert len(receiver.deliveries) == 1


async def test_a_slow_receiver_holds_up_no_other(
    service_config: ServiceConfig, store: Store, receiver: Receiver
) -> None:
    with Receiver() as quick:
        config = hooked(service_config, receiver, hosts=f"{receiver.host},{quick.host}", timeout_seconds=60.0)
        async with served(config) as api:
            for _ in range(courier.SLOTS):
                await cancelled(api, f"{receiver.url}/slow")
            job_id = await cancelled(api, f"{quick.url}/hook")
            await delivery_of(quick, job_id)
            assert len(receiver.deliveries) <= courier.LANE_SLOTS
            receiver.hold.set()
            await empty(store)


async def test_a_receiver_that_never_answers_is_left_in_time(
    service_config: ServiceConfig, store: Store, receiver: Receiver
) -> None:
    async with served(hooked(service_config, receiver, timeout_seconds=0.3)) as api:
        job_id = await cancelled(api, f"{receiver.url}/slow")
        await delivery_of(receiver, job_id, 2)
        receiver.hold.set()
        await empty(store)


async def test_over_tls_the_certificate_must_be_the_receivers(
    service_config: ServiceConfig, store: Store, tmp_path: Path
) -> None:
    authority = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    right, wrong = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
    authority.issue_cert("localhost").configure_cert(right)
    authority.issue_cert("other.example").configure_cert(wrong)
    with Receiver(tls=right) as good, Receiver(tls=wrong) as bad:
        config = hooked(service_config, good, hosts="localhost", authorities=tmp_path / "ca.pem")
        async with served(config) as api:
            await delivery_of(good, await cancelled(api, f"{good.url}/hook"))
            await cancelled(api, f"{bad.url}/hook")
            await tried(store, 2)
        assert bad.deliveries == []


async def tried(store: Store, times: int) -> None:
    """Until the only webhook of the outbox was tried so often and failed."""
    keys = Keys(store._client, store._prefix)

    async def look() -> bool:
        found = [key for key in keys.all() if key.startswith("webhook:")]
        attempts = [int(store._client.hget(store._prefix + key, "webhook_attempt") or 0) for key in found]
        return len(attempts) == 1 and attempts[0] > times

    await eventually_async(look, "a webhook was tried and failed")


async def test_a_name_that_turns_private_after_the_job_was_taken_gets_nothing(
    service_config: ServiceConfig, store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with DNS rebinding: what counts is the address that the connection is made to."""
    port = receiver.host.partition(":")[2]
    real = socket.getaddrinfo

    def rebound(host: str, port: Any, *rest: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host == "rebind.example." else host, port, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    async with served(hooked(service_config, receiver)) as api:
        await cancelled(api, f"https://rebind.example:{port}/hook")
        await tried(store, 2)
    assert receiver.deliveries == []


async def test_without_a_secret_a_webhook_is_refused_and_a_job_is_not(service_config: ServiceConfig) -> None:
    async with served(service_config) as api:
        refused = await refusal(create(api, "https://example.com/hook"))
        assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.details() == Reason.WEBHOOK_SECRET_MISSING.text
        assert (await create(api, "")).id


@pytest.mark.parametrize("url", ["http://example.com/", "https://10.0.0.1/", "https://a@example.com/", "nonsense"])
async def test_a_url_that_nothing_may_be_sent_to_is_refused(
    service_config: ServiceConfig, receiver: Receiver, url: str
) -> None:
    async with served(hooked(service_config, receiver)) as api:
        refused = await refusal(create(api, url))
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT

        async def messages() -> Any:
            yield pb.UploadJobRequest(settings=pb.JobSettings(webhook_url=url))
            await never()

        again = await refusal(api.UploadJob(messages(), timeout=10))
        assert again.details() == refused.details()


async def never() -> None:
    """A caller that sends no more."""
    await eventually_async(no, "nothing")


async def no() -> bool:
    return False


async def test_each_caller_signs_with_the_secrets_of_its_tokens(
    service_config: ServiceConfig, store: Store, receiver: Receiver, tmp_path: Path
) -> None:
    old, new = new_secret(), new_secret()
    tokens = [
        new_token("anna", ["submit", "read"], webhook_secret=old),
        new_token("anna", ["submit", "read"], webhook_secret=new),
        new_token("bob", ["submit", "read"]),
    ]
    file = tmp_path / "tokens.toml"
    file.write_text("\n".join(entry for _, entry in tokens))
    config = replace(hooked(service_config, receiver, secret=""), tokens=file)
    with Receiver(secret=old) as other:
        config = replace(config, webhooks=replace(config.webhooks, hosts="localhost"))
        receiver.secret = new
        async with served(config) as api:
            anna, bob = ((("authorization", f"Bearer {token}"),) for token, _ in (tokens[0], tokens[2]))
            for place in (receiver, other):
                job = await create(api, f"{place.url}/hook", metadata=anna)
                await api.CancelJob(pb.CancelJobRequest(job_id=job.id), metadata=anna)
                await delivery_of(place, job.id)
            refused = await refusal(create(api, f"{receiver.url}/hook", metadata=bob))
            assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION
            await empty(store)


async def test_no_log_line_holds_the_secret_or_the_path(
    service_config: ServiceConfig, store: Store, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers["/hook"] = [500]
    caplog.set_level("DEBUG", logger="selfie3d_service")
    async with served(hooked(service_config, receiver)) as api:
        job_id = await cancelled(api, f"{receiver.url}/hook?key=hidden")
        await delivery_of(receiver, job_id, 2)
        await empty(store)
    lines = [record for record in caplog.records if getattr(record, "action", "") == "webhook"]
    assert [record.message for record in lines] == ["A webhook was not delivered.", "A webhook was delivered."]
    assert {record.receiver for record in lines} == {receiver.url}  # type: ignore[attr-defined]
    text = "\n".join(str(vars(record)) for record in caplog.records)
    assert "hidden" not in text
    assert SECRET not in text
    assert SECRET.removeprefix("whsec_") not in repr(hooked(service_config, receiver))
