"""`selfie3d admin` against a real service: tables, JSON, refusals; the worker's side is played by hand."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfie3d import Client
from selfie3d_cli.main import main
from selfie3d_jobs import JobsConfig, Store, maintenance
from selfie3d_jobs.maintenance import WorkerReport
from tests.faults.guarded import Door, TokenBook
from tests.integration.road import finish, start
from tests.stack import free_port
from tests.tiny import make_photo

ESCAPE = "\x1b[31m"  # turns a terminal red


class Shop:
    """A service with two callers and an operator."""

    def __init__(self, door: Door, book: TokenBook, config: JobsConfig) -> None:
        self.door, self.book = door, book
        self.store = Store(config, tries=1)

    def submit(self, caller: str, **options: Any) -> str:
        with Client(self.door.address, token=self.book.tokens[caller]) as client:
            return client.submit(make_photo(), **options).id


@pytest.fixture
def shop(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    book = TokenBook(tmp_path / "tokens.toml")
    for caller in ("anna", "bob"):
        book.add(caller, "submit", "read")
    config = JobsConfig(redis_url=redis_url, prefix=f"test-{secrets.token_hex(4)}:")
    env = {
        "SELFIE3D_REDIS_URL": config.redis_url,
        "SELFIE3D_REDIS_PREFIX": config.prefix,
        "SELFIE3D_TOKENS": str(book.path),
    }
    (tmp_path / "token").write_text(book.add("ops", "admin"))
    with Door(tmp_path, "service", **env).open() as door:
        monkeypatch.setenv("SELFIE3D_SERVER", door.address)
        monkeypatch.setenv("SELFIE3D_TOKEN", book.tokens["ops"])
        opened = Shop(door, book, config)
        yield opened
        opened.store.close()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command prints when it succeeds, each row of a table as its words with single spaces."""
    assert main(["admin", *arguments]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return "\n".join(re.sub(r" +", " ", line).strip() for line in printed.out.splitlines())


def objects(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """What it prints with --json."""
    return [json.loads(line) for line in said(capsys, *arguments, "--json").splitlines()]


def test_jobs_of_all_callers_are_shown_filtered_and_as_json(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    done = shop.submit("anna", request_id="first")
    finish(shop.store, done)
    running = shop.submit("bob", priority="bulk")
    start(shop.store, running)
    waiting = shop.submit("anna", request_id="third")
    lines = said(capsys, "jobs").splitlines()
    assert lines[0].startswith("job caller state queue created request_id")
    rows = lines[1:4]
    assert re.fullmatch(rf"{waiting} anna queued: 1 interactive [-0-9]{{10}} [:0-9]{{8}} third", rows[0])
    assert re.fullmatch(rf"{running} bob running: begins bulk [-0-9]{{10}} [:0-9]{{8}} \S+", rows[1])
    assert re.fullmatch(rf"{done} anna succeeded interactive [-0-9]{{10}} [:0-9]{{8}} first", rows[2])

    def listed(*arguments: str) -> list[str]:
        return [job["id"] for job in objects(capsys, "jobs", *arguments)]

    assert listed() == [waiting, running, done]
    assert listed("--caller", "anna") == [waiting, done]
    assert listed("--state", "queued", "--state", "running") == [waiting, running]
    assert listed("--request-id", "first") == [done]
    assert listed("--since", "1h", "--limit", "2") == [waiting, running]
    assert listed("--until", "1h") == []
    assert listed("--since", "2199-01-01") == []
    [job] = objects(capsys, "jobs", "--request-id", "third")
    assert (job["caller"], job["state"], job["queue_position"]) == ("anna", "JOB_STATE_QUEUED", 1)
    assert job["settings"]["request_id"] == "third"


def test_a_callers_jobs_are_cancelled_and_counted(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        shop.submit("anna")
    kept = shop.submit("bob")
    assert said(capsys, "cancel", "anna") == "2 jobs of anna cancelled, 0 have not ended."
    assert objects(capsys, "cancel", "anna") == [{"cancelled": 0, "remaining": 0}]
    assert [job["id"] for job in objects(capsys, "jobs", "--state", "queued")] == [kept]


def test_a_queue_is_paused_shown_and_resumed(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.submit("anna")
    assert re.search(r"^interactive 1 0 [-0-9]{10} [:0-9]{8} ops$", said(capsys, "pause", "interactive"), re.MULTILINE)
    assert "queued: paused" in said(capsys, "jobs")
    lines = said(capsys, "queues").splitlines()
    assert lines[0] == "queue waiting running paused since by"
    assert lines[1].startswith("interactive 1 0 20")
    assert lines[2] == "bulk 0 0 not paused"
    [paused, other] = objects(capsys, "queues")
    assert (paused["priority"], paused["waiting"], paused["paused_by"]) == ("PRIORITY_INTERACTIVE", 1, "ops")
    assert ("pause_time" in paused, "pause_time" in other) == (True, False)
    assert "interactive 1 0 not paused" in said(capsys, "resume", "interactive")
    assert objects(capsys, "pause", "bulk")[0]["paused_by"] == "ops"
    assert objects(capsys, "resume", "bulk")[0]["paused_by"] == ""


def test_workers_are_shown_with_their_jobs(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    good = WorkerReport("host:1:2", True, "default", "ab", "cuda:0", "", "host", "0.1.0", "torch", 1_700_000_000.0)
    for report in (good, WorkerReport("host:1:3", True), WorkerReport("host:1:4", False, error=f"{ESCAPE}No weights")):
        shop.store.run(maintenance.report(report))
    job_id = shop.submit("anna")
    start(shop.store, job_id)  # host:1:2 takes it
    text = said(capsys, "workers")
    assert re.search(rf"^host:1:2 0.1.0 torch cuda:0 default 2023-11-1\d \S+ {job_id} begins 20\S+ \S+$", text, re.M)
    assert re.search(r"^host:1:3 waits$", text, re.M)
    assert "cannot work: \N{REPLACEMENT CHARACTER}[31mNo weights" in text
    assert ESCAPE not in text
    first, second, third = objects(capsys, "workers")
    assert (first["job"]["id"], first["device"], first["engine"]) == (job_id, "cuda:0", "torch")
    assert "job" not in second
    assert third["error"].startswith(ESCAPE)  # JSON escapes it itself


def test_whoever_is_no_operator_is_told_what_is_missing(
    shop: Shop, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions = (["jobs"], ["cancel", "bob"], ["pause", "bulk"], ["resume", "bulk"], ["queues"], ["workers"])
    monkeypatch.setenv("SELFIE3D_TOKEN", shop.book.tokens["anna"])
    for action in actions:
        assert main(["admin", *action]) == 1
        error = capsys.readouterr().err
        assert "needs a token with scope admin: `selfie3d token NAME --scope admin --file FILE`" in error
        assert main(["admin", *action, "--token-file", str(tmp_path / "token")]) == 0
        capsys.readouterr()
    monkeypatch.delenv("SELFIE3D_TOKEN")
    assert main(["admin", "queues"]) == 1
    assert "with --token-file FILE or in SELFIE3D_TOKEN." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["queues", "--server", "localhost:{free}"], 1, "Nothing listens at localhost:{free}"),
        (["queues", "--server", "nonsense"], 2, "HOST:PORT is wanted"),
        (["queues", "--timeout", "-3"], 2, "is not a number of seconds above 0"),
        (["queues", "--tls-cert", "me.pem"], 2, "--tls-cert needs --tls-key"),
        (["jobs", "--since", "yesterday"], 2, "'yesterday' is no time"),
        (["jobs", "--limit", "0"], 2, "is not a whole number from 1"),
        (["jobs", "--state", "lost"], 2, "invalid choice: 'lost'"),
        (["pause", "all"], 2, "invalid choice: 'all'"),
        (["pause"], 2, "the following arguments are required: queue"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    free = str(free_port())
    try:
        ended = main(["admin", *(argument.format(free=free) for argument in arguments)])
    except SystemExit as error:
        ended = int(error.code or 0)
    printed = capsys.readouterr()
    assert (ended, printed.out) == (code, "")
    assert words.format(free=free) in printed.err
    assert len(printed.err.splitlines()) == 1
