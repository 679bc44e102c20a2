"""The worker's settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from selfie3d_jobs import JobsConfig, logs
from selfie3d_jobs.env import check, setting

DEVICES = (r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or cuda:N")
DETECTORS = ("sfd", "blazeface", "blazeface-back", "retinaface", "yunet", "scrfd")


@dataclass(frozen=True)
class FaceAlignmentConfig:
    """The face-alignment finder, where it is the aligner."""

    weights: str = setting(
        "SELFIE3D_FACE_ALIGNMENT_WEIGHTS", "", "folder of its weights; empty: where `selfie3d weights fetch` puts them"
    )
    landmarks: str = setting("SELFIE3D_FACE_ALIGNMENT_LANDMARKS", "3d", "which landmarks it finds", words=("3d", "2d"))
    detector: str = setting("SELFIE3D_FACE_ALIGNMENT_DETECTOR", "sfd", "its detector", words=DETECTORS)
    flip: bool = setting("SELFIE3D_FACE_ALIGNMENT_FLIP", False, "align the mirrored face, too: twice the time")

    def __post_init__(self) -> None:
        """Refuse words that there are not. Raises ConfigError."""
        check(self)

    def options(self) -> dict[str, Any]:
        """For `vrn.finder.load_finder`."""
        return asdict(self) | {"weights": self.weights or None}


@dataclass(frozen=True)
class WorkerConfig:
    """One worker process with its children."""

    jobs: JobsConfig = field(default_factory=JobsConfig)
    concurrency: int = setting(
        "SELFIE3D_CONCURRENCY", 1, "children, each with its own copy of the model", within=(1, 1024)
    )
    interactive_turns: int = setting(
        "SELFIE3D_INTERACTIVE_TURNS",
        9,
        "interactive jobs a worker takes in a row, at most, while bulk jobs wait",
        within=(1, 1_000_000),
    )
    model: str = setting("SELFIE3D_MODEL", "default", "weights: a name or a file")
    aligner: str = setting("SELFIE3D_ALIGNER", "bundled", "face finder: bundled or face-alignment")
    face_alignment: FaceAlignmentConfig = field(default_factory=FaceAlignmentConfig)
    device: str = setting("SELFIE3D_DEVICE", "auto", "what the networks run on", pattern=DEVICES)
    engine: str = setting(
        "SELFIE3D_ENGINE",
        "auto",
        "what runs the networks: onnx on the CPU, torch on a GPU; auto chooses by what is there",
        words=("auto", "onnx", "torch"),
    )
    precision: str = setting(
        "SELFIE3D_PRECISION",
        "auto",
        "of the networks; auto is half on a GPU, int8 in ONNX Runtime and else single",
        words=("auto", "single", "half", "int8"),
    )
    model_process: str = setting(
        "SELFIE3D_MODEL_PROCESS",
        "auto",
        "whether one process runs the networks for all children of a worker, in batches; auto: on a GPU",
        words=("auto", "on", "off"),
    )
    max_batch: int = setting(
        "SELFIE3D_MAX_BATCH", 16, "photos that the model process runs at once, at most", within=(1, 1024)
    )
    batch_wait_ms: float = setting(
        "SELFIE3D_BATCH_WAIT_MS",
        3.0,
        "time that the model process waits for photos of other jobs, at most, ms",
        within=(0.0, 1000.0),
    )
    threads: int = setting(
        "SELFIE3D_THREADS",
        0,
        "CPU threads of a child, or of the model process; 0: the cores shared among the children, or all",
        within=(0, 1024),
    )
    max_decode_mib: int = setting(
        "SELFIE3D_MAX_DECODE_MIB",
        1152,
        "memory that decoding one photo may take by its header, MiB; a larger one is refused",
        within=(1, 1_000_000),
    )
    start_seconds: float = setting(
        "SELFIE3D_WORKER_START_SECONDS", 180.0, "a child must have loaded its model by then, s", within=(1.0, 86400.0)
    )
    otlp_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT", "", "where spans go, with the extra otel; empty: nowhere"
    )
    log_level: str = setting("SELFIE3D_LOG_LEVEL", "INFO", "the least that is logged", words=logs.LEVELS)
    log_format: str = setting("SELFIE3D_LOG_FORMAT", "json", "how a line is logged", words=logs.FORMATS)
    # UNIX socket of the model process that runs the networks; the worker sets it for its children.
    models: str = ""
    # MODULE:FUNCTION(config) -> Reconstruct. No variable sets it; tests bring their own.
    reconstructor: str = "selfie3d_worker.vrn_model:open_reconstructor"

    def __post_init__(self) -> None:
        """Refuse what could not work. Raises ConfigError."""
        check(self)
