"""What was deleted leaves the disk, too: the append-only log is rewritten after deletions and before the server ends.

The log holds every write since its last rewrite, so also the photos and meshes that are gone from memory. The server
rewrites it by itself only once it has doubled and passed 64 MiB.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable

from selfie3d_cli.redis_log import AppendLog

REWRITE_SECONDS = 60.0  # what was deleted may stay on the disk for so long
REST = 9  # times as long as a rewrite took nothing is rewritten again: a tenth of the time at most
TIMEOUT = 300.0  # seconds for one rewrite
POLL = 0.02  # seconds between two looks at a running rewrite

Ask = Callable[[bytes], bytes]

logger = logging.getLogger(__name__)


class Rewriter(threading.Thread):
    """Rewrites the log of one running server when something was deleted since the last time, until `end`.

    log : of the server
    ask : sends the server an inline command and returns the whole answer. Raises OSError
    stale : whether the log may hold something deleted from the start, as that of an earlier server does
    seconds : between a deletion and the rewrite, at most, while rewrites are quick
    """

    def __init__(self, log: AppendLog, ask: Ask, *, stale: bool, seconds: float = REWRITE_SECONDS) -> None:
        super().__init__(name="redis-rewrite", daemon=True)
        self._log = log
        self._ask = ask
        self._seconds = seconds
        self._rewritten_at: int | None = None if stale else 0  # deletions when the log was last without any
        self._failed = False
        self._ended = threading.Event()

    def run(self) -> None:
        """Rewrite until `end`."""
        pause = self._seconds
        while not self._ended.wait(pause):
            begun = time.monotonic()
            self.rewrite_if_stale(self._ended.is_set)
            pause = max(self._seconds, REST * (time.monotonic() - begun))

    def end(self) -> None:
        """Stop; a rewrite that the server has begun goes on by itself."""
        self._ended.set()
        if self.is_alive():
            self.join()

    def rewrite_if_stale(self, stopped: Callable[[], bool] = bool) -> None:
        """Rewrite the log if it may hold something that was deleted, and wait for it. A failure is logged.

        stopped : looked at while waiting; when it is true nobody waits any longer
        """
        try:
            deletions = self._deletions()
            if deletions == self._rewritten_at:
                return
            done = self._rewrite(stopped)
        except OSError as error:
            self._tell(False, str(error))
            return
        if done:
            self._rewritten_at = deletions
        self._tell(done or stopped(), "see redis.log")

    def _deletions(self) -> int:
        """How many keys expired or were removed since the server started."""
        expired = re.search(rb"expired_keys:(\d+)", self._ask(b"INFO stats\r\n"))
        removed = re.search(rb"cmdstat_unlink:calls=(\d+)", self._ask(b"INFO commandstats\r\n"))
        return sum(int(found[1]) for found in (expired, removed) if found)

    def _rewrite(self, stopped: Callable[[], bool]) -> bool:
        """Whether every file of before is gone, so that what was deleted by now is in none."""
        before = self._log.files()
        deadline = time.monotonic() + TIMEOUT
        running = False
        while any(path.exists() for path in before):
            if stopped() or time.monotonic() > deadline:
                return False
            if not running:  # refused while an earlier one is running, which may have begun too early for us
                running = self._ask(b"BGREWRITEAOF\r\n").startswith(b"+")
            elif self._has_failed():
                return False
            time.sleep(POLL)
        return True

    def _has_failed(self) -> bool:
        state = self._ask(b"INFO persistence\r\n")
        words = (b"aof_rewrite_in_progress:0", b"aof_rewrite_scheduled:0", b"aof_last_bgrewrite_status:err")
        return all(word in state for word in words)

    def _tell(self, well: bool, why: str) -> None:
        """Log a failure when it is new."""
        if not well and not self._failed:
            logger.warning("the append-only log cannot be rewritten: it still holds what was deleted (%s)", why)
        self._failed = not well
