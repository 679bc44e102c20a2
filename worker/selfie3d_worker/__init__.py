"""The Celery shell around vrn."""

from selfie3d_worker.config import WorkerConfig
from selfie3d_worker.model import Output, Reconstruct

__all__ = ["Output", "Reconstruct", "WorkerConfig"]
