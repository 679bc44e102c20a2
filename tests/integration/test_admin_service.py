"""The service for operators over a real Redis: who may, what is answered, what is sent to workers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client.exposition import generate_latest

from selfie3d.v1 import admin_pb2 as pb
from selfie3d.v1 import reconstruction_pb2 as api
from selfie3d.v1.admin_pb2_grpc import AdminServiceStub
from selfie3d_jobs import Store, maintenance
from selfie3d_jobs.maintenance import WorkerReport
from selfie3d_service import ServiceConfig
from selfie3d_service.interceptor import OURS, POLICIES
from selfie3d_service.metrics import Metrics
from selfie3d_service.tokens import Scope
from tests.faults.guarded import TokenBook
from tests.integration.conftest import served
from tests.integration.road import Keys, claim, finish, start
from tests.integration.test_service import refused
from tests.stack import eventually_async
from tests.tiny import make_photo

SERVICE = pb.DESCRIPTOR.services_by_name["AdminService"]
METHODS = [method.name for method in SERVICE.methods]
REQUESTS = {  # good ones
    "ListAllJobs": pb.ListAllJobsRequest(),
    "CancelJobs": pb.CancelJobsRequest(caller="anna"),
    "PauseQueue": pb.PauseQueueRequest(priority=api.PRIORITY_BULK),
    "ResumeQueue": pb.ResumeQueueRequest(priority=api.PRIORITY_BULK),
    "ListQueues": pb.ListQueuesRequest(),
    "ListWorkers": pb.ListWorkersRequest(),
}
INTERACTIVE = api.PRIORITY_INTERACTIVE


class Desk:
    """A service with tokens: what operators ask, and the jobs of callers."""

    def __init__(self, stub: Any, book: TokenBook) -> None:
        self.api, self.book = stub, book
        self._admin: Any = AdminServiceStub(stub.channel)  # type: ignore[no-untyped-call]

    async def ask(self, method: str, request: Any = None, caller: str | None = "ops") -> Any:
        """The answer of a method of AdminService."""
        request = REQUESTS[method] if request is None else request
        return await getattr(self._admin, method)(request, metadata=self.shown(caller))

    async def create(self, caller: str, **settings: Any) -> str:
        request = api.CreateJobRequest(photo=make_photo(), settings=api.JobSettings(**settings))
        return str((await self.api.CreateJob(request, metadata=self.shown(caller))).job.id)

    async def get(self, job_id: str, caller: str = "anna") -> api.Job:
        job: api.Job = (await self.api.GetJob(api.GetJobRequest(job_id=job_id), metadata=self.shown(caller))).job
        return job

    async def pages(self, **wanted: Any) -> list[list[api.Job]]:
        """All pages of a list."""
        found, token = [], ""
        while True:
            page = await self.ask("ListAllJobs", pb.ListAllJobsRequest(page_token=token, **wanted))
            found.append(list(page.jobs))
            token = page.next_page_token
            if not token:
                return found

    def shown(self, caller: str | None) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.book.tokens[caller]}"),) if caller else ()


@pytest.fixture
async def desk(service_config: ServiceConfig, tmp_path: Path) -> AsyncIterator[Desk]:
    book = TokenBook(tmp_path / "tokens.toml")
    for caller in ("anna", "bob"):
        book.add(caller, "submit", "read")
    book.add("ops", "admin")
    async with served(replace(service_config, tokens=book.path)) as stub:
        yield Desk(stub, book)


def test_every_method_of_every_service_has_a_policy_and_operators_methods_want_their_scope() -> None:
    services = [*api.DESCRIPTOR.services_by_name.values(), *pb.DESCRIPTOR.services_by_name.values()]
    names = [method.name for service in services for method in service.methods]
    assert sorted(names) == sorted(POLICIES)  # each name once
    assert all(f"/{service.full_name}/".startswith(OURS) for service in services)
    assert {POLICIES[name].scope for name in METHODS} == {Scope.ADMIN}
    assert not [name for name in POLICIES if name not in METHODS and POLICIES[name].scope is Scope.ADMIN]
    assert REQUESTS.keys() == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
async def test_without_the_scope_no_method_is_answered_and_nothing_happens(desk: Desk, keys: Keys, method: str) -> None:
    job_id = await desk.create("anna", priority=api.PRIORITY_BULK)
    code, reason, _ = await refused(desk.ask(method, caller="anna"))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    code, reason, _ = await refused(desk.ask(method, caller=None))
    assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    assert "paused" not in keys.all()
    job = await desk.get(job_id)
    assert (job.state, job.queue_paused, job.caller) == (api.JOB_STATE_QUEUED, False, "")


@pytest.mark.parametrize("method", METHODS)
async def test_where_there_are_no_tokens_nobody_is_an_operator_not_even_on_this_machine(api: Any, method: str) -> None:
    admin: Any = AdminServiceStub(api.channel)  # type: ignore[no-untyped-call]
    with pytest.raises(grpc.aio.AioRpcError, match=r"needs a token with scope admin, .* set SELFIE3D_TOKENS") as raised:
        await getattr(admin, method)(REQUESTS[method])
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_jobs_of_all_callers_are_listed_by_any_filter_with_their_callers(desk: Desk, store: Store) -> None:
    jobs = {name: await desk.create(name[:-1], request_id=name[-1]) for name in ("anna1", "bob1", "anna2", "bob2")}
    finish(store, jobs["anna1"])
    names = {job_id: name for name, job_id in jobs.items()}

    async def listed(**wanted: Any) -> list[list[str]]:
        return [[names[job.id] for job in page] for page in await desk.pages(**wanted)]

    assert await listed() == [["bob2", "anna2", "bob1", "anna1"]]
    assert await listed(page_size=3) == [["bob2", "anna2", "bob1"], ["anna1"]]
    assert await listed(caller="anna") == [["anna2", "anna1"]]
    assert await listed(states=[api.JOB_STATE_SUCCEEDED]) == [["anna1"]]
    assert await listed(request_id="2") == [["bob2", "anna2"]]
    second = (await desk.get(jobs["bob1"], "bob")).create_time
    third = (await desk.get(jobs["anna2"])).create_time
    assert await listed(created_after=second, created_before=third) == [["bob1"]]
    later = Timestamp(seconds=second.seconds, nanos=second.nanos + 1)  # the store counts milliseconds
    assert await listed(created_after=later) == [["bob2", "anna2"]]
    assert await listed(caller="anna", states=[api.JOB_STATE_QUEUED], request_id="2", page_size=1) == [["anna2"], []]
    [page] = await desk.pages()
    assert [job.caller for job in page] == ["bob", "anna", "bob", "anna"]


async def test_a_page_token_is_good_for_its_own_filter_alone(desk: Desk) -> None:
    for _ in range(3):
        await desk.create("anna")
    first = await desk.ask("ListAllJobs", pb.ListAllJobsRequest(page_size=1, caller="anna"))
    mine = await desk.api.ListJobs(api.ListJobsRequest(page_size=1), metadata=desk.shown("anna"))
    changed = [
        pb.ListAllJobsRequest(page_token=first.next_page_token, caller="bob"),
        pb.ListAllJobsRequest(page_token=first.next_page_token),
        pb.ListAllJobsRequest(page_token=first.next_page_token, caller="anna", request_id="r"),
        pb.ListAllJobsRequest(page_token=mine.next_page_token, caller="anna"),
    ]
    for request in changed:
        assert (await refused(desk.ask("ListAllJobs", request)))[1] == "PAGE_TOKEN_INVALID"
    theirs = api.ListJobsRequest(page_token=first.next_page_token)
    assert (await refused(desk.api.ListJobs(theirs, metadata=desk.shown("anna"))))[1] == "PAGE_TOKEN_INVALID"


async def test_a_callers_jobs_are_cancelled_and_nobody_elses(desk: Desk, store: Store) -> None:
    waiting, running = await desk.create("anna"), await desk.create("anna")
    start(store, running)
    other = await desk.create("bob")
    done = await desk.ask("CancelJobs")
    assert (done.cancelled, done.remaining) == (2, 0)
    assert {(await desk.get(job_id)).state for job_id in (waiting, running)} == {api.JOB_STATE_CANCELLED}
    assert (await desk.get(other, "bob")).state == api.JOB_STATE_QUEUED
    again = await desk.ask("CancelJobs")
    assert (again.cancelled, again.remaining) == (0, 0)
    assert (await desk.ask("CancelJobs", pb.CancelJobsRequest(caller="nobody"))).cancelled == 0


async def test_cancelling_stops_at_its_bound_and_says_what_remains(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfie3d_service.admin_servicer.MOST_CANCELLED", 2)
    for _ in range(3):
        await desk.create("anna")
    answers = [await desk.ask("CancelJobs") for _ in range(3)]
    assert [(done.cancelled, done.remaining) for done in answers] == [(2, 1), (1, 0), (0, 0)]


async def test_jobs_of_a_paused_queue_are_accepted_kept_from_workers_and_sent_once_when_it_is_resumed(
    desk: Desk, store: Store, keys: Keys
) -> None:
    before = await desk.create("anna")
    await eventually_async(partial(_has_messages, keys, 1), "the job is in the broker")
    paused = (await desk.ask("PauseQueue", pb.PauseQueueRequest(priority=INTERACTIVE))).queue
    assert (paused.waiting, paused.paused_by, paused.HasField("pause_time")) == (1, "ops", True)
    during = [await desk.create("anna") for _ in range(2)]
    bulk = await desk.create("anna", priority=api.PRIORITY_BULK)
    await eventually_async(partial(_has_messages, keys, 1, "bulk"), "the publisher has sent what was before")
    assert keys.messages() == 0
    for job_id in (before, *during):
        assert claim(store, job_id) is None
        assert (await desk.get(job_id)).queue_paused
    assert not (await desk.get(bulk)).queue_paused
    interactive, other = (await desk.ask("ListQueues")).queues
    assert (interactive, other.HasField("pause_time"), other.waiting) == (
        pb.Queue(priority=INTERACTIVE, waiting=3, pause_time=paused.pause_time, paused_by="ops"),
        False,
        1,
    )
    resumed = (await desk.ask("ResumeQueue", pb.ResumeQueueRequest(priority=INTERACTIVE))).queue
    assert (resumed.waiting, resumed.paused_by, resumed.HasField("pause_time")) == (3, "", False)
    await desk.ask("ResumeQueue", pb.ResumeQueueRequest(priority=INTERACTIVE))
    await eventually_async(partial(_has_messages, keys, 3), "the held jobs are in the broker")
    sent = [json.loads(message)["headers"]["id"] for message in keys.client.lrange(f"{keys.prefix}interactive", 0, -1)]
    assert sent[::-1] == [before, *during]
    assert not (await desk.get(before)).queue_paused


async def _has_messages(keys: Keys, count: int, queue: str = "interactive") -> bool:
    return keys.messages(queue) == count


@pytest.mark.parametrize("method", ["PauseQueue", "ResumeQueue"])
async def test_a_queue_is_named_never_guessed(desk: Desk, method: str) -> None:
    kind: Any = getattr(pb, f"{method}Request")
    for request in (kind(), kind(priority=7)):
        code, reason, found = await refused(desk.ask(method, request))
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "OPTION_UNKNOWN")
        assert "priority" in str(found)


async def test_workers_are_listed_with_what_they_said_and_the_job_that_they_run(desk: Desk, store: Store) -> None:
    report = WorkerReport("host:1:2", True, "default", "ab", "cuda:0", "", "host", "0.1.0", "torch", 1_700_000_000.5)
    store.run(maintenance.report(report))
    job_id = await desk.create("bob")
    start(store, job_id)
    [worker] = (await desk.ask("ListWorkers")).workers
    told = (worker.name, worker.host, worker.version, worker.device, worker.engine, worker.model, worker.verified)
    assert told == ("host:1:2", "host", "0.1.0", "cuda:0", "torch", "default", True)
    assert worker.start_time == Timestamp(seconds=1_700_000_000, nanos=500_000_000)
    assert (worker.job.id, worker.job.caller, worker.job.state) == (job_id, "bob", api.JOB_STATE_RUNNING)
    assert worker.job.HasField("start_time")
    finish_by_hand = await desk.ask("CancelJobs", pb.CancelJobsRequest(caller="bob"))
    assert finish_by_hand.cancelled == 1
    [worker] = (await desk.ask("ListWorkers")).workers
    assert not worker.HasField("job")


async def test_the_metrics_show_a_pause_the_cancelled_jobs_and_what_workers_do(desk: Desk, store: Store) -> None:
    for name in ("host:1:2", "host:1:3"):
        store.run(maintenance.report(WorkerReport(name, True)))
    start(store, await desk.create("bob"))
    await desk.create("anna")
    await desk.ask("CancelJobs")
    await desk.ask("PauseQueue")
    metrics = Metrics()
    metrics.snapshot = store.run(maintenance.snapshot())
    shown = generate_latest(metrics.registry).decode()
    for line in (
        'selfie3d_queue_paused{queue="bulk"} 1.0',
        'selfie3d_queue_paused{queue="interactive"} 0.0',
        'selfie3d_workers{state="busy"} 1.0',
        'selfie3d_workers{state="idle"} 1.0',
        "selfie3d_admin_cancellations_total 1.0",
    ):
        assert line in shown
