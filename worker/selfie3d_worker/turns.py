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
        self._in_a_row = 0  # since a bulk job was taken, or there was none
        self._bulk_first = False

    def consume(self, n: int) -> list[str]:
        """The names of the queues in the order to ask them."""
        self._bulk_first = self._in_a_row >= self._most
        first = Priority.BULK if self._bulk_first else Priority.INTERACTIVE
        return sorted(self.items[:n], key=lambda name: name != first)

    def rotate(self, last_used: str) -> str:
        """This queue gave a job. An interactive one from the second queue asked means that no bulk job waits."""
        goes_on = last_used == Priority.INTERACTIVE and not self._bulk_first
        self._in_a_row = self._in_a_row + 1 if goes_on else 0
        return last_used
