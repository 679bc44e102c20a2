"""Bounds on what one process has open at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

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


class SharedLimit:
    """A limit that no holder can use up: one gets a slot only while it has fewer than are still free.

    One holder has half of the slots at most, a second one half of what is left, and so on: a newcomer finds room until
    many holders take all they can.
    """

    def __init__(self, limit: int, reason: Reason) -> None:
        self._all = ConcurrencyLimit(limit, reason)
        self._limit, self._reason = limit, reason
        self._held: Counter[str] = Counter()

    @property
    def in_use(self) -> int:
        """Slots that are taken."""
        return self._all.in_use

    def acquire(self, holder: str) -> Slot:
        """A slot. Raises CallError when the holder has its share or all are in use."""
        if self._held.get(holder, 0) >= self._limit - self._all.in_use:
            raise CallError(self._reason)
        self._all.acquire()
        self._held[holder] += 1
        return Slot(self._all, partial(self._forget, holder))

    def _forget(self, holder: str) -> None:
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]


class Slot:
    """A place below a limit, until it is released; releasing it twice does no harm."""

    def __init__(self, limit: ConcurrencyLimit | None, on_release: Callable[[], None] | None = None) -> None:
        self._limit, self._on_release = limit, on_release

    def release(self) -> None:
        """Free the place."""
        if self._limit is not None:
            self._limit.in_use -= 1
            self._limit = None
            if self._on_release:
                self._on_release()


NO_SLOT = Slot(None)
