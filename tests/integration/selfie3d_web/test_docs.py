"""The curl lines of docs/web.md work as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests import photos
from tests.integration.selfie3d_web.test_browser import page_of
from tests.stack import ROOT, Stack


def test_the_examples_of_the_manual_work(tmp_path: Path) -> None:
    found = re.search(r"```sh\n(.*?)```", (ROOT / "docs" / "web.md").read_text(), re.DOTALL)
    assert found
    (tmp_path / "me.jpg").write_bytes(photos.astronaut())
    with Stack(tmp_path) as stack, page_of(tmp_path, stack.addresses[0]) as (address, _):
        environment = {**os.environ, "WEB": address}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", found[1]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert "event: end" in done.stdout
    assert (tmp_path / "head.glb").read_bytes()[:12] == (tmp_path / "start.bin").read_bytes()
    assert (tmp_path / "head.glb").read_bytes()[:4] == b"glTF"
    assert (tmp_path / "head.webp").read_bytes()[8:12] == b"WEBP"
