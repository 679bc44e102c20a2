"""The root of what selfie3d raises on purpose, and the one error of the types. The whole tree: selfie3d/errors.py."""

# ruff: noqa: N818 - the public names are those of the states and statuses that they stand for

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grpc import StatusCode


@dataclass(frozen=True)
class Violation:
    """What is wrong with one field of the request."""

    field: str
    description: str


class Selfie3dError(Exception):
    """The call failed.

    Attributes
    ----------
    reason : the service's UPPER_SNAKE code, or the name of the grpc status; stable, made for programs
    message : one or two sentences for people
    code : grpc.StatusCode, None where no call failed
    violations : the fields that are wrong
    retry_after : seconds after which the service wants to see the call again, or None
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str = "",
        code: StatusCode | None = None,
        violations: tuple[Violation, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        self.message = message or " ".join((type(self).__doc__ or "").partition("\n\n")[0].split())
        self.reason = reason or (code.name if code else "")
        self.code = code
        self.violations = violations
        self.retry_after = retry_after
        super().__init__(self.message)


class MeshUnreadable(Selfie3dError):
    """The mesh's bytes cannot be read as arrays."""


class MissingExtra(ImportError):
    """A part of selfie3d is not installed: the message says which extra to install."""
