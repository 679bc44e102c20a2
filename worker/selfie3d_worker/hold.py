"""A stop that fault tests can set: SELFIE3D_TEST_HOLD_STAGE=STAGE:KEY. Off unless configured.

Before STAGE the worker waits as long as Redis has KEY. With STAGE `*` it is the value of KEY:REQUEST_ID that names
the stage before which the job of that request waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from selfie3d_jobs import Record, Stage, Store

LOOK_SECONDS = 0.02
Hold = Callable[[Record, Stage], None]


def open_hold(setting: str, store: Store) -> Hold:
    """What to call before each stage of a job."""
    stage_name, _, key = setting.partition(":")
    if not key:
        return lambda _job, _stage: None

    def hold(job: Record, stage: Stage) -> None:
        if stage_name == "*":
            wait_while(lambda: store.plain(f"{key}:{job.settings.request_id}") == stage)
        elif stage_name == stage:
            wait_while(lambda: store.plain(key) is not None)

    return hold


def wait_while(condition: Callable[[], bool]) -> None:
    """Look again and again."""
    while condition():
        time.sleep(LOOK_SECONDS)
