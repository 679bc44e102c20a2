"""Bounds on what one process has open at once."""

from __future__ import annotations

from selfie3d_jobs import Reason
from selfie3d_service.errors import ServiceError


class Gate:
    """Lets `limit` in at once and refuses the others with `reason`; nobody waits."""

    def __init__(self, limit: int, reason: Reason) -> None:
        self._limit = limit
        self._reason = reason
        self.inside = 0

    def enter(self) -> Ticket:
        """A ticket. Raises ServiceError when the gate is full."""
        if self.inside >= self._limit:
            raise ServiceError(self._reason)
        self.inside += 1
        return Ticket(self)


class Ticket:
    """A place inside a gate, until it is given back; twice does no harm."""

    def __init__(self, gate: Gate | None) -> None:
        self._gate = gate

    def give_back(self) -> None:
        """Leave the gate."""
        if self._gate is not None:
            self._gate.inside -= 1
            self._gate = None


NO_TICKET = Ticket(None)
