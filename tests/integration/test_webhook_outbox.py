"""The outbox of webhooks in a real Redis: in with the job's end, out once, whatever happens between."""

from __future__ import annotations

import pytest

from selfie3d.types import JobState
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import JobNotFound, JobsConfig, Reason, Record, Refused, RequestReused, Store, execution, queries
from selfie3d_jobs.admission import AdmissionLimits
from selfie3d_jobs.maintenance import snapshot
from selfie3d_jobs.webhooks import Settled, Webhook, lane_of, settle, take
from tests.integration.road import WIDE, Keys, finish, get, new_job, reap, result, start, submit

URL = "https://hooks.example.com/x"
DAY = 24 * 3600 * 1000  # ms


def submit_hooked(store: Store, owner: str = "anna", origin: str = "https://hooks.example.com:443") -> Record:
    settings = pb.JobSettings(webhook_url=URL)
    return submit(store, new_job(owner, settings=settings, webhook_lane=lane_of(origin, owner)))


def taken(
    store: Store, room: int = 100, lane_room: int = 100, lease: float = 60.0, **busy: dict[str, int]
) -> list[Webhook]:
    return store.run(take(room, lane_room, lease, busy.get("lanes", {}), busy.get("owners", {})))


def make_due(keys: Keys, webhook: Webhook) -> None:
    keys.score(f"webhook_lane:{webhook.lane}", webhook.job.id, 1)
    keys.score("webhook_lanes", webhook.lane, 1)


def leftovers(keys: Keys) -> set[str]:
    return {key for key in keys.all() if key.startswith("webhook")}


@pytest.mark.parametrize("end", ["succeed", "fail", "cancel", "expire", "lose", "late claim"])
def test_whichever_way_a_job_ends_its_webhook_is_there_in_the_same_moment(
    store: Store, jobs_config: JobsConfig, keys: Keys, end: str
) -> None:
    job = submit_hooked(store)
    if end != "late claim":
        job = start(store, job.id)
    assert taken(store) == []
    if end == "succeed":
        store.run(execution.succeed(job, result(b"mesh")))
    elif end == "fail":
        store.run(execution.fail(job, Reason.NO_FACE, "nobody there", {}))
    elif end == "cancel":
        store.run(queries.cancel(job.id, "anna"))
    elif end == "lose":
        keys.client.hset(f"{keys.prefix}job:{job.id}", "losses", jobs_config.max_deliveries - 1)
        keys.lose_lease(job.id)
        reap(store, jobs_config)
    else:
        keys.pass_deadline(job.id)
        if end == "expire":
            reap(store, jobs_config)
        else:
            assert store.run(execution.claim(job.id, "host:1:2", "t", 60)) is None
    ended = get(store, job.id)
    assert ended.state.ended
    [webhook] = taken(store)
    assert webhook.job == ended
    assert webhook.attempt == 1


def test_a_job_without_a_webhook_leaves_the_outbox_empty(store: Store, keys: Keys) -> None:
    finish(store, submit(store).id)
    assert leftovers(keys) == set()
    assert taken(store) == []


def test_a_webhook_outlives_its_job(store: Store, jobs_config: JobsConfig, keys: Keys) -> None:
    job = finish(store, submit_hooked(store).id)
    keys.score("expiry", job.id, 1)
    assert reap(store, jobs_config).purged == 1
    with pytest.raises(JobNotFound):
        get(store, job.id)
    [webhook] = taken(store)
    assert webhook.job == job
    assert store.run(settle(webhook, delivered=True)) is Settled.DELIVERED
    assert leftovers(keys) == set()
    assert store.run(snapshot()).counters["webhooks:delivered"] == 1


def test_deleting_a_job_removes_its_webhook(store: Store, keys: Keys) -> None:
    job = finish(store, submit_hooked(store).id)
    [webhook] = taken(store)
    store.run(queries.delete(job.id, "anna"))
    assert leftovers(keys) == set()
    assert store.run(settle(webhook, delivered=True)) is Settled.GONE
    assert "webhooks:delivered" not in store.run(snapshot()).counters


def test_what_is_taken_and_not_settled_is_due_again_after_the_lease(store: Store, keys: Keys) -> None:
    finish(store, submit_hooked(store).id)
    [first] = taken(store)
    assert taken(store) == []
    make_due(keys, first)
    [second] = taken(store)
    assert second.attempt == 2
    assert store.run(settle(first, delivered=False, pause_seconds=1000)) is Settled.LATER
    assert store.run(settle(first, delivered=False, hopeless=True)) is Settled.LATER, "a late loser decides nothing"
    assert store.run(settle(first, delivered=True)) is Settled.DELIVERED, "but delivered is delivered"
    assert store.run(settle(second, delivered=False)) is Settled.GONE
    assert leftovers(keys) == set()


