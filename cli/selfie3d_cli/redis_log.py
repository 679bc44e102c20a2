"""The append-only log of a Redis server: where its files are, whether they can be trusted, how they reach the disk.

Since version 7 the log is a folder:

    DATA/appendonlydir/appendonly.aof.manifest       which files count, in order
                       appendonly.aof.1.base.rdb     everything up to the last rewrite
                       appendonly.aof.1.incr.aof     every write since; more than one while a rewrite is running

Older servers kept a single file, DATA/appendonly.aof. The server itself moves that file into the folder at its first
start. What it does not do is complain about a folder that makes no sense: it starts empty. `AppendLog.check` refuses.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

from selfie3d_cli.errors import RedisDataError

NAME = "appendonly.aof"  # the default `appendfilename`; the single file of old servers has this name as well
SYNC_SECONDS = 1.0  # a power failure costs the writes since the last sync

logger = logging.getLogger(__name__)


class AppendLog:
    """The log below a data folder.

    data : the server's working folder
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.folder = data / "appendonlydir"
        self.manifest = self.folder / f"{NAME}.manifest"

    def files(self) -> list[Path]:
        """The files that hold the data, in the order of their writes. Raises OSError."""
        return self._listed(self.manifest.read_text())

    def check(self) -> None:
        """Make sure that a server will load all that was written here. Raises RedisDataError."""
        listed = self.files() if self.manifest.exists() else []
        if not listed and any(path.stat().st_size for path in self.folder.glob(f"{NAME}.*.*")):
            raise RedisDataError(
                f"{self.folder} holds data but no manifest, and Redis would start empty: "
                f"restore {self.manifest.name} from a backup, or move the folder away."
            )
        upgrading = self.folder / NAME in listed and not (self.folder / NAME).exists()
        if listed and not upgrading and (self.data / NAME).exists():
            raise RedisDataError(
                f"{self.data} holds {NAME} of an older server beside {self.folder.name} of a newer one, and Redis "
                "would ignore the older: move away the one that is not wanted."
            )

    def holds_data(self) -> bool:
        """Whether an earlier server has written anything here."""
        paths = [self.data / NAME, *(self.folder.iterdir() if self.folder.is_dir() else ())]
        return any(path.stat().st_size for path in paths if path.exists() and path != self.manifest)

    def sweep(self) -> None:
        """Remove what rewrites left behind that were killed. No server may be running here. Raises OSError."""
        for folder in (self.data, self.folder):
            for path in folder.glob("temp-*"):
                path.unlink()

    def sync(self) -> None:
        """Wait until all that the log holds now is on the disk, and so are the names of its files. Raises OSError.

        A rewrite may replace the files at any moment: when one is gone, so is the manifest that listed it.
        """
        while True:
            manifest = self.manifest.read_text()
            try:
                for path in (*self._listed(manifest), self.manifest, self.folder, self.data):
                    _sync(path)
                return
            except FileNotFoundError:
                if self.manifest.read_text() == manifest:
                    raise

    def _listed(self, manifest: str) -> list[Path]:
        """Lines look like `file appendonly.aof.1.incr.aof seq 1 type i`; type h is history, about to be deleted."""
        lines = [line.split() for line in manifest.splitlines()]
        entries = [dict(zip(words[::2], words[1::2], strict=True)) for words in lines]
        return [self.folder / entry["file"] for entry in entries if entry["type"] != "h"]


class Syncer(threading.Thread):
    """Syncs a log every SYNC_SECONDS until `end`, or until that fails: then `error` says why, and nothing syncs.

    It does not try again, because the kernel reports a failed write once: the next sync would succeed without the data.
    """

    def __init__(self, log: AppendLog) -> None:
        super().__init__(name="redis-sync", daemon=True)
        self.error: Exception | None = None
        self._log = log
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        """Sync until `end` or an error."""
        while not self._ended.wait(SYNC_SECONDS):
            try:
                self._log.sync()
            except Exception as error:  # whatever it is: a thread that dies in silence is what must not happen
                logger.error("the append-only log of Redis cannot be synced to the disk: %s", error)
                self.error = error  # last: whoever sees it finds the reason in the log
                return

    def end(self) -> None:
        """Stop."""
        self._ended.set()
        self.join()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
