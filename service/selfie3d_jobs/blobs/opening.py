"""obstore's store for a place. obstore is imported here, and only once a place is opened."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from selfie3d_jobs.blob_place import Place
from selfie3d_jobs.errors import ConfigError

FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=50), timedelta(seconds=1)


def open_store(place: Place, *, seconds: float, connect_seconds: float, retries: int, endpoint: str = "") -> Any:
    """A store, nothing of which is asked yet; credentials are the environment's.

    Raises ConfigError without obstore, and when the credentials cannot be read.

    seconds, connect_seconds : of one request, and of its connection
    retries : how often a request that may be repeated is
    endpoint : in place of the place's own
    """
    try:
        from obstore import exceptions, store
    except ImportError as error:
        raise ConfigError(f"SELFIE3D_BLOBS={place} needs `pip install '.[blobs]'`.") from error
    if place.scheme == "file":
        return store.LocalStore(place.bucket, automatic_cleanup=True)
    endpoint = endpoint or place.endpoint
    client = {
        "connect_timeout": timedelta(seconds=connect_seconds),
        "timeout": timedelta(seconds=seconds),
        "allow_http": endpoint.startswith("http://"),
    }
    backoff = {"init_backoff": FIRST_PAUSE, "max_backoff": LONGEST_PAUSE, "base": 2}
    retry = {"max_retries": retries, "backoff": backoff, "retry_timeout": timedelta(seconds=seconds)}
    named = {
        "prefix": place.prefix or None,
        "base_url" if place.scheme == "gs" else "endpoint": endpoint or None,
        "region": place.region or None,
        "account_name": place.account or None,
    }
    chosen = {name: value for name, value in named.items() if value}
    kind: Any = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[place.scheme]
    try:
        return kind(place.bucket, client_options=client, retry_config=retry, **chosen)
    except exceptions.BaseError as error:
        why = str(error).partition("\n")[0]
        raise ConfigError(f"SELFIE3D_BLOBS={place}, or its credentials in the environment: {why}.") from error
