"""What SELFIE3D_BLOBS may say, and what an error of the bucket means."""

from __future__ import annotations

import pytest

from selfie3d_jobs import BlobTrouble, ConfigError, JobsConfig
from selfie3d_jobs.blob_place import Place, place_of
from selfie3d_jobs.blob_trouble import blob_trouble_of


@pytest.mark.parametrize(
    ("text", "place", "shown"),
    [
        ("redis", None, "None"),
        ("s3://heads", Place("s3", "heads"), "s3://heads"),
        (
            "s3://heads/a/b/?endpoint=http://minio:9000&region=eu-1&public_endpoint=https://s3.example",
            Place("s3", "heads", "a/b", "http://minio:9000", "eu-1", "https://s3.example"),
            "s3://heads/a/b",
        ),
        ("gs://heads/live", Place("gs", "heads", "live"), "gs://heads/live"),
        ("az://heads?account=me", Place("az", "heads", account="me"), "az://heads"),
        ("file:///srv/my%20heads/", Place("file", "/srv/my heads"), "file:///srv/my heads"),
    ],
)
def test_places_are_read(text: str, place: Place | None, shown: str) -> None:
    assert place_of(text) == place
    assert str(place_of(text)) == shown


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("", "redis, s3://"),
        ("memory", "redis, s3://"),
        ("http://heads", "redis, s3://"),
        ("s3://", "redis, s3://"),
        ("s3://key:secret@heads", "environment"),
        ("s3://heads?secret_access_key=s3cret", "secret_access_key is no parameter"),
        ("gs://heads?account=me", "account is no parameter of gs://: there are endpoint, public_endpoint"),
        ("file:///heads?region=x", "region is no parameter of file://: it has none"),
        ("s3://heads?endpoint=minio:9000", "endpoint wants http://HOST:PORT"),
        ("s3://heads?endpoint=http://me:s3cret@minio", "endpoint wants http://HOST:PORT"),
        ("file://shared/heads", "three slashes"),
        ("file:///", "three slashes"),
    ],
)
def test_what_is_no_place_is_refused_with_what_is_wanted_and_no_secret(text: str, clause: str) -> None:
    with pytest.raises(ConfigError) as raised:
        JobsConfig(blobs=text)
    assert str(raised.value).startswith("SELFIE3D_BLOBS: ")
    assert clause in str(raised.value)
    assert "s3cret" not in str(raised.value)


class PermissionDeniedError(Exception):
    """As obstore names it."""


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (TimeoutError(), BlobTrouble.SILENT),
        (PermissionDeniedError("403"), BlobTrouble.RIGHTS),
        (OSError("No space left on device (os error 28)"), BlobTrouble.FULL),
        (PermissionDeniedError("403: Server failed to authenticate the request."), BlobTrouble.CREDENTIALS),
        (FileNotFoundError("<Code>NoSuchBucket</Code>"), BlobTrouble.BUCKET),
        (FileNotFoundError("<Code>ContainerNotFound</Code>"), BlobTrouble.BUCKET),
        (RuntimeError("inner: Status {\n status: 503,"), BlobTrouble.BUSY),
        (RuntimeError("HttpError {\n kind: Connect,"), BlobTrouble.ABSENT),
        (RuntimeError("GET http://169.254.169.254/latest"), BlobTrouble.CREDENTIALS),
        (RuntimeError("?"), BlobTrouble.BROKEN),
    ],
)
def test_an_error_means_one_trouble(error: Exception, trouble: BlobTrouble) -> None:
    assert blob_trouble_of(error) is trouble
