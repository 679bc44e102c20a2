"""The check of `selfie3d doctor` that writes, reads, lists and deletes an object where photos and meshes lie."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from selfie3d_cli.finding import Finding, Severity

SLOW_SECONDS = 1.2  # for all four: a caller waits for two of them


def check_blobs(text: str) -> Iterator[Finding]:
    """The place that SELFIE3D_BLOBS names. text : its value; empty or redis: Redis, which has a check of its own."""
    try:
        from selfie3d_jobs import BlobsUnavailable, ConfigError
        from selfie3d_jobs.blobs import AsyncBucket, place_of, try_out
    except ModuleNotFoundError:
        return  # check_packages has said so
    try:
        place = place_of(text or "redis")
        if place is None:
            return
        seconds = asyncio.run(try_out(AsyncBucket(place)))
    except ValueError:
        return  # check_settings has said so
    except ConfigError as error:
        yield Finding("blobs", Severity.FAILURE, f"{place} cannot be opened", str(error))
    except BlobsUnavailable as error:
        why = error.trouble
        yield Finding("blobs", Severity.FAILURE, f"{place}: {why.text}", f"{why.remedy[0].upper()}{why.remedy[1:]}.")
    else:
        yield _judge(f"{place}: written, read, listed and deleted in {seconds * 1000:.0f} ms", seconds)


def _judge(text: str, seconds: float) -> Finding:
    if seconds > SLOW_SECONDS:
        return Finding("blobs", Severity.WARNING, text, "Use a bucket near the service.")
    return Finding("blobs", Severity.OK, text)
