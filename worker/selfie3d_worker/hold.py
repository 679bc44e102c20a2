"""A stop that fault tests can set: SELFIE3D_TEST_HOLD_STAGE=STAGE:KEY. Off unless configured.

Before STAGE the worker waits as long as Redis has KEY. With STAGE `*` the key's value names the stage.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from selfie3d_jobs import Stage, Store

LOOK_SECONDS = 0.02


def open_hold(setting: str, store: Store) -> Callable[[Stage], None]:
    """What to call before each stage."""
    stage_name, _, key = setting.partition(":")
    if not key:
        return lambda _: None

    def hold(stage: Stage) -> None:
        while (value := store.plain(key)) is not None and stage in (stage_name, value if stage_name == "*" else ""):
            time.sleep(LOOK_SECONDS)

    return hold
