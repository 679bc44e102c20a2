"""What `selfie3d doctor` says of the place of photos and meshes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from selfie3d_cli.blob_check import check_blobs
from selfie3d_cli.finding import Severity
from selfie3d_jobs.blobs import AsyncBucket, async_bucket, place_of, try_out
from selfie3d_jobs.blobs.trial import NAME
from tests.buckets import CREDENTIALS, Folder, Nanio
from tests.stack import free_port


@pytest.fixture(scope="module")
def nanio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nanio]:
    with Nanio(tmp_path_factory.mktemp("nanio")) as server:
        yield server


@pytest.fixture(autouse=True)
def credentials_and_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_bucket, "ANSWER_SECONDS", 30.0)  # on a busy machine a server answers late
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def found(setting: str) -> tuple[Severity, str, str]:
    [finding] = check_blobs(setting)
    return finding.level, finding.text, finding.remedy


def test_redis_and_nonsense_are_left_to_other_checks() -> None:
    assert [list(check_blobs(text)) for text in ("", "redis", "ftp://there")] == [[], [], []]


def test_a_bucket_that_works_is_one_line_and_nothing_is_left_in_it(nanio: Nanio) -> None:
    level, text, _ = found(nanio.setting("mine"))
    assert level is not Severity.FAILURE
    assert text.startswith("s3://heads/mine: written, read, listed and deleted in ")
    assert nanio.objects("mine") == set()


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


def test_each_trouble_has_its_remedy(nanio: Nanio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = nanio.setting("mine")
    assert found(good.replace("heads", "nobodys"))[1] == "s3://nobodys/mine: there is no such bucket or folder"
    assert found(good.replace(str(nanio.port), str(free_port())))[1:] == (
        "s3://heads/mine: nothing answers at the address of the bucket",
        "Look after the store, the network and SELFIE3D_BLOBS.",
    )
    assert "no such bucket or folder" in found(f"file://{tmp_path}/missing")[1]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    assert "may not do" in found(good)[1] or "does not accept" in found(good)[1]


def test_without_obstore_its_extra_is_named(nanio: Nanio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    level, _, remedy = found(nanio.setting("mine"))
    assert (level, remedy) == (Severity.FAILURE, "SELFIE3D_BLOBS=s3://heads/mine needs `pip install '.[blobs]'`.")
