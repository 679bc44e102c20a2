"""When to try again, and how long to wait."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from selfie3d.errors import QuotaExceeded, Selfie3dError, TlsFailed, Unavailable

LONGEST = 366 * 86400.0  # seconds of one call; far longer ones gRPC takes for none
UPLOADS_BUSY = "UPLOADS_BUSY"  # ErrorInfo.reason, docs/errors.md


@dataclass(frozen=True)
class Retry:
    """Which failed calls are made again. Only idempotent calls ever are; every create carries a request_id.

    Made again are calls that met Unavailable (but not TlsFailed), or a service that is receiving as many photos as it
    can (UPLOADS_BUSY): both pass by themselves.

    attempts : tries in a row without any progress before the error is raised; 1: never again
    first, largest : seconds of the first and of the longest pause; it doubles in between, and is drawn from its
        upper half so that many clients do not come back at once
    quota : also wait out QuotaExceeded (RESOURCE_EXHAUSTED), for as long as the service's RetryInfo says
    """

    attempts: int = 8
    first: float = 0.1
    largest: float = 5.0
    quota: bool = False
    draw: Callable[[], float] = random.random

    def pause(self, error: Selfie3dError, failures: int) -> float | None:
        """Seconds to wait after the `failures`-th failure in a row; None when the error is to be raised."""
        passing = (isinstance(error, Unavailable) and not isinstance(error, TlsFailed)) or error.reason == UPLOADS_BUSY
        retriable = passing or (self.quota and isinstance(error, QuotaExceeded))
        if not retriable or failures >= self.attempts:
            return None
        backoff = min(self.first * 2.0 ** (failures - 1), self.largest)
        return max(backoff * (0.5 + 0.5 * self.draw()), error.retry_after or 0.0)


class Deadline:
    """The end of one logical call, over all its tries.

    seconds : from now; math.inf: no end
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float | None:
        """Seconds left, not below 0; None: no end."""
        return None if math.isinf(self._end) else max(0.0, min(self._end - time.monotonic(), LONGEST))

    def allows(self, pause: float) -> bool:
        """Whether there is anything left after a pause of that many seconds."""
        remaining = self.remaining
        return remaining is None or remaining > pause
