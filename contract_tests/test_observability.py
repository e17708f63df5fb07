"""What those who run the gateway see of it: health, metrics, logs and traces, and in none of them a word about anybody."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from adapters.simulator.faults import Fault
from contract_tests.benchmarks.overload import serving_process
from contract_tests.federation import federation
from contract_tests.hostile import CASE
from contract_tests.serving import Reply, Served, head

CANARY = "350102199001011234"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
REGISTERED = "query Registered { officer(certNo: \"35010020240001\") { officerName } }"  # fmt: skip


@dataclass(slots=True)
class Watched:
    """Everything that was to be seen of one gateway: what it answered, and after its end its log and its traces."""

    ready: Reply
    metrics: str
    traced: Reply
    refusals: list[int]
    cache_controls: set[str]
    log: str = ""
    traces: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A gateway in a process of its own that was asked all sorts of things with somebody's number in them."""
    folder = tmp_path_factory.mktemp("observed")
    (folder / "documents.json").write_text(json.dumps({"registered": REGISTERED}), "utf-8")
    with federation(folder) as sources, collector() as (endpoint, traces):
        sources.simulators["binhai_market"].faults.add(Fault("fault", code=CANARY))
        environment = {
            **sources.environment,
            "GATEWAY_OTLP_ENDPOINT": endpoint,
            "GATEWAY_TRUSTED_DOCUMENTS": str(folder / "documents.json"),
        }
        with serving_process(environment, folder / "log", cores="0,1") as running:
            seen = look(Served(running.port))
        seen.log, seen.traces = (folder / "log").read_text("utf-8"), traces
        yield seen


def look(gateway: Served) -> Watched:
    traced = gateway.ask(f"{{ {CASE} {{ caseName officers {{ officerName }} }} }}", traceparent=PARENT)
    assert gateway.ask(REGISTERED).status == 200
    gateway.ask(f'query P{CANARY} {{ party(uscc: "{CANARY}") {{ partyName }} }}', x_forwarded_for=CANARY)
    variables = {"where": {"certNo": {"eq": CANARY}}}
    gateway.ask("query ($where: OfficerWhere) { officers(where: $where) { totalCount } }", variables)
    gateway.ask(f"{{ p{CANARY} }}", traceparent=f"00-{CANARY}-1-1", tracestate=f"a={CANARY}", baggage=f"id={CANARY}")
    gateway.ask("{ __typename }", cookie=CANARY, authorization=f"Bearer {CANARY}", user_agent=CANARY)
    gateway.post(f'{{"query": "{CANARY}')
    gateway.get(f"query=%7Bparty(partyKey:%22{CANARY}%22)%7BpartyName%7D%7D")
    routes = ("/healthz", "/readyz", "/metrics")
    replies = [gateway.send(head("GET", route, {})) for route in routes]
    refused = [gateway.send(head("POST", route, {"content-length": "0"})).status for route in routes]
    controls = {reply.headers["cache-control"] for reply in replies}
    return Watched(replies[1], replies[2].body.decode(), traced, refused, controls)


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A collector that keeps what it is sent (OTLP over HTTP)."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_nobody_can_be_recognised_in_logs_metrics_and_traces(watched: Watched) -> None:
    assert watched.traces
    assert '"source.call"' in watched.log
    assert "gateway_request_seconds" in watched.metrics
    assert CANARY not in watched.log
    assert CANARY not in watched.metrics
    assert not [body for body in watched.traces if CANARY.encode() in body]


def test_ready_says_what_it_rests_on(watched: Watched) -> None:
    told = watched.ready.json
    assert (watched.ready.status, told["status"], told["store"], told["draining"]) == (200, "ready", True, False)
    assert {"binhai_market", "traffic_police"} <= set(told["sources"])


def test_these_pages_are_only_read_and_never_stored(watched: Watched) -> None:
    assert watched.refusals == [405, 405, 405]
    assert watched.cache_controls == {"no-store"}


def test_metrics_name_operations_by_what_is_registered_or_by_their_root(watched: Watched) -> None:
    named = set(re.findall(r'gateway_request_seconds_count\{operation="([^"]+)"', watched.metrics))
    assert {"Registered", "enforcementCase", "officers", "introspection", "other"} <= named
    assert named <= {"Registered", "enforcementCase", "officers", "party", "introspection", "other"}
    for name in (
        "gateway_step_seconds_count",
        "gateway_loop_lag_seconds_count",
        "gateway_requests_in_flight 0.0",
        "gateway_requests_waiting 0.0",
    ):
        assert name in watched.metrics


def test_a_trace_goes_on_from_its_sender_through_plan_and_steps_into_the_logs(watched: Watched) -> None:
    assert watched.traced.headers["x-trace-id"] == TRACE
    spans = {}
    for body in watched.traces:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                spans |= {span.span_id: span for span in scope.spans if span.trace_id.hex() == TRACE}
    (request,) = [span for span in spans.values() if span.name == "graphql.request"]
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    assert {span.name for span in spans.values() if span.parent_span_id == request.span_id} >= {"plan", "step"}
    calls = [json.loads(line) for line in watched.log.splitlines() if '"source.call"' in line]
    assert {call["trace_id"] for call in calls if call["source"] == "binhai_market"} == {TRACE}


def test_a_request_without_a_trace_gets_one(watched: Watched) -> None:
    ids = set(re.findall(r'"trace_id": "([0-9a-f]{32})"', watched.log))
    assert len(ids) > 1
