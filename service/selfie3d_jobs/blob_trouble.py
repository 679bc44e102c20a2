"""Why the store of photos and meshes cannot be used, in words for the operator. Callers get STORE_UNAVAILABLE."""

from __future__ import annotations

from enum import Enum


class BlobTrouble(Enum):
    """What is wrong, and what to do about it."""

    ABSENT = ("nothing answers at the address of the bucket", "look after the store, the network and SELFIE3D_BLOBS")
    SILENT = ("the bucket does not answer in time", "look after the load of the store, and the network")
    BUSY = ("the bucket takes no more requests for now", "wait, or ask its operator for more")
    BUCKET = ("there is no such bucket or folder", "make it, or correct SELFIE3D_BLOBS")
    CREDENTIALS = ("the bucket does not accept who asks", "correct the credentials in the environment")
    RIGHTS = ("the credentials may not do what selfie3d needs", "docs/operations.md has the rights that it needs")
    FULL = ("the store of photos and meshes is full", "make room there")
    SLOW = ("an upload took so long that it was given up", "look after the load of the store, and the network")
    UNSET = ("the job's photo and meshes lie outside Redis", "set SELFIE3D_BLOBS to the same in every process")
    BROKEN = ("the bucket fails in an unexpected way", "its own log says more")

    def __init__(self, text: str, remedy: str) -> None:
        self.text = text
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.text}: {self.remedy}"


BY_NAME = {  # of obstore's errors, which are not imported here
    "PermissionDeniedError": BlobTrouble.RIGHTS,
    "UnauthenticatedError": BlobTrouble.CREDENTIALS,
    "PermissionError": BlobTrouble.RIGHTS,
    "TimeoutError": BlobTrouble.SILENT,
}
BY_WORD = {  # of what obstore says, the first that fits
    "NoSuchBucket": BlobTrouble.BUCKET,
    "ContainerNotFound": BlobTrouble.BUCKET,
    "InvalidAccessKeyId": BlobTrouble.CREDENTIALS,
    "SignatureDoesNotMatch": BlobTrouble.CREDENTIALS,
    "failed to authenticate": BlobTrouble.CREDENTIALS,  # Azure, with 403 as for a lack of rights
    "169.254.169.254": BlobTrouble.CREDENTIALS,  # asked for a role when the environment has no credentials
    "No space left": BlobTrouble.FULL,
    "Permission denied": BlobTrouble.RIGHTS,
    "kind: Connect": BlobTrouble.ABSENT,
    "kind: Timeout": BlobTrouble.SILENT,
    "status: 503": BlobTrouble.BUSY,
    "status: 429": BlobTrouble.BUSY,
}


def blob_trouble_of(error: BaseException) -> BlobTrouble:
    """What an error of obstore or of a time limit means."""
    text = str(error)
    by_word = next((trouble for word, trouble in BY_WORD.items() if word in text), None)
    return by_word or BY_NAME.get(type(error).__name__, BlobTrouble.BROKEN)
