"""Threads that callers share by turns: who sends much waits for itself, not the others for it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

D = TypeVar("D")
T = TypeVar("T")


class FairPool:
    """Runs work in `threads` threads, one caller's after the other's in turns; one caller never holds them all.

    Belongs to one event loop.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._free = threads
        self._share = max(1, threads - 1)
        self._threads = ThreadPoolExecutor(threads, name)
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # by caller, in the order of their turns

    async def run(self, caller: str, work: Callable[[D], T], data: D) -> T:
        """`work(data)`, when it is the caller's turn. Raises what the work raises."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        self._call()
        try:
            await asyncio.shield(turn)  # shielded, so that only `_call` and this method decide what becomes of it
        except asyncio.CancelledError:
            if turn.done():
                self._finish(caller)
            else:
                self._forget(caller, turn)
            raise
        job = self._threads.submit(work, data)
        job.add_done_callback(lambda _: self._hand_back(loop, caller))  # a cancelled call's thread works on to its end
        return await asyncio.wrap_future(job)

    def close(self) -> None:
        """Wait for the work that runs."""
        self._threads.shutdown()

    def _call(self) -> None:
        """Give free threads to whose turn it is; who was called goes to the end of the row."""
        for caller in list(self._waiting):
            if not self._free:
                return
            if self._running.get(caller, 0) >= self._share:
                continue
            turns = self._waiting.pop(caller)
            turn = turns.popleft()
            if turns:
                self._waiting[caller] = turns
            turn.set_result(None)
            self._free -= 1
            self._running[caller] += 1

    def _forget(self, caller: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting[caller]
        turns.remove(turn)
        if not turns:
            del self._waiting[caller]

    def _hand_back(self, loop: asyncio.AbstractEventLoop, caller: str) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._finish, caller)

    def _finish(self, caller: str) -> None:
        self._free += 1
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        self._call()
