"""W3C trace context from the caller through the queue to the worker's stages.

Without OpenTelemetry the traceparent only travels along and shows in the logs. With the extra `.[otel]`
installed and a provider configured there is a span for each call, each attempt and each stage.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from selfie3d_jobs.errors import ConfigError

try:
    from opentelemetry import propagate, trace
except ImportError:
    trace = None  # type: ignore[assignment, unused-ignore]

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def accept(traceparent: str | None) -> str:
    """The caller's traceparent when it is a valid one, else a new one."""
    if traceparent and TRACEPARENT.fullmatch(traceparent):
        return traceparent
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str) -> str:
    """The part that all spans of a trace share."""
    return traceparent.split("-")[1] if TRACEPARENT.fullmatch(traceparent) else ""


def export(endpoint: str, process: str) -> None:
    """Send spans of this process to an OTLP endpoint, when there is one. Raises ConfigError without the extra."""
    if not endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError("OTEL_EXPORTER_OTLP_ENDPOINT needs `pip install '.[otel]'`.") from error

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: process}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    trace.set_tracer_provider(provider)


def close() -> None:
    """Send what is left; a pool child ends without atexit."""
    shutdown = getattr(trace.get_tracer_provider(), "shutdown", None) if trace else None
    if shutdown:
        shutdown()


@contextmanager
def span(name: str, traceparent: str = "", **attributes: str | int | float) -> Iterator[str]:
    """A span below `traceparent`, or below the current span; yields the traceparent for what it calls."""
    if trace is None or isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):  # none is configured
        yield traceparent
        return
    parent = propagate.extract({"traceparent": traceparent}) if traceparent else None
    with trace.get_tracer("selfie3d").start_as_current_span(name, context=parent, attributes=attributes):
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        yield carrier.get("traceparent", traceparent)
