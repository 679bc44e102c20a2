"""`selfie3d demo`: the whole road once. Redis, service and worker are started, a photo goes through, all is stopped."""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfie3d import Client, JobOptions
from selfie3d.types.mesh_file import write_atomically
from selfie3d_cli.errors import CommandError, ExtraMissingError
from selfie3d_cli.local_stack import LocalStack, StackConfig
from selfie3d_cli.outcome import PhotoFailedError
from selfie3d_cli.page import page_address, page_url
from selfie3d_cli.ports import LOOPBACK, free_port
from selfie3d_cli.progress import ProgressView
from selfie3d_cli.reconstruct import preview
from selfie3d_cli.remote import RemoteBackend
from selfie3d_cli.settings import from_environment

if TYPE_CHECKING:
    from selfie3d import Face, Result

OUTPUT = Path("out")
LOOK = 0.5  # seconds between two looks at the children while the page is open
LAST_LINES = 30  # of the children, shown when something fails

say = partial(print, flush=True)  # at once, also where stdout is a pipe


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("demo", help="start everything, reconstruct one photo, stop everything")
    parser.add_argument("photo", nargs="?", type=Path, metavar="PHOTO", help="default: the astronaut of scikit-image")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT, metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--open", action="store_true", help="stay up with the page until Ctrl-C")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write NAME.ply and NAME.png and say where they are and how long each stage took."""
    name = args.photo.stem if args.photo else "astronaut"
    photo = _read(args.photo) if args.photo else _astronaut()
    lines: list[str] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="selfie3d-") as data:
        settings = from_environment()
        config = StackConfig(
            data=Path(data),
            listen=f"{LOOPBACK}:{free_port()}",
            workers=1,
            web=page_address(settings, say) if args.open else "",
            tls=bool(settings.tls_certificate),
            log_format=settings.log_format or StackConfig.log_format,
        )
        try:
            say("starting Redis, the service and a worker")
            with LocalStack(config, lines.append) as stack:
                stack.await_ready()
                say(f"ready at {config.listen} after {time.monotonic() - started:.1f} s")
                result = _reconstruct(photo, name, config.listen)
                if config.web:
                    _report(_write(result.faces[0], args.output, name), result.seconds)
                    _stay_up(stack)
                    return 0
        except PhotoFailedError as failure:
            raise CommandError(f"{args.photo or name}: {failure} ({failure.reason})") from failure
        except CommandError:
            say("\n".join(lines[-LAST_LINES:]))
            raise
    _report(_write(result.faces[0], args.output, name), result.seconds)
    say("to turn it around in a browser: make demo OPEN=1, or selfie3d up")
    return 0


def _stay_up(stack: LocalStack) -> None:
    """Until Ctrl-C."""
    say(f"the page: {page_url(stack.config.web)}  (Ctrl-C stops everything)")
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(LOOK)
            stack.revive()


def _reconstruct(photo: bytes, name: str, address: str) -> Result:
    with Client(address) as client, ProgressView(1, quiet=True) as view:
        task = view.start(name)
        backend = RemoteBackend(client, address, JobOptions())
        return backend.reconstruct(photo, lambda stage, progress: view.advance(task, stage, progress))


def _write(face: Face, folder: Path, name: str) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [face.file.save(folder / f"{name}.ply"), write_atomically(folder / f"{name}.png", preview(face))]
    except OSError as error:
        raise CommandError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error


def _report(files: list[Path], seconds: dict[str, float]) -> None:
    for file in files:
        say(f"wrote {file}")
    for stage, took in seconds.items():
        say(f"{stage:<8} {took:6.3f} s")
    say(f"{'all':<8} {sum(seconds.values()):6.3f} s")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}.") from error


def _astronaut() -> bytes:
    """JPEG of Eileen Collins, NASA, public domain, from scikit-image."""
    try:
        from PIL import Image
        from skimage import data
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("worker", error.name) from error
    buffer = io.BytesIO()
    Image.fromarray(data.astronaut()).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
