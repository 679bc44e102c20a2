"""docker compose as people use it, from a copy of the repository in which more lies about than belongs there."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stack import eventually

ROOT = Path(__file__).parents[2]
STRAYS = (
    "worker/tokens.toml",
    "worker/stray.bin",
    "service/selfie3d_jobs/stray.pyc",
    "cli/selfie3d_cli/.env",
    "stray.pem",
)
STRAY_BYTES = 50_000_000
PYTHON = "python:3.11-slim"
HEALTHY_SECONDS = 180


def run(*command: str, cwd: Path = ROOT, check: bool = True, env: dict[str, str] | None = None) -> str:
    """What a command prints; its errors are shown when it fails."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})}
    )
    assert not check or done.returncode == 0, f"{command}: {done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr if not check else done.stdout


def copy_of_the_repository(folder: Path) -> Path:
    """What git has or would add, and strays."""
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    for name in STRAYS:
        (folder / name).write_bytes(b"stray" * (STRAY_BYTES // 5 if name.endswith("bin") else 1))
    return folder


@dataclass
class Deployment:
    """A project of compose.

    folder : where docker-compose.yml is
    overrides : which files go over it, e.g. "tls"
    """

    folder: Path
    overrides: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    def compose(self, *arguments: str, check: bool = True) -> str:
        files = ["docker-compose.yml", *(f"docker-compose.{name}.yml" for name in self.overrides)]
        names = [part for file in files for part in ("-f", file)]
        return run("docker", "compose", *names, *arguments, cwd=self.folder, check=check, env=self.env)

    def up(self, *arguments: str) -> None:
        self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(HEALTHY_SECONDS), *arguments)

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).split()

    def inspect(self, service: str) -> dict[str, Any]:
        (container,) = self.containers(service)
        return dict(json.loads(run("docker", "inspect", container))[0])

    def health(self, service: str) -> str:
        return str(self.inspect(service)["State"]["Health"]["Status"])

    def await_health(self, service: str, wanted: str = "healthy") -> None:
        eventually(lambda: self.health(service) == wanted, f"{service} is {wanted}", HEALTHY_SECONDS)

    def python(self, service: str, code: str, check: bool = True) -> str:
        """What code prints in a service's container."""
        return self.compose("exec", "--no-TTY", service, "python", "-c", code, check=check).strip()

    def signal(self, service: str, kind: str, signal: str) -> int:
        """Send a signal to the process of this kind in a container, as `selfie3d_jobs.pulse` knows it; its number.

        SIGKILL may end the container before it is told which: 0.
        """
        code = (
            "import os, signal; from selfie3d_jobs.pulse import ProcessKind, beats; "
            f"(beat,) = beats(ProcessKind.{kind}); print(beat.pid, flush=True); os.kill(beat.pid, signal.{signal})"
        )
        killed = signal == "SIGKILL"
        said = self.python(service, code, check=not killed)
        return 0 if killed else int(said)
