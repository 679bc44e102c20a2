"""The job store: the only package that knows Redis keys, TTLs, Lua and job states."""

from selfie3d_jobs.blob_trouble import BlobTrouble
from selfie3d_jobs.config import JobsConfig
from selfie3d_jobs.errors import (
    BlobsUnavailable,
    ConfigError,
    JobLost,
    JobNotEnded,
    JobNotFound,
    JobsError,
    NoSignedUrl,
    NotAhead,
    Refused,
    RequestReused,
    StoreFull,
    StoreUnavailable,
)
from selfie3d_jobs.reasons import Reason
from selfie3d_jobs.record import JobError, JobEvent, MeshAhead, Record
from selfie3d_jobs.store import AsyncStore, Store
from selfie3d_jobs.trouble import RedisTrouble

__all__ = [
    "AsyncStore",
    "BlobTrouble",
    "BlobsUnavailable",
    "ConfigError",
    "JobError",
    "JobEvent",
    "JobLost",
    "JobNotEnded",
    "JobNotFound",
    "JobsConfig",
    "JobsError",
    "MeshAhead",
    "NoSignedUrl",
    "NotAhead",
    "Reason",
    "Record",
    "RedisTrouble",
    "Refused",
    "RequestReused",
    "Store",
    "StoreFull",
    "StoreUnavailable",
]
