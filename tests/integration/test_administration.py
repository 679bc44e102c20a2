"""What operators do, in a real Redis; the worker's side is played by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from selfie3d.types import JobState, Priority
from selfie3d_jobs import JobsConfig, Reason, Refused, Store, administration, admission, execution, maintenance, queries
from selfie3d_jobs.broker import create_app, publish
from selfie3d_jobs.maintenance import Message, WorkerReport
from selfie3d_jobs.queries import JobFilter
from tests.integration.road import LEASE, WIDE, Keys, claim, finish, get, new_job, reap, start, submit

INTERACTIVE, BULK = Priority.INTERACTIVE, Priority.BULK
FIRST, STEP = 1_700_000_000_000, 1000  # ms: when the jobs of `Crowd` were created


class Crowd:
    """Six jobs of three callers, a second apart, oldest first."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        wanted = [("anna", "r1"), ("bob", "r1"), ("anna", "r2"), ("carol", ""), ("bob", "r2"), ("anna", "")]
        self.jobs = [submit(store, new_job(owner, request_id=name)).id for owner, name in wanted]
        for number, job_id in enumerate(self.jobs):
            keys.client.hset(f"{keys.prefix}job:{job_id}", "create_time", FIRST + number * STEP)
        finish(store, self.jobs[0])
        start(store, self.jobs[1])
        store.run(queries.cancel(self.jobs[2], queries.ANYONE))

    def pages(self, wanted: JobFilter, size: int) -> list[list[int]]:
        """The numbers of the jobs that are listed, page by page."""
        found: list[list[int]] = []
        below: int | None = None
        while True:
            records, below = self._store.run(queries.filtered_page(wanted, below, size))
            found.append([self.jobs.index(record.id) for record in records])
            if below is None:
                return found


@pytest.fixture
def crowd(store: Store, keys: Keys) -> Crowd:
    return Crowd(store, keys)


PARTS: dict[str, tuple[dict[str, object], set[int]]] = {
    "owner": ({"owner": "anna"}, {0, 2, 5}),
    "states": ({"states": (JobState.QUEUED, JobState.CANCELLED)}, {2, 3, 4, 5}),
    "request_id": ({"request_id": "r2"}, {2, 4}),
    "after": ({"created_after": FIRST + 2 * STEP}, {2, 3, 4, 5}),
    "before": ({"created_before": FIRST + 4 * STEP}, {0, 1, 2, 3}),
}
COMBINATIONS = [
    names for count in range(len(PARTS) + 1) for names in itertools.combinations(PARTS, count)
]  # each filter alone, and every way to put them together


@pytest.mark.parametrize("names", COMBINATIONS, ids=lambda names: "+".join(names) or "all")
def test_a_list_holds_the_jobs_that_meet_every_filter_newest_first_whatever_the_page_size(
    crowd: Crowd, names: tuple[str, ...]
) -> None:
    fields = {name: value for part in names for name, value in PARTS[part][0].items()}
    expected = sorted(set(range(6)).intersection(*(PARTS[name][1] for name in names)), reverse=True)
    for size in (1, 2, 3, 100):
        pages = crowd.pages(JobFilter(**fields), size)  # type: ignore[arg-type]
        assert [number for page in pages for number in page] == expected
        assert all(len(page) <= size for page in pages)


