"""What is known of the call that is being answered, besides its request."""

from __future__ import annotations

from dataclasses import dataclass

from selfie3d_jobs.queries import ANYONE
from selfie3d_service.concurrency import NO_SLOT, Slot
from selfie3d_service.tokens import ANONYMOUS, Caller, Scope


@dataclass(frozen=True)
class RequestContext:
    """A call's caller, trace, slot among the uploads (released as soon as the photo is stored), and host."""

    caller: Caller = ANONYMOUS
    traceparent: str = ""
    upload: Slot = NO_SLOT
    host: str = ""

    @property
    def sender(self) -> str:
        """Who shares slots and turns: see `sender_of`."""
        return sender_of(self.caller, self.host)

    @property
    def reach(self) -> str:
        """Whose jobs the caller may touch, as the store's `owner` argument."""
        return ANYONE if Scope.ADMIN in self.caller.scopes else self.caller.name


def sender_of(caller: Caller, host: str) -> str:
    """Who shares slots and turns: the caller, or the host of one without a name."""
    return f"{caller.name} {host}" if caller.name == ANONYMOUS.name else caller.name


def host_of(peer: str) -> str:
    """The host of gRPC's `peer`: "ipv4:127.0.0.1:5000", "ipv6:%5B::1%5D:5000" or "unix:"."""
    return peer if peer.startswith("unix") else peer.rpartition(":")[0]
