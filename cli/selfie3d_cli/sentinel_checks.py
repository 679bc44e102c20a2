"""What `selfie3d doctor` says of sentinels: whether they are there, agree, and could replace the primary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from selfie3d_cli.finding import Finding, Severity
from selfie3d_jobs.sentinel_url import SentinelUrl
from selfie3d_jobs.trouble import trouble_of

TIMEOUT = 2.0  # seconds
ENOUGH = 3  # sentinels: the loss of one leaves a majority


@dataclass(frozen=True)
class SentinelAnswer:
    """What a sentinel said. state : of the primary, as redis-py reads SENTINEL MASTERS; None: it knows no such name."""

    address: str
    state: dict[str, Any] | None
    has_quorum: bool = False

    @property
    def primary(self) -> str:
        """HOST:PORT of the primary; empty: it knows none."""
        return f"{self.state['ip']}:{self.state['port']}" if self.state else ""


def check_sentinels(target: SentinelUrl) -> Iterator[Finding]:
    """Whether the sentinels could replace the primary. Without one that names it there is no more to check."""
    answers: list[SentinelAnswer] = []
    for address in target.sentinels:
        try:
            answers.append(_ask(target, *address))
        except (redis.RedisError, OSError) as error:
            trouble = trouble_of(error)
            text = f"sentinel {address[0]}:{address[1]}: {trouble.text.replace('Redis', 'the sentinel')}"
            yield Finding("sentinel", Severity.WARNING, text, "Look after it; correct SELFIE3D_REDIS_URL if it moved.")
    yield from _judge(target.master, answers)


def place_of(target: SentinelUrl) -> str:
    """The address without user and password."""
    hosts = ",".join(f"{host}:{port}" for host, port in target.sentinels)
    return f"{'rediss' if target.tls else 'redis'}+sentinel://{hosts}/{target.master}/{target.db}"


def _ask(target: SentinelUrl, host: str, port: int) -> SentinelAnswer:
    with redis.Redis(host=host, port=port, decode_responses=True, **target.sentinel_options(TIMEOUT)) as sentinel:
        state = sentinel.sentinel_masters().get(target.master)
        return SentinelAnswer(f"{host}:{port}", state, state is not None and _has_quorum(sentinel, target.master))


def _has_quorum(sentinel: redis.Redis, master: str) -> bool:
    try:
        sentinel.execute_command("SENTINEL CKQUORUM", master)
    except redis.ResponseError:
        return False
    return True


def _judge(master: str, answers: list[SentinelAnswer]) -> Iterator[Finding]:
    known = [answer for answer in answers if answer.state]
    if not known:
        remedy = "Name it in SELFIE3D_REDIS_URL as their `sentinel monitor NAME` does, or start them."
        yield Finding("sentinel", Severity.FAILURE, f"no sentinel knows {master}", remedy)
        return
    yield Finding("sentinel", Severity.OK, f"{len(known)} of {len(answers)} that answer know {master}")
    primaries = sorted({answer.primary for answer in known})
    if len(primaries) > 1:
        text = f"they disagree about the primary: {', '.join(primaries)}"
        yield Finding("sentinel", Severity.FAILURE, text, "Wait for the end of a failover; look after the network.")
    if not any(answer.has_quorum for answer in known):
        text = "too few sentinels see each other to replace the primary"
        yield Finding("sentinel", Severity.FAILURE, text, "Start more of them; SENTINEL CKQUORUM says how many.")
    yield from _judge_numbers(known)


def _judge_numbers(known: list[SentinelAnswer]) -> Iterator[Finding]:
    states = [answer.state for answer in known if answer.state]
    sentinels = max(int(state["num-other-sentinels"]) for state in states) + 1
    if sentinels < ENOUGH:
        remedy = f"Run {ENOUGH}, each on a machine of its own: the loss of one then leaves a majority."
        yield Finding("sentinel", Severity.WARNING, f"{sentinels} sentinels", remedy)
    if not max(int(state["num-slaves"]) for state in states):
        yield Finding("sentinel", Severity.FAILURE, "the primary has no replica", "Start one: nothing can replace it.")