def test_the_list_of_all_callers_grows_and_shrinks_with_the_jobs(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    def listed() -> list[str]:
        return [record.id for record in store.run(queries.filtered_page(JobFilter(), None, 100))[0]]

    first, second, third = (submit(store, new_job(owner)).id for owner in ("anna", "bob", "carol"))
    finish(store, first)
    store.run(queries.delete(first, "anna"))
    assert listed() == [third, second]
    finish(store, second)
    keys.score("expiry", second, 1)
    reap(store, jobs_config)
    assert listed() == [third]
    assert keys.client.zcard(f"{keys.prefix}jobs") == 1


def test_jobs_of_a_service_that_does_not_know_the_list_are_put_right_by_the_reaper(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    kept = [submit(store).id for _ in range(3)]
    keys.client.delete(f"{keys.prefix}jobs")
    keys.client.zadd(f"{keys.prefix}jobs", {"0" * 32: 99})
    reap(store, jobs_config)
    assert [record.id for record in store.run(queries.filtered_page(JobFilter(), None, 10))[0]] == kept[::-1]
    assert keys.client.zcard(f"{keys.prefix}jobs") == 3


def test_cancelling_by_caller_ends_its_jobs_and_leaves_those_of_others(store: Store, keys: Keys) -> None:
    waiting, running, done = (submit(store).id for _ in range(3))
    start(store, running)
    finish(store, done)
    others = [submit(store, new_job(owner)).id for owner in ("bob", "ann", "annaa")]
    before = [get(store, job_id) for job_id in [done, *others]]
    result = store.run(administration.cancel_jobs("anna", None, 1000))
    assert result == administration.Cancelled(None, 2, 0)
    assert [get(store, job_id).state for job_id in (waiting, running)] == [JobState.CANCELLED] * 2
    after = [get(store, job_id) for job_id in [done, *others]]
    assert [replace(job, queue_position=0) for job in after] == [replace(job, queue_position=0) for job in before]
    assert store.run(administration.cancel_jobs("anna", None, 1000)).count == 0  # again: nothing is left to do
    assert store.run(maintenance.snapshot()).counters["cancelled_by_operator"] == 2
    assert {"photo:" + job_id for job_id in (waiting, running)}.isdisjoint(keys.all())


def test_cancelling_many_goes_on_where_it_stopped_and_leaves_out_none(store: Store) -> None:
    jobs = [submit(store).id for _ in range(7)]
    for job_id in jobs[1::3]:
        finish(store, job_id)
    below, counts = None, []
    while True:
        done = store.run(administration.cancel_jobs("anna", below, 2))
        counts.append((done.count, done.remaining))
        below = done.below
        if below is None:
            break
    assert counts[:3] == [(2, 3), (2, 1), (1, 0)]
    assert sum(count for count, _ in counts) == 5
    assert {get(store, job_id).state for job_id in jobs} == {JobState.CANCELLED, JobState.SUCCEEDED}


def test_no_job_of_a_paused_queue_is_taken_and_the_other_queue_goes_on(store: Store) -> None:
    held, free = submit(store).id, submit(store, new_job(priority=BULK)).id
    status = store.run(administration.pause(INTERACTIVE, "ops"))
    assert (status.priority, status.waiting, status.running, status.paused_by) == (INTERACTIVE, 1, 0, "ops")
    assert status.pause_time > 0
    late = submit(store).id  # intake goes on
    for job_id in (held, late):
        assert claim(store, job_id) is None
        assert get(store, job_id).queue_paused
    assert not get(store, free).queue_paused
    finish(store, free)
    store.run(administration.resume(INTERACTIVE))
    for job_id in (held, late):
        assert not get(store, job_id).queue_paused
        assert finish(store, job_id).state is JobState.SUCCEEDED


def test_a_running_job_of_a_paused_queue_ends_and_one_that_lost_its_worker_waits(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    running, lost = start(store, submit(store).id), start(store, submit(store).id)
    store.run(administration.pause(INTERACTIVE, "ops"))
    assert store.run(execution.renew(running, LEASE))
    store.run(execution.succeed(running, execution.ExecutionResult([], [], {})))
    assert get(store, running.id).state is JobState.SUCCEEDED
    keys.lose_lease(lost.id)
    reaped = reap(store, jobs_config)
    assert (reaped.requeued, reaped.publish) == (1, [])
    assert claim(store, lost.id, "another") is None
    _, messages = store.run(administration.resume(INTERACTIVE))
    assert [message.job_id for message in messages] == [lost.id]
    assert start(store, lost.id, "another").attempt == 2


def test_what_waits_in_the_broker_goes_with_the_pause_and_comes_back_in_order_with_its_end(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    app = create_app(jobs_config)
    jobs = [submit(store, new_job(traceparent=f"trace-{number}")) for number in range(20)]
    for job in jobs:
        publish(app, Message(job.id, INTERACTIVE, "", job.create_time))
    store.run(administration.pause(INTERACTIVE, "ops"))
    assert keys.messages() == 0
    publish(app, Message(jobs[0].id, INTERACTIVE, "", jobs[0].create_time))  # it was on its way
    for job in jobs:
        keys.score("queued:interactive", job.id, int(job.create_time * 1000) - 60_000 + job.serial)
    assert reap(store, jobs_config).publish == []
    assert keys.messages() == 0
    status, messages = store.run(administration.resume(INTERACTIVE))
    assert (status.pause_time, status.paused_by, status.waiting) == (0, "", 20)
    assert [(m.job_id, m.queue, m.traceparent) for m in messages] == [
        (job.id, INTERACTIVE, f"trace-{number}") for number, job in enumerate(jobs)
    ]
    assert [get(store, job.id).queue_position for job in jobs] == list(range(1, 21))
    assert store.run(administration.resume(INTERACTIVE))[1] == []  # again: nothing more
    for message in messages:
        publish(app, message)
    assert reap(store, jobs_config).publish == []
    app.close()


def test_more_jobs_than_are_resumed_at_once_follow_with_the_reapers_next_pass(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    jobs = [submit(store) for _ in range(1002)]
    store.run(administration.pause(INTERACTIVE, "ops"))
    for number, job in enumerate(jobs):
        keys.score("queued:interactive", job.id, int(job.create_time * 1000) - 60_000 + number)
    _, messages = store.run(administration.resume(INTERACTIVE))
    assert [message.job_id for message in messages] == [job.id for job in jobs[:1000]]
    app = create_app(jobs_config)
    publish(app, messages[0])
    assert [message.job_id for message in reap(store, jobs_config).publish] == [job.id for job in jobs[1000:]]
    app.close()


def test_jobs_that_a_dying_service_resumed_and_did_not_publish_are_the_reapers(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    job = submit(store)
    store.run(administration.pause(INTERACTIVE, "ops"))
    store.run(administration.resume(INTERACTIVE))
    keys.score("queued:interactive", job.id, int(job.create_time * 1000) - 60_000)
    assert [message.job_id for message in reap(store, jobs_config).publish] == [job.id]


def test_a_pause_keeps_its_beginning_and_its_author_until_it_ends(store: Store) -> None:
    first = store.run(administration.pause(BULK, "anna b\nc"))
    again = store.run(administration.pause(BULK, "bob"))
    assert (again.pause_time, again.paused_by) == (first.pause_time, "anna b\nc")
    interactive, bulk = store.run(administration.queues())
    assert (interactive.priority, interactive.pause_time, bulk) == (INTERACTIVE, 0, first)
    store.run(administration.resume(BULK))
    assert store.run(administration.pause(BULK, "bob")).paused_by == "bob"


def test_the_queues_tell_what_waits_and_runs_in_each(store: Store) -> None:
    for _ in range(3):
        submit(store)
    bulk = [submit(store, new_job(priority=BULK)).id for _ in range(3)]
    start(store, bulk[0]), start(store, bulk[1])
    found = store.run(administration.queues())
    assert [(q.priority, q.waiting, q.running) for q in found] == [(INTERACTIVE, 3, 0), (BULK, 1, 2)]


def test_the_deadline_of_a_job_goes_on_in_a_paused_queue_and_its_end_says_so(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    held, running, free = submit(store).id, start(store, submit(store).id).id, submit(store, new_job(priority=BULK)).id
    store.run(administration.pause(INTERACTIVE, "ops"))
    for job_id in (held, running, free):
        keys.pass_deadline(job_id)
    assert reap(store, jobs_config).ended == 3
    said = {job_id: get(store, job_id).error for job_id in (held, running, free)}
    assert {error.reason for error in said.values() if error} == {"DEADLINE_PASSED"}
    texts = [error.message for error in said.values() if error]
    plain = "The job was not done before its deadline"
    assert texts == [f"{plain}: its queue is paused.", f"{plain}.", f"{plain}."]


def test_bulk_jobs_do_not_wait_for_interactive_ones_that_are_paused(store: Store) -> None:
    quick, bulk = submit(store).id, submit(store, new_job(priority=BULK)).id
    assert get(store, bulk).queue_position == 2
    store.run(administration.pause(INTERACTIVE, "ops"))
    assert [get(store, job_id).queue_position for job_id in (quick, bulk)] == [1, 1]
    store.run(administration.resume(INTERACTIVE))
    assert get(store, bulk).queue_position == 2


def test_a_paused_queue_takes_jobs_until_it_is_full(store: Store) -> None:
    two = admission.AdmissionLimits(max_queued=2, result_reserve_mib=0)
    store.run(administration.pause(INTERACTIVE, "ops"))
    for _ in range(2):
        submit(store, new_job(), limits=two)
    with pytest.raises(Refused) as refused:
        submit(store, new_job(), limits=two)
    assert refused.value.reason is Reason.QUEUE_FULL


def test_a_queue_is_paused_and_resumed_also_when_redis_is_full(store: Store, keys: Keys) -> None:
    submit(store, limits=WIDE)
    try:
        keys.client.config_set("maxmemory", 1)
        assert store.run(administration.pause(INTERACTIVE, "ops")).paused_by == "ops"
        assert store.run(administration.resume(INTERACTIVE))[0].paused_by == ""
        assert store.run(administration.cancel_jobs("anna", None, 10)).count == 1
    finally:
        keys.client.config_set("maxmemory", 0)


def test_a_worker_is_shown_with_the_job_that_it_runs_until_a_lease_after_its_last_sign(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    mine = WorkerReport("host:1:2", True, "default", "ab", "cuda:0", "", "host", "0.1.0", "torch", 1_700_000_000.5)
    other = WorkerReport("host:1:3", False, "default", error="They do not fit.")
    for report in (other, mine):
        store.run(maintenance.report(report))
    job = start(store, submit(store).id)
    first, second = store.run(administration.workers(jobs_config))
    assert first.report == mine
    assert first.job is not None
    assert (first.job.id, first.job.owner, first.job.start_time) == (job.id, "anna", job.start_time)
    assert (second.report, second.job) == (other, None)
    seen = store.run(maintenance.snapshot())
    assert [seen.state_of(worker) for worker in (mine, other)] == ["busy", "failed"]
    store.run(execution.fail(job, Reason.NO_FACE, "nobody", {}))
    assert [worker.job for worker in store.run(administration.workers(jobs_config))] == [None, None]
    seconds, _ = keys.client.time()
    keys.score("seen", "host:1:2", int((seconds - jobs_config.lease_seconds - 1) * 1000))
    assert [worker.report.name for worker in store.run(administration.workers(jobs_config))] == ["host:1:3"]
    store.run(maintenance.leave("host:1:3"))
    assert store.run(administration.workers(jobs_config)) == []
