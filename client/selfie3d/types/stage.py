"""The stages of a job."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """What is done with a photo, in order. NETWORK to ENCODE come once a face; STORE is the service's alone."""

    DECODE = "decode"
    DETECT = "detect"
    ALIGN = "align"
    NETWORK = "network"
    SURFACE = "surface"
    COLOUR = "colour"
    ENCODE = "encode"
    STORE = "store"
