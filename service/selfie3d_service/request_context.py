"""What is known of the call that is being answered, besides its request."""

from __future__ import annotations

from dataclasses import dataclass

from selfie3d_jobs.queries import ANYONE
from selfie3d_service.concurrency import NO_SLOT, Slot
from selfie3d_service.tokens import ANONYMOUS, Caller, Scope


@dataclass(frozen=True)
class RequestContext:
    """A call's caller, trace, and slot among the uploads (released as soon as the photo is stored)."""

    caller: Caller = ANONYMOUS
    traceparent: str = ""
    upload: Slot = NO_SLOT

    @property
    def reach(self) -> str:
        """Whose jobs the caller may touch, as the store's `owner` argument."""
        return ANYONE if Scope.ADMIN in self.caller.scopes else self.caller.name
