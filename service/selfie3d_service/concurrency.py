"""Bounds on what one process has open at once."""

from __future__ import annotations

from selfie3d_jobs import Reason
from selfie3d_service.errors import CallError


class ConcurrencyLimit:
    """Lets `limit` calls in at once and refuses the others with `reason`; nobody waits."""

    def __init__(self, limit: int, reason: Reason) -> None:
        self._limit = limit
        self._reason = reason
        self.in_use = 0

    def acquire(self) -> Slot:
        """A slot. Raises CallError when all are in use."""
        if self.in_use >= self._limit:
            raise CallError(self._reason)
        self.in_use += 1
        return Slot(self)


class Slot:
    """A place below a limit, until it is released; releasing it twice does no harm."""

    def __init__(self, limit: ConcurrencyLimit | None) -> None:
        self._limit = limit

    def release(self) -> None:
        """Free the place."""
        if self._limit is not None:
            self._limit.in_use -= 1
            self._limit = None


NO_SLOT = Slot(None)
