"""The service and the page as processes."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType

import pytest

import selfie3d_service.main
import selfie3d_web.main


@pytest.mark.parametrize(("module", "server"), [(selfie3d_service.main, "Server"), (selfie3d_web.main, "WebServer")])
async def test_the_memory_is_settled_once_the_server_is_up(
    module: ModuleType, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def running(config: object) -> AsyncIterator[None]:
        del config
        steps.append("up")
        yield
        steps.append("down")

    def settle() -> None:
        steps.append("settled")
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(module, server, running)
    monkeypatch.setattr(module, "settle", settle)
    await module.serve(None)
    assert steps == ["up", "settled", "down"]
