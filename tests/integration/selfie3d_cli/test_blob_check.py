"""What `selfie3d doctor` says of the place of photos and meshes."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from selfie3d_cli.blob_check import check_blobs
from selfie3d_cli.finding import Severity
from selfie3d_jobs.blobs import AsyncBucket, async_bucket, place_of, try_out
from selfie3d_jobs.blobs.trial import NAME
from tests.azurite import Azurite
from tests.buckets import Folder, Nanio, Server
from tests.google_storage import GoogleStorage, write_account
from tests.stack import free_port

SERVERS: dict[str, Callable[[Path], Server]] = {"s3": Nanio, "az": Azurite, "gs": GoogleStorage}
NOBODYS = base64.b64encode(b"another").decode()


@pytest.fixture(scope="module", params=SERVERS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    for name, value in running.credentials.items():
        monkeypatch.setenv(name, value)
    return running


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_bucket, "ANSWER_SECONDS", 30.0)  # on a busy machine a server answers late


def found(setting: str) -> tuple[Severity, str, str]:
    [finding] = check_blobs(setting)
    return finding.level, finding.text, finding.remedy


def test_redis_and_nonsense_are_left_to_other_checks() -> None:
    assert [list(check_blobs(text)) for text in ("", "redis", "ftp://there")] == [[], [], []]


def test_a_bucket_that_works_is_one_line_and_nothing_is_left_in_it(server: Server) -> None:
    level, text, _ = found(server.setting("mine"))
    assert level is not Severity.FAILURE
    assert text.startswith(f"{server.setting('mine')[:2]}://heads/mine: written, read, listed and deleted in ")
    assert server.objects("mine") == set()


def test_a_folder_that_works_is_one_line(tmp_path: Path) -> None:
    assert found(Folder(tmp_path).setting("shared"))[0] is not Severity.FAILURE
    assert list(tmp_path.rglob("*")) == [tmp_path / "shared"]


async def test_a_trial_looks_at_no_object_but_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket in use has hundreds of thousands, and to list them all takes minutes."""
    seen: list[str] = []
    listed = AsyncBucket.listed

    async def watched(bucket: AsyncBucket, *folder: str) -> AsyncIterator[list[tuple[str, float]]]:
        async for batch in listed(bucket, *folder):
            seen.extend(name for name, _ in batch)
            yield batch

    monkeypatch.setattr(AsyncBucket, "listed", watched)
    place = place_of(Folder(tmp_path).setting("shared"))
    assert place
    bucket = AsyncBucket(place)
    for number in range(3):
        await bucket.put(f"photo/{number:032x}", [b"a photo"])
    await try_out(bucket)
    assert seen == [NAME]


def test_each_trouble_has_its_remedy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = server.setting("mine")
    place = f"{good[:2]}://heads/mine"
    assert found(good.replace("heads", "nobodys"))[1] == f"{good[:2]}://nobodys/mine: there is no such bucket or folder"
    assert found(good.replace(str(server.port), str(free_port())))[1:] == (
        f"{place}: nothing answers at the address of the bucket",
        "Look after the store, the network and SELFIE3D_BLOBS.",
    )
    write_account(tmp_path / "stranger.json")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", NOBODYS)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "stranger.json"))
    assert found(good)[1] == f"{place}: the bucket does not accept who asks"


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    assert "no such bucket or folder" in found(f"file://{tmp_path}/missing")[1]


@pytest.mark.parametrize(
    ("setting", "variable", "value"),
    [
        ("s3://heads", "AWS_ACCESS_KEY_ID", "without a secret"),
        ("az://heads", "AZURE_STORAGE_ACCOUNT_KEY", NOBODYS),  # without an account
        ("az://heads?account=me", "AZURE_STORAGE_ACCOUNT_KEY", "no base64!"),
        ("gs://heads", "GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file"),
    ],
)
def test_credentials_that_cannot_be_read_are_told_of(
    setting: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv(variable, value)
    level, text, remedy = found(setting)
    bucket = setting.partition("?")[0]
    assert (level, text) == (Severity.FAILURE, f"{bucket} cannot be opened")
    assert remedy.startswith(f"SELFIE3D_BLOBS={bucket}, or its credentials in the environment: ")
    assert "\n" not in remedy


def test_without_obstore_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    level, _, remedy = found("s3://heads/mine")
    assert (level, remedy) == (Severity.FAILURE, "SELFIE3D_BLOBS=s3://heads/mine needs `pip install '.[blobs]'`.")
