"""A REST system or a signed platform, over HTTP."""

import base64
import contextlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.mapping.written import BasicAuth, BearerAuth, HeaderAuth, PlatformConnect, RestConnect
from adapters.simulator.answering import Answer
from adapters.simulator.binding import ABSENT, Asked, Rejected, Sent, UnknownOperation, bind
from adapters.simulator.envelope import Verdict, answered, code_of, said
from adapters.simulator.faults import Fault
from adapters.simulator.http import disturbed
from adapters.simulator.json_text import Printed, parse_json, print_json
from adapters.simulator.platform_keys import Keys, keys_for
from adapters.simulator.simulation import Simulation
from adapters.simulator.trees import encode_answer

STATUS: dict[Verdict, int] = {"ok": 200, "empty": 200, "retry": 503, "throttled": 429, "denied": 403, "rejected": 400}
"""What HTTP says where the source has no code of its own."""

MEDIA_TYPES = {"json": "application/json", "xml": "text/xml"}


def rest_app(simulation: Simulation) -> Starlette:
    """The system as an ASGI application."""
    system = _System(simulation)
    return Starlette(routes=[Route("/{path:path}", system.handle, methods=["GET", "POST"])])


class _System:
    """One REST system: its records and, when it is a platform, the keys it has handed out."""

    def __init__(self, simulation: Simulation) -> None:
        connect = simulation.mapping.connect
        assert isinstance(connect, RestConnect | PlatformConnect)
        self.simulation, self.connect = simulation, connect
        self.answering = simulation.answering()
        self.printed: dict[int, Printed] = {}
        self.printed_version = simulation.dataset.version
        self.keys: Keys | None = None
        if isinstance(connect, PlatformConnect):
            self.keys = keys_for(simulation, connect.signing)

    async def handle(self, request: Request) -> Response:
        """One request, from its line to its answer."""
        parameters = await _parameters(request)
        if self.keys and (name := self.keys.refreshes.get((request.method, request.url.path))):
            disturbance = self.simulation.faults.take(name, is_business=False)
            body = self.keys.refresh(name, request.headers, parameters)
            return await disturbed(self.simulation, disturbance, _json(body), self._special)
        asked, refusal = await self._asked(request)
        operation = asked.operation if asked else refusal.operation if isinstance(refusal, Rejected) else None
        if operation is None:
            return self._unauthorized(request, parameters) or Response("Not Found", 404, media_type="text/plain")
        self.simulation.calls.add(operation.name, len(asked.keys) if asked else 0)
        disturbance = self.simulation.faults.take(operation.name)
        response = self._unauthorized(request, parameters) or self._answer(asked, refusal)
        return await disturbed(self.simulation, disturbance, response, self._special)

    async def _asked(self, request: Request) -> tuple[Asked | None, Exception | None]:
        try:
            sent = await _sent(request)
            return bind(self.simulation.mapping, sent, self.simulation.secrets), None
        except (Rejected, UnknownOperation) as error:
            return None, error

    def _answer(self, asked: Asked | None, refusal: Exception | None) -> Response:
        if asked is not None:
            try:
                answer = self.answering.answer(asked)
                return self._reply(
                    answered(self.simulation.mapping, asked, replace(answer, records=self._ready(answer)))
                )
            except Rejected as error:
                refusal = error
        return self._verdict("rejected", str(refusal))

    def _ready(self, answer: Answer) -> Sequence[Any]:
        """Records as they are put into an answer: of JSON the text, which is made once."""
        if self.connect.answer != ["json"]:
            return answer.records
        if self.printed_version != self.simulation.dataset.version:
            self.printed, self.printed_version = {}, self.simulation.dataset.version
        for record in answer.records:
            if id(record) not in self.printed:
                self.printed[id(record)] = Printed(print_json(record))
        return [self.printed[id(record)] for record in answer.records]

    def _unauthorized(self, request: Request, parameters: Mapping[str, str]) -> Response | None:
        if self.keys:
            refusal = self.keys.check(request.headers, parameters)
            return _json(self.keys.refused(refusal)) if refusal else None
        assert isinstance(self.connect, RestConnect)
        match self.connect.auth:
            case BearerAuth(token=token):
                name, right = "authorization", f"Bearer {self.simulation.secret(token)}"
            case BasicAuth(username=username, password=password):
                pair = f"{self.simulation.secret(username)}:{self.simulation.secret(password)}"
                name, right = "authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"
            case HeaderAuth(name=name, value=value):
                right = self.simulation.secret(value)
            case _:
                return None
        if hmac.compare_digest(request.headers.get(name, "").encode(), right.encode()):
            return None
        return self._reply(said(self.simulation.mapping, "denied", "未认证"), status=401)

    def _verdict(self, verdict: Verdict, message: str = "") -> Response:
        status = 200 if code_of(self.connect.outcome, verdict) else STATUS[verdict]
        return self._reply(said(self.simulation.mapping, verdict, message), status)

    def _reply(self, tree: Any, status: int = 200) -> Response:
        words = self.connect.answer
        body = encode_answer(words, tree, self.connect.charset, declared=self.connect.charset)
        return Response(body, status, headers={"content-type": MEDIA_TYPES.get(words[0], "text/plain")})

    def _special(self, fault: Fault) -> Response:
        if fault.kind == "throttle":
            return self._verdict("throttled")
        if fault.code is None or self.connect.outcome is None:
            return self._verdict("retry")
        return self._reply(said(self.simulation.mapping, "retry", code=fault.code))


async def _sent(request: Request) -> Sent:
    body: Any = ABSENT
    if _media_type(request) == "application/json":
        with contextlib.suppress(ValueError):
            body = parse_json(await request.body())
    form = _grouped(await _form(request))
    query = _grouped(request.query_params.multi_items())
    return Sent(request.method, request.url.path, request.headers.get("gjgxjhpt_sid"), query, body, form)


async def _parameters(request: Request) -> dict[str, str]:
    """Single parameters of query and form together, where a platform looks for its signature."""
    return {**request.query_params, **dict(await _form(request))}


async def _form(request: Request) -> list[tuple[str, str]]:
    if _media_type(request) != "application/x-www-form-urlencoded":
        return []
    return parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _grouped(items: list[tuple[str, str]]) -> dict[str, Any]:
    grouped: dict[str, Any] = {}
    for name, value in items:
        before = grouped.get(name)
        grouped[name] = value if before is None else [*before, value] if isinstance(before, list) else [before, value]
    return grouped


def _json(tree: Any) -> Response:
    return Response(print_json(tree).encode(), media_type="application/json")
