"""What a job should be, from a query or form fields to the API's message."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Reason
from selfie3d_jobs.payload import enum_words
from selfie3d_web.problem import Problem

FORMATS = enum_words(pb.MeshFormat.DESCRIPTOR)
DETAILS = enum_words(pb.Detail.DESCRIPTOR)
EXTENTS = enum_words(pb.Extent.DESCRIPTOR)
TOPOLOGIES = enum_words(pb.Topology.DESCRIPTOR)
COMPRESSIONS = enum_words(pb.Compression.DESCRIPTOR)
PRIORITIES = enum_words(pb.Priority.DESCRIPTOR)
STATES = enum_words(pb.JobState.DESCRIPTOR)
SWITCHES = ("all_faces", "scene", "textured", "printable", "delight", "rigged", "neutral")
SWITCH_WORDS = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False, "": True}
ONE_PERSON = "one_person"
WORDS = ("format", "detail", "extent", "topology", "compression")
TIMES = {"timeout": Reason.TIMEOUT_INVALID, "expire_after": Reason.EXPIRE_AFTER_INVALID}
NAMES = (*WORDS, *SWITCHES, ONE_PERSON, "priority", *TIMES, "webhook_url")


def job_settings(fields: Iterable[tuple[str, str]], request_id: str) -> pb.JobSettings:
    """Words to the message. Raises Problem for what is unknown, twice there, or no value of its option.

    fields : (name, value), from the query and the form together
    request_id : the Idempotency-Key; empty: every request makes a new job
    """
    settings = pb.JobSettings(request_id=request_id)
    seen: set[str] = set()
    for name, value in fields:
        if name not in NAMES:
            known = ", ".join(NAMES)
            raise Problem.of_reason(Reason.OPTION_UNKNOWN, f"There is no option {name!r}: {known}.", field=name)
        if name in seen:
            raise Problem.of_reason(Reason.OPTION_CONFLICT, f"{name} is there twice.", field=name)
        seen.add(name)
        _set(settings, name, value)
    return settings


def one_of(words: Mapping[str, int], name: str, value: str) -> int:
    """The number of a word. Raises Problem."""
    if value.lower() not in words:
        known = ", ".join(words)
        raise Problem.of_reason(Reason.OPTION_UNKNOWN, f"{name} is {value!r}, but can be {known}.", field=name)
    return words[value.lower()]


def _set(settings: pb.JobSettings, name: str, value: str) -> None:
    options: Any = settings.options
    if name in SWITCHES:
        setattr(options, name, bool(one_of(SWITCH_WORDS, name, value)))
    elif name == ONE_PERSON:
        settings.one_person = bool(one_of(SWITCH_WORDS, name, value))
    elif name == "format":
        options.format = one_of(FORMATS, name, value)
    elif name == "detail":
        options.detail = one_of(DETAILS, name, value)
    elif name == "extent":
        options.extent = one_of(EXTENTS, name, value)
    elif name == "topology":
        options.topology = one_of(TOPOLOGIES, name, value)
    elif name == "compression":
        options.compression = one_of(COMPRESSIONS, name, value)
    elif name == "priority":
        settings.priority = one_of(PRIORITIES, name, value)  # type: ignore[assignment]
    elif name == "webhook_url":
        settings.webhook_url = value
    else:
        getattr(settings, name).FromMilliseconds(round(_seconds(name, value) * 1000))


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < MAX_SECONDS:
        raise Problem.of_reason(TIMES[name], f"{name} is {value!r}, but must be seconds.", field=name)
    return seconds


MAX_SECONDS = 1e9  # what a Duration holds is more; what the service accepts is less
