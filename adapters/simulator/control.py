"""A second small HTTP server beside the simulated one, for people and tests: what it did, what it should do wrong."""

import json
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.simulator.faults import Fault
from adapters.simulator.samples import parse_records
from adapters.simulator.simulation import Simulation


def control_app(simulation: Simulation, url: str) -> Starlette:
    """`GET /` · `POST` and `DELETE /faults` · `GET` and `DELETE /calls` · `PUT /records/<entity or table>`."""
    control = _Control(simulation, url)
    routes = [
        Route("/", control.state, methods=["GET"]),
        Route("/faults", control.add_fault, methods=["POST"]),
        Route("/faults", control.clear_faults, methods=["DELETE"]),
        Route("/calls", control.calls, methods=["GET"]),
        Route("/calls", control.clear_calls, methods=["DELETE"]),
        Route("/records/{name}", control.replace_records, methods=["PUT"]),
    ]
    return Starlette(routes=routes)


class _Control:
    """The handlers; each answers JSON, and a mistake with 400 and its reason."""

    def __init__(self, simulation: Simulation, url: str) -> None:
        self.simulation, self.url = simulation, url

    async def state(self, _request: Request) -> Response:
        """What is simulated, where, with how many records, and which faults are in force."""
        mapping = self.simulation.mapping
        return _json(
            {
                "source": mapping.name,
                "title": mapping.title,
                "kind": mapping.connect.kind,
                "url": _without_password(self.url),
                "records": self.simulation.dataset.counts,
                "calls": len(self.simulation.calls.seen()),
                "faults": self.simulation.faults.in_force(),
            }
        )

    async def add_fault(self, request: Request) -> Response:
        """`{"kind": "slow", "seconds": 2, "times": 1, "operation": "cases_by_no"}`; only `kind` is needed."""
        try:
            words = json.loads(await request.body())
            if not isinstance(words, dict) or "kind" not in words:
                raise ValueError("应为带 kind 的对象")
            operation = words.get("operation")
            if operation is not None and operation not in self._operations():
                raise ValueError(f"没有操作 {operation}（有：{'、'.join(self._operations())}）")
            self.simulation.faults.add(Fault(**words))
        except (ValueError, TypeError) as error:
            return _json({"error": str(error)}, 400)
        return _json(self.simulation.faults.in_force(), 201)

    async def clear_faults(self, _request: Request) -> Response:
        """Behave again."""
        self.simulation.faults.clear()
        return Response(status_code=204)

    async def calls(self, _request: Request) -> Response:
        """The business calls that arrived, oldest first."""
        return _json([asdict(call) for call in self.simulation.calls.seen()])

    async def clear_calls(self, _request: Request) -> Response:
        """Forget them."""
        self.simulation.calls.clear()
        return Response(status_code=204)

    async def replace_records(self, request: Request) -> Response:
        """A whole new list of records: JSON, XML for SOAP, JSON or CSV (`text/csv`) for tables."""
        kind, name = self.simulation.mapping.connect.kind, request.path_params["name"]
        form = "csv" if request.headers.get("content-type", "").startswith("text/csv") else "json"
        try:
            self.simulation.dataset.replace(name, parse_records(kind, await request.body(), form))
        except KeyError as error:
            return _json({"error": f"没有 {error.args[0]}"}, 404)
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        return _json({name: self.simulation.dataset.counts[name]})

    def _operations(self) -> list[str]:
        return [*self.simulation.mapping.operations, "refresh", "refresh_by_key", "refresh_by_secret"]


def _json(value: Any, status: int = 200) -> Response:
    return JSONResponse(value, status)


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
