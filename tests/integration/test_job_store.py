"""The promises of the job record, in a real Redis."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from selfie3d.types import JobState, MeshFile, Priority, Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import (
    JobLost,
    JobNotEnded,
    JobNotFound,
    JobsConfig,
    NotAhead,
    Reason,
    Refused,
    RequestReused,
    Store,
    StoreUnavailable,
    admission,
    execution,
    maintenance,
    queries,
)
from selfie3d_jobs.administration import cancel_jobs
from selfie3d_jobs.blobs import WorkerBlobs
from selfie3d_jobs.broker import create_app, publish
from selfie3d_jobs.command import Command
from selfie3d_jobs.maintenance import Message, WorkerReport
from selfie3d_photo import MEBIBYTE
from tests.integration.road import (
    LEASE,
    WIDE,
    Keys,
    claim,
    finish,
    get,
    new_job,
    new_person,
    picture_of,
    reap,
    result,
    start,
    submit,
)


def states(store: Store, job_id: str) -> list[JobState]:
    return [event.state for event in store.run(queries.events(job_id, 0))]


def test_a_job_goes_from_queued_to_succeeded_and_every_step_is_an_event(store: Store) -> None:
    queued = submit(store)
    assert (queued.state, queued.attempt, queued.last_event) == (JobState.QUEUED, 0, 1)
    job = start(store, queued.id)
    assert (job.state, job.attempt) == (JobState.RUNNING, 1)
    assert store.run(execution.photo(job.id)) == b"photo"
    store.run(execution.advance(job, Stage.NETWORK, 0.4, LEASE))
    store.run(execution.succeed(job, result(b"first mesh", b"second")))
    done = get(store, job.id)
    assert (done.state, done.files, done.stage) == (JobState.SUCCEEDED, 2, Stage.NETWORK)
    assert [face.index for face in done.outcome.faces] == [0, 1]
    assert store.run(queries.mesh(job.id, 0, 0, 100)) == b"first mesh"
    assert store.run(queries.mesh(job.id, 1, 3, 2)) == b"on"
    assert store.run(queries.preview(job.id, 0)) == b"picture of first mesh"
    assert store.run(queries.preview(job.id, 1)) == b"picture of second"
    assert store.run(queries.preview(job.id, 2)) is None
    events = store.run(queries.events(job.id, 0))
    assert [(e.number, e.state, e.stage) for e in events] == [
        (1, JobState.QUEUED, None),
        (2, JobState.RUNNING, None),
        (3, JobState.RUNNING, Stage.NETWORK),
        (4, JobState.SUCCEEDED, Stage.NETWORK),
    ]
    assert [e.progress for e in events] == [0.0, 0.0, 0.4, 1.0]
    assert store.run(queries.events(job.id, 2)) == events[2:]


def test_a_late_or_second_delivery_is_dropped_and_a_repeated_claim_is_not(store: Store) -> None:
    job_id = submit(store).id
    first = start(store, job_id, "mine")
    assert claim(store, job_id, "other") is None
    again = claim(store, job_id, "mine")
    assert again is not None
    assert again.attempt == first.attempt == 1
    store.run(execution.succeed(first, result(b"mesh")))
    assert claim(store, job_id, "mine") is None
    assert claim(store, admission.new_id()) is None
    assert states(store, job_id) == [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]


def test_every_write_of_an_attempt_may_be_repeated(store: Store) -> None:
    job = start(store, submit(store).id)
    for _ in range(2):
        store.run(execution.advance(job, Stage.DECODE, 0.1, LEASE))
    for _ in range(2):
        store.run(execution.succeed(job, result(b"mesh")))
    assert states(store, job.id) == [JobState.QUEUED, JobState.RUNNING, JobState.RUNNING, JobState.SUCCEEDED]


def test_two_workers_with_one_job_give_one_result(store: Store, jobs_config: JobsConfig, keys: Keys) -> None:
    job_id = submit(store).id
    slow = start(store, job_id, "slow")
    keys.lose_lease(job_id)
    assert reap(store, jobs_config).requeued == 1
    quick = start(store, job_id, "quick")
    assert quick.attempt == 2
    for late in (
        execution.advance(slow, Stage.STORE, 0.9, LEASE),
        execution.succeed(slow, result(b"late mesh")),
        execution.fail(slow, Reason.NO_FACE, "late", {}),
    ):
        with pytest.raises(JobLost):
            store.run(late)
    assert store.run(execution.renew(slow, LEASE)) is False
    assert store.run(execution.renew(quick, LEASE)) is True
    store.run(execution.succeed(quick, result(b"mesh")))
    with pytest.raises(JobLost):
        store.run(execution.succeed(slow, result(b"late mesh")))
    assert store.run(queries.mesh(job_id, 0, 0, 100)) == b"mesh"


@pytest.mark.parametrize("end", ["succeed", "fail", "cancel", "expire"])
def test_a_final_state_never_changes(store: Store, jobs_config: JobsConfig, keys: Keys, end: str) -> None:
    job = start(store, submit(store).id)
    if end == "succeed":
        store.run(execution.succeed(job, result(b"mesh")))
    elif end == "fail":
        store.run(execution.fail(job, Reason.NO_FACE, "nobody there", {}))
    elif end == "cancel":
        store.run(queries.cancel(job.id, "anna"))
    else:
        keys.pass_deadline(job.id)
        assert reap(store, jobs_config).ended == 1
    before = get(store, job.id)
    assert before.state.ended
    keys.lose_lease(job.id)
    keys.score("deadlines", job.id, 1)
    reap(store, jobs_config)
    store.run(queries.cancel(job.id, "anna"))
    assert claim(store, job.id, "again") is None
    for late in (execution.advance(job, Stage.STORE, 0.9, LEASE), execution.succeed(job, result(b"other"))):
        if end != "succeed" or late.name != "complete":
            with pytest.raises(JobLost):
                store.run(late)
    assert get(store, job.id) == before


def test_twenty_callers_with_one_request_id_make_one_job(store: Store, keys: Keys) -> None:
    def create(_: int) -> tuple[str, bool]:
        job = new_job(request_id="same")
        record, is_new = store.run(admission.create(job, [b"photo"], WIDE))
        return record.id, is_new

    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(create, range(20)))
    assert len({job_id for job_id, _ in made}) == 1
    assert sum(is_new for _, is_new in made) == 1
    assert len([key for key in keys.all() if key.startswith("photo:")]) == 1


def test_a_request_id_with_another_payload_is_refused_and_is_per_owner(store: Store) -> None:
    first = submit(store, new_job(request_id="r"))
    assert store.run(admission.admit(new_job(request_id="r"), WIDE)) == first
    other = new_job(request_id="r", photo=b"another")
    with pytest.raises(RequestReused):
        store.run(admission.admit(other, WIDE))
    with pytest.raises(RequestReused):
        submit(store, other, b"another")
    assert store.run(admission.admit(new_job("bob", request_id="r"), WIDE)) is None


def test_nobody_sees_or_touches_the_job_of_another(store: Store) -> None:
    job = finish(store, submit(store).id)
    commands: list[Command[Any]] = [
        queries.get(job.id, "bob"),
        queries.cancel(job.id, "bob"),
        queries.delete(job.id, "bob"),
    ]
    for command in commands:
        with pytest.raises(JobNotFound):
            store.run(command)
    assert store.run(queries.page("bob", None, 10, []))[0] == []
    assert store.run(queries.get(job.id, "anna")).id == job.id


def test_a_lost_lease_puts_the_job_back_and_the_third_loss_gives_it_up(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    job_id, healthy = submit(store).id, submit(store).id
    start(store, healthy)
    for loss in range(1, 4):
        assert start(store, job_id, f"delivery {loss}").attempt == loss
        keys.lose_lease(job_id)
        reaped = reap(store, jobs_config)
        assert [message.job_id for message in reaped.publish] == ([job_id] if loss < 3 else [])
    job = get(store, job_id)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.reason == "POISON_INPUT"
    assert get(store, healthy).state is JobState.RUNNING


def test_leases_do_not_count_until_one_lease_after_redis_was_away(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    job = start(store, submit(store).id)
    keys.score("leases", job.id, 1)
    reap(store, jobs_config)  # the first sign of life after a silence
    assert get(store, job.id).state is JobState.RUNNING
    reap(store, jobs_config)
    assert get(store, job.id).state is JobState.RUNNING
    keys.client.set(keys.prefix + "back", 1)  # a lease later
    reap(store, jobs_config)
    assert get(store, job.id).state is JobState.QUEUED


def test_leases_count_while_workers_report_also_when_every_service_was_away(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    job = start(store, submit(store).id)
    keys.lose_lease(job.id)
    store.run(maintenance.report(WorkerReport("host:1:2", verified=True)))
    reap(store, jobs_config)
    assert get(store, job.id).state is JobState.QUEUED


def test_a_worker_back_before_the_reaper_does_not_make_leases_count(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    job = start(store, submit(store).id)
    keys.lose_lease(job.id)
    keys.client.set(keys.prefix + "life", 1)  # Redis was away
    store.run(maintenance.report(WorkerReport("host:1:2", verified=True)))
    reap(store, jobs_config)
    assert get(store, job.id).state is JobState.RUNNING


def test_only_jobs_whose_message_is_lost_are_published_again(store: Store, jobs_config: JobsConfig, keys: Keys) -> None:
    app = create_app(jobs_config)
    lost, waiting, newest = (submit(store).id for _ in range(3))
    seconds, _ = keys.client.time()
    for age, job_id in ((30, lost), (20, waiting), (10, newest)):
        keys.score("queued:interactive", job_id, (seconds - age) * 1000)
    for age, job_id in ((20, waiting), (10, newest)):
        publish(app, Message(job_id, "interactive", "", seconds - age))
    assert [message.job_id for message in reap(store, jobs_config).publish] == [lost]
    assert reap(store, jobs_config).publish == []
    keys.client.delete(keys.prefix + "interactive")  # a Redis that lost its queue
    for job_id in (waiting, newest):
        keys.score("queued:interactive", job_id, 1000)
    assert {message.job_id for message in reap(store, jobs_config).publish} == {waiting, newest}
    app.close()


def test_a_job_published_twice_does_not_make_the_jobs_behind_it_look_lost(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    """At the head is its first message, while its record tells of the second, which lies behind the other jobs'."""
    app = create_app(jobs_config)
    twice, waiting = (submit(store).id for _ in range(2))
    seconds, _ = keys.client.time()
    for age, job_id in ((30, twice), (20, waiting), (10, twice)):
        keys.score("queued:interactive", job_id, (seconds - age) * 1000)
        publish(app, Message(job_id, "interactive", "", seconds - age))
    assert reap(store, jobs_config).publish == []
    app.close()


