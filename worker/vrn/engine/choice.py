"""Which engine runs the networks, and on what."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from importlib.util import find_spec

from vrn.errors import BackendMissingError

ONNX, TORCH = "onnx", "torch"
ENGINES = ("auto", ONNX, TORCH)
SINGLE, HALF, INT8 = "single", "half", "int8"
PRECISIONS = ("auto", SINGLE, HALF, INT8)
PACKAGES = {ONNX: "onnxruntime", TORCH: "torch"}
EXTRAS = {ONNX: "worker", TORCH: "worker-torch"}
DRIVERS = ("libcuda.so.1", "nvcuda.dll")  # without one of them no torch sees a GPU


@dataclass(frozen=True)
class Engine:
    """What `choose` chose.

    Attributes
    ----------
    name : onnx or torch
    device : of torch; onnx runs on the CPU
    threads : of one run; 0: one per core
    strict : False: weights without a graph run with torch, where that is installed
    precision : of the networks: single, half (torch only) or int8 (onnx only, for weights with such a graph)
    address : UNIX socket of the model process that runs the networks; empty: this process does
    """

    name: str
    device: str = "cpu"
    threads: int = 0
    strict: bool = False
    precision: str = SINGLE
    address: str = ""


def choose(name: str = "auto", device: str = "auto", threads: int = 0, precision: str = "auto") -> Engine:
    """The engine of this name on this device.

    name : auto, onnx or torch; auto is ONNX Runtime on the CPU, where it is installed, and else torch
    device : auto, cpu, cuda or cuda:N; auto is the first GPU that torch can use, else the CPU
    precision : auto, single, half or int8; auto is half on a GPU, int8 in ONNX Runtime, and else single

    Raises BackendMissingError when the engine is not installed, ValueError for a name that there is not, for a GPU with
    ONNX Runtime and for a precision that the engine does not know.
    """
    engine = _chosen(name, device, threads)
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected {' or '.join(PRECISIONS)}, found {precision!r}")
    refused = HALF if engine.name == ONNX else INT8
    if precision == refused:
        raise ValueError(f"the engine {engine.name} does not compute in {refused}: use the precision auto")
    return replace(engine, precision=_usual(engine) if precision == "auto" else precision)


def _usual(engine: Engine) -> str:
    if engine.name == ONNX:
        return INT8
    return SINGLE if engine.device == "cpu" else HALF


def _chosen(name: str, device: str, threads: int) -> Engine:
    if name not in ENGINES:
        raise ValueError(f"engine: expected {' or '.join(ENGINES)}, found {name!r}")
    if name == ONNX and device not in ("auto", "cpu"):
        raise ValueError(f"the engine onnx runs on the CPU, not on {device}: use the engine torch or auto")
    if name == TORCH or (name == "auto" and device not in ("auto", "cpu")):
        return Engine(_installed(TORCH), _torch_device(device), threads, strict=name == TORCH)
    if name == "auto" and device == "auto" and _torch_sees_a_gpu():
        return Engine(TORCH, "cuda", threads)
    if name == "auto" and not is_installed(ONNX) and is_installed(TORCH):
        return Engine(TORCH, "cpu", threads)
    return Engine(_installed(ONNX), "cpu", threads, strict=name == ONNX)


def is_installed(engine: str) -> bool:
    """Whether the engine's package is there; it is not imported."""
    try:
        return find_spec(PACKAGES[engine]) is not None
    except (ModuleNotFoundError, ValueError):  # of what keeps a package from being imported
        return False


def missing(engine: str, purpose: str = "") -> BackendMissingError:
    """The error for what wants an engine that is not installed. purpose : ", which ... wants"."""
    return BackendMissingError(f"{PACKAGES[engine]} is not installed{purpose}: run `pip install '.[{EXTRAS[engine]}]'`")


def _installed(engine: str) -> str:
    if not is_installed(engine):
        raise missing(engine)
    return engine


def _torch_device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if _torch_sees_a_gpu() else "cpu"


def _torch_sees_a_gpu() -> bool:
    """torch is imported only where there is a driver: it takes a second and 200 MB."""
    if not is_installed(TORCH) or not any(_loads(driver) for driver in DRIVERS):
        return False
    import torch

    return torch.cuda.is_available()


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
