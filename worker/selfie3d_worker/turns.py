"""Whose turn it is: interactive jobs first, but only so many in a row while bulk jobs wait."""

from __future__ import annotations

from kombu.utils.scheduling import priority_cycle

from selfie3d.types import Priority


class Turns(priority_cycle):
    """The order in which a worker asks its queues, as kombu's `queue_order_strategy`.

    Before each pop kombu asks `consume` for the names, first come first served, and tells `rotate` which one gave.

    interactive : jobs in a row before the bulk queue is asked first, once
    """

    def __init__(self, interactive: int) -> None:
        self.items: list[str] = []
        self._most = interactive
        self._in_a_row = 0

    def consume(self, n: int) -> list[str]:
        """The names of the queues in the order to ask them."""
        first = Priority.BULK if self._in_a_row >= self._most else Priority.INTERACTIVE
        return sorted(self.items[:n], key=lambda name: name != first)

    def rotate(self, last_used: str) -> str:
        """This queue gave a job."""
        self._in_a_row = self._in_a_row + 1 if last_used == Priority.INTERACTIVE else 0
        return last_used