def test_jobs_whose_workers_were_lost_are_the_next_to_be_taken(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    app = create_app(jobs_config)
    lost = [start(store, submit(store).id, f"token {n}").id for n in range(2)]
    waiting = [submit(store).id for _ in range(3)]
    seconds, _ = keys.client.time()
    for age, job_id in zip((30, 20, 10), waiting, strict=True):
        keys.score("queued:interactive", job_id, (seconds - age) * 1000)
        publish(app, Message(job_id, "interactive", "", seconds - age))
    for job_id in lost:
        keys.lose_lease(job_id)
    for message in reap(store, jobs_config).publish:
        assert message.front
        publish(app, message)
        assert store.run(maintenance.bring_forward(message))
    assert sorted(keys.ids()[:2]) == sorted(lost)
    assert keys.ids()[2:] == waiting
    assert [get(store, job_id).queue_position for job_id in keys.ids()] == [1, 2, 3, 4, 5]
    assert reap(store, jobs_config).publish == []  # nothing behind them looks lost
    app.close()


def test_a_job_that_is_cancelled_or_expires_leaves_the_queue_at_once(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    """Also when a thousand wait, and whichever of them it is."""
    app = create_app(jobs_config)
    full = admission.AdmissionLimits(max_queued=1000, max_active=2000, result_reserve_mib=0)
    jobs = [submit(store, limits=full) for _ in range(1000)]
    for job in jobs:
        publish(app, Message(job.id, "interactive", "", job.create_time))
    with pytest.raises(Refused):
        store.run(admission.admit(new_job(), full))
    for job in (jobs[0], jobs[500], jobs[999]):
        store.run(queries.cancel(job.id, "anna"))
        assert job.id not in keys.ids()
    keys.pass_deadline(jobs[250].id)
    assert claim(store, jobs[250].id) is None
    assert len(keys.ids()) == 996
    while store.run(cancel_jobs("anna", None, 200)).remaining:
        pass
    assert keys.messages() == 0
    assert store.run(admission.admit(new_job(), full)) is None
    app.close()


@pytest.mark.parametrize(
    ("limits", "reason", "window"),
    [
        (dataclasses.replace(WIDE, max_per_minute=2), Reason.RATE_EXCEEDED, ("minute", 60)),
        (dataclasses.replace(WIDE, max_per_day=2, max_per_minute=9), Reason.DAILY_QUOTA_EXCEEDED, ("day", 86400)),
    ],
)
def test_a_caller_creates_no_more_jobs_in_a_time_than_its_token_allows(
    store: Store, keys: Keys, limits: admission.AdmissionLimits, reason: Reason, window: tuple[str, int]
) -> None:
    first = new_job(request_id="one")
    submit(store, first, limits=limits)
    submit(store, dataclasses.replace(first, id=admission.new_id()), limits=limits)  # the same request: counts once
    store.run(queries.cancel(submit(store, limits=limits).id, "anna"))  # an ended one still counts
    refusing: list[Command[Any]] = [
        admission.admit(new_job(), limits),
        admission.create(new_job(), [b"photo"], limits),
    ]
    for command in refusing:
        with pytest.raises(Refused) as refused:
            store.run(command)
        assert refused.value.reason is reason
    submit(store, new_job("bert"), limits=limits)
    submit(store, limits=WIDE)  # of a token of the same caller without such a limit
    name, seconds = window
    key = f"{keys.prefix}rate:{name}:anna"
    assert 0 < keys.client.ttl(key) <= seconds
    keys.client.delete(key)  # the window is over
    submit(store, limits=limits)


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"])
def test_a_job_that_says_so_is_kept_so_long_after_its_end(
    store: Store, jobs_config: JobsConfig, keys: Keys, end: str
) -> None:
    job = submit(store, new_job(expire_after_seconds=60.0))
    assert job.expire_time - job.deadline == pytest.approx(3600)  # as long as it has not ended
    if end == "SUCCEEDED":
        finish(store, job.id)
    elif end == "FAILED":
        store.run(execution.fail(start(store, job.id), Reason.NO_FACE, "", {}))
    elif end == "CANCELLED":
        store.run(queries.cancel(job.id, "anna"))
    else:
        keys.pass_deadline(job.id)
        reap(store, jobs_config)
    ended = get(store, job.id)
    assert ended.state is JobState[end]
    assert ended.expire_time - ended.end_time == pytest.approx(60)
    blobs = [key for key in keys.of(job.id) if key.startswith(("mesh:", "preview:", "events:"))]
    assert len(blobs) == (3 if end == "SUCCEEDED" else 1)
    for key in blobs:
        assert 0 < keys.client.pttl(keys.prefix + key) <= 60_000
    assert f"photo:{job.id}" not in keys.all()
    keys.score("expiry", job.id, round(ended.expire_time * 1000) - 60_000)  # a minute has passed
    reap(store, jobs_config)
    assert keys.of(job.id) == set()


def test_no_job_outlives_the_services_own_time(store: Store) -> None:
    job = submit(store, new_job(expire_after_seconds=10**6))
    assert store.run(queries.cancel(job.id, "anna")).expire_time == job.expire_time


def test_jobs_that_ended_in_the_queue_do_not_count_as_waiting_after_the_next_pass(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    app = create_app(jobs_config)
    three = admission.AdmissionLimits(max_queued=3, result_reserve_mib=0)
    jobs = [submit(store, new_job(), limits=three) for _ in range(3)]
    for job in jobs:
        publish(app, Message(job.id, "interactive", "", job.create_time))
    keys.client.rpush(f"{keys.prefix}interactive", b"junk", b"5", b'{"headers": 5}', b'{"headers": {"id": {}}}')
    store.run(queries.cancel(jobs[0].id, "anna"))
    keys.pass_deadline(jobs[1].id)
    for _ in range(2):
        reap(store, jobs_config)
    assert keys.messages() == 1 + 4  # what no worker of ours has sent is left to the workers
    keys.client.ltrim(f"{keys.prefix}interactive", 0, 0)
    assert keys.message()["headers"]["id"] == jobs[2].id
    assert store.run(admission.admit(new_job(), three)) is None
    app.close()


def test_a_job_expires_at_its_deadline_also_without_any_worker(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    queued, running = submit(store).id, start(store, submit(store).id).id
    for job_id in (queued, running):
        keys.pass_deadline(job_id)
    assert reap(store, jobs_config).ended == 2
    for job_id in (queued, running):
        job = get(store, job_id)
        assert job.state is JobState.EXPIRED
        assert job.error is not None
        assert job.error.reason == "DEADLINE_PASSED"


def test_a_job_past_its_deadline_is_neither_taken_nor_advanced_nor_stored(store: Store, keys: Keys) -> None:
    untaken = submit(store).id
    keys.pass_deadline(untaken)
    assert claim(store, untaken) is None
    for write in ("advance", "succeed"):
        job = start(store, submit(store).id)
        keys.pass_deadline(job.id)
        call = (
            execution.advance(job, Stage.NETWORK, 0.5, LEASE)
            if write == "advance"
            else execution.succeed(job, result())
        )
        with pytest.raises(JobLost):
            store.run(call)
        assert get(store, job.id).state is JobState.EXPIRED


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (admission.AdmissionLimits(max_queued=2, result_reserve_mib=0), Reason.QUEUE_FULL),
        (admission.AdmissionLimits(max_active=2, result_reserve_mib=0), Reason.QUOTA_EXCEEDED),
        (admission.AdmissionLimits(max_stored_mib=0, result_reserve_mib=0), Reason.STORAGE_FULL),
        (admission.AdmissionLimits(max_stored_mib=11, result_reserve_mib=4), Reason.STORAGE_FULL),
    ],
)
def test_over_a_bound_a_job_is_refused_and_leaves_nothing(
    store: Store, keys: Keys, limits: admission.AdmissionLimits, reason: Reason
) -> None:
    submit(store), submit(store)
    before = keys.all()
    job = new_job()
    with pytest.raises(Refused) as refused:
        store.run(admission.admit(job, limits))
    assert refused.value.reason is reason
    with pytest.raises(Refused):
        submit(store, job, limits=limits)
    assert keys.all() == before
    if reason is Reason.QUOTA_EXCEEDED:
        assert store.run(admission.admit(new_job("bob"), limits)) is None
    if reason is Reason.QUEUE_FULL:
        assert store.run(admission.admit(new_job(priority=Priority.BULK), limits)) is None


def test_bounds_count_only_what_is_there(store: Store, keys: Keys) -> None:
    one = admission.AdmissionLimits(max_queued=1, max_active=1, max_stored_mib=1, result_reserve_mib=0)
    photo = bytes(600 * 1024)
    for _ in range(4):
        job = submit(store, new_job(photo=photo), photo, one)
        with pytest.raises(Refused):
            store.run(admission.admit(new_job(photo=photo), one))
        finish(store, job.id, bytes(900 * 1024))
        with pytest.raises(Refused) as refused:
            store.run(admission.admit(new_job(photo=photo), one))
        assert refused.value.reason is Reason.STORAGE_FULL
        store.run(queries.delete(job.id, "anna"))
    assert keys.client.get(keys.prefix + "bytes") == b"0"


def test_a_full_redis_refuses_new_photos_and_still_ends_accepted_jobs(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    running, queued, third = start(store, submit(store).id), submit(store).id, submit(store).id
    try:
        keys.client.config_set("maxmemory", keys.client.info("memory")["used_memory"] - 1)
        with pytest.raises(Refused) as refused:
            store.run(admission.admit(new_job(), WIDE))
        assert refused.value.reason is Reason.STORAGE_FULL
        before = keys.all()
        with pytest.raises(Refused):  # it was admitted just before Redis became full
            submit(store, new_job(photo=bytes(1 << 20)), bytes(1 << 20))
        assert keys.all() == before
        store.run(execution.advance(running, Stage.ENCODE, 0.9, LEASE))
        store.run(maintenance.report(WorkerReport("host:1:2", True)))
        store.run(execution.succeed(running, result(b"mesh" * 1000)))
        finish(store, queued, b"another mesh")
        ahead, blobs = start(store, third), WorkerBlobs(jobs_config, store)
        blobs.send_ahead(ahead, [MeshFile.of(b"third mesh" * 1000, "ply", "model/ply", ".ply")])
        assert not keys.client.keys(f"{keys.prefix}ahead:*")  # Redis has no room for it
        blobs.succeed(ahead, result(b"third mesh" * 1000))
        reap(store, jobs_config)
    finally:
        keys.client.config_set("maxmemory", 0)
    assert store.run(queries.mesh(running.id, 0, 0, 4)) == b"mesh"
    assert get(store, queued).state is JobState.SUCCEEDED
    assert store.run(queries.mesh(third, 0, 0, 10)) == b"third mesh"


def test_what_is_over_is_removed_without_a_trace(store: Store, jobs_config: JobsConfig, keys: Keys) -> None:
    kept = submit(store)
    gone = finish(store, submit(store, new_job(request_id="r")).id, b"one", b"two")
    assert keys.of(gone.id)
    keys.score("expiry", gone.id, 1)
    assert reap(store, jobs_config).purged == 1
    assert keys.of(gone.id) == set()
    assert not [key for key in keys.all() if key.startswith("request:")]
    with pytest.raises(JobNotFound):
        get(store, gone.id)
    assert store.run(queries.page("anna", None, 10, []))[0] == [kept]


def test_photo_and_meshes_have_a_ttl_of_their_own_and_the_photo_goes_with_the_end(store: Store, keys: Keys) -> None:
    job_id = submit(store).id
    assert 0 < keys.client.pttl(f"{keys.prefix}photo:{job_id}") <= (300 + 3600) * 1000
    finish(store, job_id)
    assert f"photo:{job_id}" not in keys.all()
    for name in (f"mesh:{job_id}:0", f"preview:{job_id}:0", f"events:{job_id}"):
        assert 0 < keys.client.pttl(keys.prefix + name) <= (300 + 3600) * 1000


def test_meshes_and_pictures_count_as_stored_until_they_are_removed(store: Store, keys: Keys) -> None:
    def stored() -> int:
        return int(keys.client.get(f"{keys.prefix}bytes") or 0)

    job = start(store, submit(store).id)
    faces = [pb.Face(index=0), pb.Face(index=1)]  # a scene: one file, a picture of each head
    store.run(execution.succeed(job, execution.ExecutionResult(faces, [b"mesh"], {}, [b"one head", b"another"])))
    assert stored() == len(b"mesh") + len(b"one head") + len(b"another")
    assert (get(store, job.id).files, store.run(queries.preview(job.id, 1))) == (1, b"another")
    store.run(queries.delete(job.id, "anna"))
    assert stored() == 0
    assert keys.of(job.id) == set()


def test_files_sent_ahead_are_seen_by_nobody_until_they_are_the_job_s(store: Store, keys: Keys) -> None:
    job, files = start(store, submit(store).id), (b"first mesh", b"second")
    for face, file in enumerate(files):
        store.run(execution.send_ahead(job, face, file, LEASE))
        assert 0 < keys.client.pttl(f"{keys.prefix}ahead:{job.id}:1:{face}") <= LEASE * 1000
    assert store.run(queries.mesh(job.id, 0, 0, 100)) == b""
    assert get(store, job.id).state is JobState.RUNNING
    for _ in range(2):  # as when the first answer gets lost
        store.run(execution.succeed_ahead(job, result(*files)))
    assert get(store, job.id).files == 2
    assert [store.run(queries.mesh(job.id, face, 0, 100)) for face in (0, 1)] == [*files]
    assert [store.run(queries.preview(job.id, face)) for face in (0, 1)] == [*map(picture_of, files)]
    assert int(keys.client.get(f"{keys.prefix}bytes") or 0) == sum(map(len, (*files, *map(picture_of, files))))
    assert keys.client.pttl(f"{keys.prefix}mesh:{job.id}:1") > LEASE * 1000
    assert not keys.client.keys(f"{keys.prefix}ahead:*")


@pytest.mark.parametrize("there", [(), (b"first mesh",), (b"first mesh", b"another one")])
def test_a_job_does_not_end_without_all_files_that_were_sent_ahead(
    store: Store, keys: Keys, there: tuple[bytes, ...]
) -> None:
    job, files = start(store, submit(store).id), (b"first mesh", b"second")
    for face, file in enumerate(there):
        store.run(execution.send_ahead(job, face, file, LEASE))
    before = keys.all()
    with pytest.raises(NotAhead):
        store.run(execution.succeed_ahead(job, result(*files)))
    assert keys.all() == before
    assert get(store, job.id).state is JobState.RUNNING
    store.run(execution.succeed(job, result(*files)))
    assert store.run(queries.mesh(job.id, 1, 0, 100)) == b"second"
    assert not keys.client.keys(f"{keys.prefix}ahead:*")


@pytest.mark.parametrize("end", ["fail", "cancel", "expire"])
def test_files_sent_ahead_go_with_a_job_that_ends_without_them(
    store: Store, jobs_config: JobsConfig, keys: Keys, end: str
) -> None:
    job = start(store, submit(store).id)
    for face in range(3):
        store.run(execution.send_ahead(job, face, b"mesh", LEASE))
    if end == "fail":
        store.run(execution.fail(job, Reason.INTERNAL, "", {}))
    elif end == "cancel":
        store.run(queries.cancel(job.id, "anna"))
    else:
        keys.pass_deadline(job.id)
        assert reap(store, jobs_config).ended == 1
    assert not keys.client.keys(f"{keys.prefix}ahead:*")
    with pytest.raises(JobLost):
        store.run(execution.succeed_ahead(job, result(b"mesh")))


def test_what_a_lost_attempt_sent_ahead_is_not_taken_for_the_next_one_s(
    store: Store, jobs_config: JobsConfig, keys: Keys
) -> None:
    slow = start(store, submit(store).id, "slow")
    store.run(execution.send_ahead(slow, 0, b"late", LEASE))
    keys.lose_lease(slow.id)
    assert reap(store, jobs_config).requeued == 1
    quick = start(store, slow.id, "quick")
    with pytest.raises(NotAhead):
        store.run(execution.succeed_ahead(quick, result(b"mesh")))
    with pytest.raises(JobLost):
        store.run(execution.succeed_ahead(slow, result(b"late")))
    store.run(execution.send_ahead(quick, 0, b"mesh", LEASE))
    store.run(execution.succeed_ahead(quick, result(b"mesh")))
    assert store.run(queries.mesh(quick.id, 0, 0, 100)) == b"mesh"


def test_only_ended_jobs_are_deleted(store: Store, keys: Keys) -> None:
    job_id = submit(store).id
    with pytest.raises(JobNotEnded):
        store.run(queries.delete(job_id, "anna"))
    store.run(queries.cancel(job_id, "anna"))
    store.run(queries.delete(job_id, "anna"))
    assert keys.of(job_id) == set()


def test_a_cancelled_job_stops_its_worker_at_the_next_stage(store: Store) -> None:
    job = start(store, submit(store).id)
    assert store.run(queries.cancel(job.id, "anna")).state is JobState.CANCELLED
    with pytest.raises(JobLost):
        store.run(execution.advance(job, Stage.NETWORK, 0.5, LEASE))


def test_pages_hold_every_job_once_newest_first(store: Store) -> None:
    made = [submit(store).id for _ in range(7)]
    for job_id in made[::2]:
        store.run(queries.cancel(job_id, "anna"))
    seen: list[str] = []
    below: int | None = None
    while True:
        page, below = store.run(queries.page("anna", below, 3, []))
        seen += [job.id for job in page]
        if below is None:
            break
    assert seen == made[::-1]
    page, below = store.run(queries.page("anna", None, 4, [JobState.CANCELLED]))
    assert [job.id for job in page] == made[::2][::-1]
    queued, below = store.run(queries.page("anna", None, 3, [JobState.QUEUED]))
    assert [job.id for job in queued] == made[1::2][::-1]
    assert below is not None
    assert store.run(queries.page("anna", below, 3, [JobState.QUEUED])) == ([], None)


def test_a_waiting_job_knows_its_place_in_the_line(store: Store) -> None:
    bulk = [submit(store, new_job(priority=Priority.BULK)).id for _ in range(2)]
    quick = [submit(store).id for _ in range(3)]

    def places(jobs: list[str]) -> list[int]:
        return [get(store, job_id).queue_position for job_id in jobs]

    assert places(quick) == [1, 2, 3]
    assert places(bulk) == [4, 5]
    start(store, quick[0])
    assert (places(quick), places(bulk)) == ([0, 1, 2], [3, 4])
    store.run(queries.cancel(quick[1], "anna"))
    assert (places(quick), places(bulk)) == ([0, 0, 1], [2, 3])
    listed = store.run(queries.page("anna", None, 10, [JobState.QUEUED]))[0]
    assert {job.id: job.queue_position for job in listed} == {quick[2]: 1, bulk[0]: 2, bulk[1]: 3}


def test_batches_of_a_job_are_counted_once(store: Store) -> None:
    job = start(store, submit(store).id)
    batches = execution.BatchedRuns({1: 4, 3: 2}, 0.25)
    for _ in range(2):  # its answer was lost
        store.run(execution.succeed(job, execution.ExecutionResult([], [], {}, batches=batches)))
    finish(store, submit(store).id)  # with networks of its own
    counts = store.run(maintenance.snapshot()).counters
    assert (counts["batch:1"], counts["batch:3"], counts["batch_wait"]) == (4, 2, 0.25)


def test_counters_say_what_happened(store: Store, jobs_config: JobsConfig, keys: Keys) -> None:
    finish(store, submit(store).id)
    lost = start(store, submit(store).id)
    keys.lose_lease(lost.id)
    reap(store, jobs_config)
    again = start(store, lost.id, "again")
    store.run(execution.fail(again, Reason.NO_FACE, "nobody", {"detect": 0.2}))
    submit(store)
    store.run(maintenance.report(WorkerReport("host:1:2", verified=True)))
    seen = store.run(maintenance.snapshot())
    counts = seen.counters
    assert (counts["created:interactive"], counts["attempts"], counts["requeued:lost"]) == (3, 3, 1)
    assert (counts["ended:SUCCEEDED:"], counts["ended:FAILED:NO_FACE"]) == (1, 1)
    assert (counts["stage:network:le:0.025"], counts["stage:detect:le:0.25"]) == (1, 1)
    stored = len(b"mesh") + len(picture_of(b"mesh")) + len(b"photo")
    sizes = {"queued:interactive": 1, "queued:bulk": 0, "running": 0, "kept": 3, "bytes": stored}
    assert {name: seen.sizes[name] for name in sizes} == sizes
    assert seen.sizes["used"] > sizes["bytes"]
    assert seen.ready
    store.run(maintenance.leave("host:1:2"))
    assert not store.run(maintenance.snapshot()).ready


def test_a_worker_not_heard_of_for_ten_seconds_is_gone(store: Store, keys: Keys) -> None:
    store.run(maintenance.report(WorkerReport("host:1:2", verified=True)))
    assert store.run(maintenance.snapshot()).ready
    seconds, _ = keys.client.time()
    keys.score("seen", "host:1:2", (seconds - 11) * 1000)
    assert not store.run(maintenance.snapshot()).ready


def test_a_report_of_another_version_is_read_as_far_as_it_is_known(store: Store, keys: Keys) -> None:
    store.run(maintenance.report(WorkerReport("host:1:2", verified=False)))
    later = {"name": "host:1:2", "verified": True, "model": "m", "field_of_a_later_version": [1, 2]}
    keys.client.hset(f"{keys.prefix}workers", "host:1:2", json.dumps(later))
    seen = store.run(maintenance.snapshot())
    assert seen.ready
    assert seen.workers == [WorkerReport("host:1:2", verified=True, model="m")]


def test_what_a_caller_sends_arrives_as_it_was(store: Store, keys: Keys) -> None:
    photo = bytes(range(256)) * 200
    job = new_job('Jörg "the\\" 😀\n\0', photo, request_id="r")
    record = submit(store, job, photo)
    assert (record.owner, record.settings) == (job.owner, job.settings)
    assert store.run(execution.photo(record.id)) == photo
    failed = start(store, record.id)
    store.run(execution.fail(failed, Reason.NO_FACE, job.owner, {"detect": 1 / 3}))
    error = get(store, record.id).error
    assert error is not None
    assert (error.code, error.message) == (Reason.NO_FACE.code, job.owner)
    assert float(keys.client.hget(f"{keys.prefix}counters", "stage:detect:sum") or 0) == pytest.approx(1 / 3, abs=1e-15)
    keys.client.set(f"{keys.prefix}serial", 2**53 - 2)
    last = submit(store, new_job(job.owner))
    assert last.serial == 2**53 - 1
    assert [found.id for found in store.run(queries.page(job.owner, last.serial, 10, []))[0]] == [record.id]


@pytest.mark.parametrize("size", [MEBIBYTE, MEBIBYTE + 1])
def test_a_small_photo_comes_with_the_claim_and_a_large_one_is_asked_for(
    store: Store, jobs_config: JobsConfig, size: int
) -> None:
    photo = bytes(size)
    record = submit(store, new_job(photo=photo), photo)
    assert get(store, record.id).photo == b""
    job = start(store, record.id)
    assert job.photo == (photo if size == MEBIBYTE else b"")
    assert start(store, record.id).photo == job.photo  # the same delivery again
    assert WorkerBlobs(jobs_config, store).photo(job) == photo


def test_redis_away_is_unavailable() -> None:
    store = Store(JobsConfig(redis_url="redis://127.0.0.1:1/0"), tries=1)
    with pytest.raises(StoreUnavailable):
        store.run(maintenance.snapshot())
    store.close()


def test_several_photos_of_one_person_are_kept_in_order_and_go_with_the_job(store: Store, keys: Keys) -> None:
    photos = [b"left", b"the front", b"right!"]
    record = store.run(admission.create(new_person(*photos), photos, WIDE))[0]
    assert record.photo_sha256s == tuple(hashlib.sha256(photo).hexdigest() for photo in photos)
    assert record.photo_sha256 == record.photo_sha256s[0]
    job = start(store, record.id)
    assert execution.apart(job, store.run(execution.photo(job.id))) == execution.apart(job, job.photo) == photos
    assert int(keys.client.get(f"{keys.prefix}bytes") or 0) == sum(map(len, photos))
    views = [pb.PhotoView(index=0, weight=1.0)]
    store.run(execution.succeed(job, dataclasses.replace(result(b"mesh"), views=views)))
    done = get(store, record.id)
    assert list(done.outcome.views) == views
    assert not any(key.startswith("photo:") for key in keys.all())
    with pytest.raises(JobLost):
        store.run(execution.photo(job.id))


@pytest.mark.parametrize(
    "others", [(b"b", b"a"), (b"a",), (b"a", b"b", b""), (b"ab",)], ids=["order", "fewer", "more", "joined"]
)
def test_a_request_id_stands_for_all_photos_in_their_order(store: Store, others: tuple[bytes, ...]) -> None:
    photos = [b"a", b"b"]
    first, is_new = store.run(admission.create(new_person(*photos, request_id="r"), photos, WIDE))
    assert is_new
    again, is_new = store.run(admission.create(new_person(*photos, request_id="r"), photos, WIDE))
    assert (again.id, is_new) == (first.id, False)
    with pytest.raises(RequestReused):
        store.run(admission.admit(new_person(*others, request_id="r"), WIDE))


def test_one_photo_of_one_person_is_another_wish_than_the_photo(store: Store) -> None:
    store.run(admission.create(new_person(b"photo", request_id="r"), [b"photo"], WIDE))
    with pytest.raises(RequestReused):
        store.run(admission.admit(new_job(request_id="r"), WIDE))


def test_a_record_of_before_there_were_several_photos_is_read(store: Store, keys: Keys) -> None:
    record = submit(store)
    keys.client.hdel(f"{keys.prefix}job:{record.id}", "photo_sha256s", "photo_sizes")
    assert (get(store, record.id).photo_sha256s, get(store, record.id).photo_sizes) == ((), ())
    assert store.run(execution.photo(start(store, record.id).id)) == b"photo"
