"""What the processes say when they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.stack import free_port


@pytest.mark.parametrize("process", ["serve", "web", "worker"])
def test_a_misspelt_variable_is_a_line_of_the_log(process: str) -> None:
    here = f"127.0.0.1:{free_port()}"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "SELFIE3D_LISTEN": here,
        "SELFIE3D_WEB_LISTEN": here,
        "SELFIE3D_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "SELFIE3D_REFLECTON": "off",
    }
    command = [sys.executable, "-m", "selfie3d_cli", process]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as started:
        assert started.stderr is not None
        try:
            line = json.loads(next(line for line in started.stderr if "SELFIE3D_REFLECTON" in line))
        finally:
            started.kill()
    said = "SELFIE3D_REFLECTON is not a setting of selfie3d and changes nothing: did you mean SELFIE3D_REFLECTION?"
    assert (line["level"], line["message"], line["variable"]) == ("warning", said, "SELFIE3D_REFLECTON")
