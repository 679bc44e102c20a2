"""The receivers of docs/webhooks.md take what the service sends, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from selfie3d_jobs import Store
from selfie3d_jobs.maintenance import snapshot
from selfie3d_service import ServiceConfig
from selfie3d_service.webhooks import WebhookConfig
from tests.integration.conftest import served
from tests.integration.test_webhooks import cancelled
from tests.receiver import SECRET
from tests.stack import ROOT, eventually, eventually_async, free_port


@contextmanager
def example(folder: Path, language: str) -> Iterator[tuple[str, Path]]:
    """The manual's receiver in a process of its own: its host, and what it prints."""
    found = re.search(rf"```{language}\n(.*?)```", (ROOT / "docs" / "webhooks.md").read_text(), re.DOTALL)
    assert found
    file = folder / {"python": "receiver.py", "js": "receiver.mjs"}[language]
    file.write_text(found[1])
    port, printed = free_port(), folder / "printed"
    command = [{"python": sys.executable, "js": "node"}[language], str(file)]
    environment = {**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    with printed.open("wb") as out, subprocess.Popen(command, stdout=out, env=environment, stderr=out) as process:
        try:
            eventually(lambda: answers(port), f"{file} listens; {printed.read_text()}")
            yield f"127.0.0.1:{port}", printed
        finally:
            process.kill()


def answers(port: int) -> bool:
    """With a forged webhook, which must be refused."""
    try:
        return httpx.post(f"http://127.0.0.1:{port}/", content=b'{"type": "job.succeeded"}').status_code == 400
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("language", ["python", "js"])
async def test_a_receiver_of_the_manual_takes_what_is_genuine(
    service_config: ServiceConfig, store: Store, tmp_path: Path, language: str
) -> None:
    with example(tmp_path, language) as (host, printed):
        config = replace(service_config, webhooks=WebhookConfig(secret=SECRET, hosts=host, retry_seconds=0.05))
        async with served(config) as api:
            job_id = await cancelled(api, f"http://{host}/hook")

            async def is_delivered() -> bool:
                return store.run(snapshot()).counters.get("webhooks:delivered") == 1

            await eventually_async(is_delivered, f"the webhook is delivered: {printed.read_text()}")
    assert f"job.cancelled {job_id}\n" in printed.read_text()
