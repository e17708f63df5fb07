"""Traces, for OpenTelemetry: request, plan, step, call. Without an exporter every request still has an identifier for the logs."""

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACER = trace.get_tracer("gateway")
HEADER = "traceparent"
_propagator = TraceContextTextMapPropagator()
_random = random.Random()
"""Identifiers have to be rare and not secret (W3C Trace Context §3.2.2.3), so that asking the kernel for each is not worth it."""
os.register_at_fork(after_in_child=_random.seed)
_NOTHING: AbstractContextManager[None] = nullcontext()
is_exporting = False
"""Whether anybody is told of spans; while nobody is, whoever would make one need not."""


def set_up_tracing(endpoint: str, version: str) -> None:
    """Send spans to this OTLP/HTTP endpoint from now on, in batches, by a thread of its own. Once a process."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    global is_exporting
    if is_exporting:
        return
    provider = TracerProvider(resource=Resource({"service.name": "minzhifa-gateway", "service.version": version}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)
    is_exporting = True


def flush_traces() -> None:
    """Send what is still here; at the end of a process."""
    provider = trace.get_tracer_provider()
    if is_exporting and hasattr(provider, "force_flush"):
        provider.force_flush(2000)


class _Untold:
    """Where nobody is told of spans, a request has an identifier and nothing else."""

    __slots__ = ()

    def __enter__(self) -> tuple[str, trace.Span]:
        return _new_id(), trace.INVALID_SPAN

    def __exit__(self, *_error: object) -> None:
        pass


_untold = _Untold()


def _new_id() -> str:
    return f"{_random.getrandbits(128) or 1:032x}"


def request_span(traceparent: str | None) -> AbstractContextManager[tuple[str, trace.Span]]:
    """The trace identifier of a request, and its span: the child of who sent `traceparent`, where that is well-formed."""
    return _request_span(traceparent) if is_exporting or traceparent else _untold


@contextmanager
def _request_span(traceparent: str | None) -> Iterator[tuple[str, trace.Span]]:
    """The trace identifier of a request, and its span: the child of who sent `traceparent`, where that is well-formed.

    Neither `tracestate` nor baggage is taken: they are words of others.
    """
    parent = _propagator.extract({HEADER: traceparent}, Context()) if traceparent else Context()
    if not is_exporting:
        told = trace.get_current_span(parent).get_span_context()
        yield (f"{told.trace_id:032x}" if told.is_valid else _new_id()), trace.INVALID_SPAN
        return
    with TRACER.start_as_current_span(
        "graphql.request", parent, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
    ) as span:
        yield f"{span.get_span_context().trace_id:032x}", span


def span(name: str, attributes: Mapping[str, str | int]) -> AbstractContextManager[object]:
    """A span of what is done meanwhile; costs nothing when nobody is told."""
    if not is_exporting:
        return _NOTHING
    return TRACER.start_as_current_span(name, attributes=attributes, record_exception=False)
