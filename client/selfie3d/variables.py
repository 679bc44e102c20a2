"""The names of all environment variables of selfie3d, and what to say about one that is none of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

PREFIX = "SELFIE3D_"
KNOWN = frozenset(
    {
        "SELFIE3D_ALIGNER",
        "SELFIE3D_ALLOW_INSECURE_BIND",
        "SELFIE3D_BATCH_WAIT_MS",
        "SELFIE3D_BLOBS",
        "SELFIE3D_BLOB_GRACE_SECONDS",
        "SELFIE3D_CONCURRENCY",
        "SELFIE3D_CONNECTION_GRACE_SECONDS",
        "SELFIE3D_DATA",
        "SELFIE3D_DEVICE",
        "SELFIE3D_ENGINE",
        "SELFIE3D_DRAIN_SECONDS",
        "SELFIE3D_FACE_ALIGNMENT_DETECTOR",
        "SELFIE3D_FACE_ALIGNMENT_FLIP",
        "SELFIE3D_FACE_ALIGNMENT_LANDMARKS",
        "SELFIE3D_FACE_ALIGNMENT_WEIGHTS",
        "SELFIE3D_HANDSHAKE_SECONDS",
        "SELFIE3D_INSECURE_TOKEN",
        "SELFIE3D_INTERACTIVE_TURNS",
        "SELFIE3D_JOB_TIMEOUT_SECONDS",
        "SELFIE3D_KEEPALIVE_SECONDS",
        "SELFIE3D_KEEPALIVE_TIMEOUT_SECONDS",
        "SELFIE3D_LEASE_SECONDS",
        "SELFIE3D_LISTEN",
        "SELFIE3D_LIST_JOBS",
        "SELFIE3D_LOG_FORMAT",
        "SELFIE3D_LOG_LEVEL",
        "SELFIE3D_MAX_BATCH",
        "SELFIE3D_MAX_CONNECTION_SECONDS",
        "SELFIE3D_MAX_DECODE_MIB",
        "SELFIE3D_MAX_DELIVERIES",
        "SELFIE3D_MAX_IDLE_SECONDS",
        "SELFIE3D_MAX_JOBS_PER_CALLER",
        "SELFIE3D_MAX_JOB_TIMEOUT_SECONDS",
        "SELFIE3D_MAX_QUEUED",
        "SELFIE3D_MAX_STORED_MIB",
        "SELFIE3D_MAX_STREAMS",
        "SELFIE3D_MAX_UPLOADS",
        "SELFIE3D_MAX_WEBHOOKS_PER_CALLER",
        "SELFIE3D_MESH_URLS",
        "SELFIE3D_METRICS_LISTEN",
        "SELFIE3D_MODEL",
        "SELFIE3D_MODEL_PROCESS",
        "SELFIE3D_PRECISION",
        "SELFIE3D_REDIS_PREFIX",
        "SELFIE3D_REDIS_URL",
        "SELFIE3D_REDIS_URL_FILE",
        "SELFIE3D_REFLECTION",
        "SELFIE3D_RESULT_RESERVE_MIB",
        "SELFIE3D_RETENTION_SECONDS",
        "SELFIE3D_SCALER",
        "SELFIE3D_SERVER",
        "SELFIE3D_THREADS",
        "SELFIE3D_TIME_LIMIT_SECONDS",
        "SELFIE3D_TLS_CERT",
        "SELFIE3D_TLS_CLIENT_CA",
        "SELFIE3D_TLS_KEY",
        "SELFIE3D_TOKEN",
        "SELFIE3D_TOKENS",
        "SELFIE3D_TOKEN_FILE",
        "SELFIE3D_UPLOAD_SECONDS",
        "SELFIE3D_WEBHOOK_CA",
        "SELFIE3D_WEBHOOK_HOSTS",
        "SELFIE3D_WEBHOOK_RETRY_SECONDS",
        "SELFIE3D_WEBHOOK_SECRET",
        "SELFIE3D_WEBHOOK_SECRET_FILE",
        "SELFIE3D_WEBHOOK_TIMEOUT_SECONDS",
        "SELFIE3D_WEB_ALLOW_INSECURE_BIND",
        "SELFIE3D_WEB_DRAIN_SECONDS",
        "SELFIE3D_WEB_HEADER_SECONDS",
        "SELFIE3D_WEB_HEARTBEAT_SECONDS",
        "SELFIE3D_WEB_HOSTS",
        "SELFIE3D_WEB_LISTEN",
        "SELFIE3D_WEB_MAX_CONNECTIONS",
        "SELFIE3D_WEB_SERVER_CA",
        "SELFIE3D_WEB_SERVER_CERT",
        "SELFIE3D_WEB_SERVER_KEY",
        "SELFIE3D_WEB_TLS_CERT",
        "SELFIE3D_WEB_TLS_KEY",
        "SELFIE3D_WEB_UPLOAD_SECONDS",
        "SELFIE3D_WORKER_START_SECONDS",
    }
)
OURS = frozenset({"SELFIE3D_PARENT_PID"})  # set by the command for its children
LINKED = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")  # by Kubernetes
LINK = re.compile(r"(tcp|udp|sctp)://")  # the value of its SELFIE3D_PORT


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """A sentence for each variable that begins like ours and is none, with the nearest one that there is."""
    return {name: _sentence(name) for name in sorted(environ) if _is_unknown(name, environ[name])}


def _is_unknown(name: str, value: str) -> bool:
    if not name.startswith(PREFIX) or name in KNOWN | OURS:
        return False
    return not (LINKED.search(name) or (name.endswith("_PORT") and LINK.match(value)))


def _sentence(name: str) -> str:
    near = difflib.get_close_matches(name, KNOWN, 1)
    hint = f"did you mean {near[0]}?" if near else "docs/settings.md lists all there are."
    return f"{name} is not a setting of selfie3d and changes nothing: {hint}"
