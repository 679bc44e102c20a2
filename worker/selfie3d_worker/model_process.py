"""The model process: one for all children of a worker, started, watched and replaced by the worker's parent."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from selfie3d_jobs import logs
from selfie3d_worker.config import WorkerConfig
from selfie3d_worker.threads import threads_of
from vrn.engine import Batching, Engine, choose

log = logging.getLogger(__name__)

SHORT_LIFE = 10.0  # seconds; a process that lived no longer is replaced after a pause
PAUSE = 1.0  # seconds

spawning = multiprocessing.get_context("spawn")  # CUDA does not survive a fork


class ModelProcess:
    """Runs the model process from `start` to `stop`.

    Attributes
    ----------
    address : the UNIX socket at which it serves, in a folder that is ours alone
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._folder = Path(tempfile.mkdtemp(prefix="selfie3d-models-"))
        self.address = str(self._folder / "models")
        self._process: BaseProcess | None = None
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="model-process", daemon=True)

    @property
    def pid(self) -> int:
        """Of the process that serves now; 0 before the start."""
        return (self._process.pid if self._process else 0) or 0

    def start(self) -> None:
        """Start it; it listens a moment later."""
        self._launch()
        self._watcher.start()

    def stop(self) -> None:
        """End it, and start no other."""
        self._stopped.set()
        if self._process is not None:
            self._process.kill()
        self._watcher.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _launch(self) -> None:
        """Raises OSError when the machine has no process or memory left."""
        process = spawning.Process(target=serve, args=(self.address, self._config), name="models")
        process.start()
        self._process = process  # once it can be killed: `stop` may come at any moment
        log.info("The model process started.", extra={"action": "models", "pid": process.pid})

    def _watch(self) -> None:
        """Replace it whenever it ends; its callers wait meanwhile."""
        while self._process is not None:
            started = time.monotonic()
            self._process.join()
            if self._stopped.is_set():
                return
            code = self._process.exitcode
            log.error("The model process died and is replaced.", extra={"action": "models", "exit_code": code})
            if time.monotonic() - started < SHORT_LIFE and self._stopped.wait(PAUSE):
                return
            self._replace()
            if self._stopped.is_set():  # meanwhile
                self._process.kill()

    def _replace(self) -> None:
        """Launch another one, as soon as the machine allows it."""
        while not self._stopped.is_set():
            try:
                self._launch()
                return
            except OSError as error:
                why = type(error).__name__
                log.error("The model process cannot be started yet.", extra={"action": "models", "why": why})
                self._stopped.wait(PAUSE)


def is_wanted(config: WorkerConfig) -> bool:
    """Whether the networks run in a process of their own. Raises BackendMissingError, ValueError as `choose`."""
    engine = choose(config.engine, config.device)
    return config.model_process == "on" or (config.model_process == "auto" and engine.device != "cpu")


def engine_of(config: WorkerConfig, threads: int) -> Engine:
    """What runs the networks in the process that computes. Raises BackendMissingError, ValueError as `choose`."""
    return choose(config.engine, config.device, threads, config.precision)


def serve(address: str, config: WorkerConfig) -> None:
    """What the process does: serve the models until its parent ends, however that ends."""
    logs.configure(config.log_level, config.log_format)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the children may still be at work; the parent ends us when they are not
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from vrn.engine.model_server import ModelServer

    batching = Batching(config.max_batch, config.batch_wait_ms / 1000)
    ModelServer(address, engine_of(config, threads_of(config.threads)), batching).serve()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(0)
