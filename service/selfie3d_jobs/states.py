"""Job states, stages and priorities as the store writes them. Their names are the API's without the prefix."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """QUEUED -> RUNNING -> one of the four final states; RUNNING -> QUEUED when a worker was lost."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def ended(self) -> bool:
        """Final: written once, never changed."""
        return self not in (State.QUEUED, State.RUNNING)


class Stage(StrEnum):
    """What a worker does with a photo, in order. The value is the name of vrn's callback."""

    DECODE = "decode"
    DETECT = "detect"
    ALIGN = "align"
    NETWORK = "network"
    SURFACE = "surface"
    COLOUR = "colour"
    ENCODE = "encode"
    STORE = "store"


class Priority(StrEnum):
    """Also the names of the queues, in the order in which workers look at them."""

    INTERACTIVE = "interactive"
    BULK = "bulk"
