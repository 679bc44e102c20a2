"""What is known of the call that is being answered, besides its request."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from selfie3d_jobs.lookup import ANYONE
from selfie3d_service.gate import NO_TICKET, Ticket
from selfie3d_service.tokens import ANONYMOUS, Caller, Scope


@dataclass(frozen=True)
class Visit:
    """A call's caller, trace, and place among the uploads (given back as soon as the photo is stored)."""

    caller: Caller = ANONYMOUS
    traceparent: str = ""
    upload: Ticket = NO_TICKET

    @property
    def reach(self) -> str:
        """Whose jobs the caller may touch, as the store's `owner` argument."""
        return ANYONE if Scope.ADMIN in self.caller.scopes else self.caller.name


VISIT: ContextVar[Visit] = ContextVar("selfie3d_visit")
