"""Frames of graphql-core's incremental executor as payloads of the wire, worded as the proposal “Incremental Delivery” has it.

`path` and `label` stand beside `id`, since clients of earlier drafts look for them there.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from graphql import GraphQLError
from graphql.execution import PendingResult

from gateway.engine.answer import Answers
from gateway.engine.error_masking import tidy


async def payloads(frames: Any, answers: Answers) -> AsyncIterator[dict[str, Any]]:
    """A payload for each frame; errors that stand beside data come with the first payload after they were found."""
    pending: dict[str, PendingResult] = {}
    async with aclosing(frames):
        async for frame in frames:
            for result in (frame, *_inner(frame)):
                if getattr(result, "errors", None):
                    result.errors = tidy(result.errors)
            beside, answers.beside[:] = list(answers.beside), []
            pending.update({item.id: item for item in getattr(frame, "pending", None) or ()})
            yield _payload(frame, beside, pending)


def _inner(frame: Any) -> list[Any]:
    return [*(getattr(frame, "incremental", None) or ()), *(getattr(frame, "completed", None) or ())]


def _payload(frame: Any, beside: list[GraphQLError], pending: dict[str, PendingResult]) -> dict[str, Any]:
    if not hasattr(frame, "has_next"):  # nothing was deferred after all
        errors = [error.formatted for error in (*(frame.errors or ()), *beside)]
        return {**({"errors": errors} if errors else {}), "data": frame.data, "hasNext": False}
    payload: dict[str, Any] = dict(frame.formatted)
    payload["hasNext"] = frame.has_next
    if not payload.get("extensions"):
        payload.pop("extensions", None)
    for item in payload.get("incremental", ()):
        of = pending[item["id"]]
        item["path"] = [*of.path, *item.get("subPath", ())]
        if of.label is not None:
            item["label"] = of.label
    if beside:
        holder = payload if "data" in payload or not payload.get("incremental") else payload["incremental"][0]
        holder["errors"] = [*holder.get("errors", ()), *(error.formatted for error in beside)]
    return payload