def test_a_webhook_waits_its_pause_and_is_given_up_a_day_after_the_end(store: Store, keys: Keys) -> None:
    job = finish(store, submit_hooked(store).id)
    [webhook] = taken(store)
    ended = round(job.end_time * 1000)
    assert store.run(settle(webhook, delivered=False, pause_seconds=100)) is Settled.LATER
    due = keys.client.zscore(f"{keys.prefix}webhook_lane:{webhook.lane}", job.id)
    assert due is not None
    assert ended + 99_000 < due < ended + 160_000
    assert taken(store) == []
    make_due(keys, webhook)
    [webhook] = taken(store)
    assert store.run(settle(webhook, delivered=False, pause_seconds=1e6)) is Settled.LATER
    assert keys.client.zscore(f"{keys.prefix}webhook_lane:{webhook.lane}", job.id) == ended + DAY, "one last try"
    make_due(keys, webhook)
    keys.client.hset(f"{keys.prefix}webhook:{job.id}", "end_time", ended - DAY)
    [webhook] = taken(store)
    assert store.run(settle(webhook, delivered=False, pause_seconds=1)) is Settled.GIVEN_UP
    assert leftovers(keys) == set()
    assert store.run(snapshot()).counters["webhooks:given_up"] == 1


def test_one_receiver_and_one_owner_leave_room_for_the_others(store: Store) -> None:
    for _ in range(6):
        finish(store, submit_hooked(store, "anna", "https://slow:443").id)
    finish(store, submit_hooked(store, "anna", "https://quick:443").id)
    finish(store, submit_hooked(store, "bob", "https://slow:443").id)
    first = taken(store, room=32, lane_room=4)
    assert sorted(hook.lane for hook in first) == [
        "https://quick:443 anna",
        *["https://slow:443 anna"] * 4,
        "https://slow:443 bob",
    ]
    assert taken(store, room=28, lane_room=4, lanes={"https://slow:443 anna": 4}, owners={"anna": 4}) == []
    [more] = taken(store, room=29, lane_room=4, lanes={"https://slow:443 anna": 3}, owners={"anna": 3})
    assert more.lane == "https://slow:443 anna"


def test_an_owner_gets_half_of_the_slots_at_most(store: Store) -> None:
    for number in range(10):
        finish(store, submit_hooked(store, "anna", f"https://host{number}:443").id)
    assert len(taken(store, room=8)) == 4
    finish(store, submit_hooked(store, "bob").id)
    assert {hook.job.owner for hook in taken(store, room=4, owners={"anna": 4})} == {"bob"}


def test_too_many_unsent_webhooks_of_one_caller_are_refused_and_nothing_else_is(store: Store) -> None:
    limits = AdmissionLimits(max_webhooks=2, result_reserve_mib=0)

    def create(owner: str, lane: str) -> Record:
        return submit(store, new_job(owner, webhook_lane=lane), limits=limits)

    for _ in range(2):
        store.run(queries.cancel(create("anna", "https://a:443 anna").id, "anna"))
    with pytest.raises(Refused) as refused:
        create("anna", "https://a:443 anna")
    assert refused.value.reason is Reason.WEBHOOKS_FULL
    assert create("anna", "").state is create("bob", "https://a:443 bob").state is JobState.QUEUED
    store.run(settle(taken(store)[0], delivered=True))
    assert create("anna", "https://a:443 anna").state is JobState.QUEUED


def test_a_request_id_stands_for_its_webhook_url_too(store: Store) -> None:
    def create(url: str) -> Record:
        settings = pb.JobSettings(request_id="same", webhook_url=url)
        return submit(store, new_job(settings=settings, webhook_lane=lane_of("https://a:443", "anna")), limits=WIDE)

    first = create(URL)
    assert create(URL).id == first.id
    for other in ("", URL + "y"):
        with pytest.raises(RequestReused):
            create(other)


def test_the_snapshot_knows_how_many_wait_and_how_long(store: Store, keys: Keys) -> None:
    assert store.run(snapshot()).sizes["webhook_age"] == store.run(snapshot()).sizes["webhooks"] == 0
    jobs = [finish(store, submit_hooked(store).id) for _ in range(2)]
    keys.score("webhooks", jobs[0].id, round(jobs[0].end_time * 1000) - 5000)
    sizes = store.run(snapshot()).sizes
    assert sizes["webhooks"] == 2
    assert 5000 <= sizes["webhook_age"] < 60_000
