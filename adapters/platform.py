"""Signed data-sharing platforms: every request carries a signature, made with a secret that is fetched and renewed.

A refused signature is part of the protocol: the secret is renewed (and the platform's clock learned) and the call made
once more. That is no retry: the first one was never looked at.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from adapters.http import HttpAnswer, HttpClient, raise_for_status
from adapters.keys import Clock, Key
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.written import NationalSigning, PlatformConnect, Request, ZhejiangSigning
from adapters.outcome import Verdict, judge_for
from adapters.page import off_loop, operation_of, page_of, told_by
from adapters.rest import http_request, timed, tree_in
from adapters.schemes import KeyAsker, National, Scheme, Zhejiang
from adapters.secrets import Secrets, resolve_address
from adapters.source import Call, Page


class PlatformSource:
    """A source behind a data-sharing platform. `rare` fetches secrets, `http` does everything else."""

    def __init__(
        self,
        mapping: SourceMapping,
        connect: PlatformConnect,
        secrets: Secrets,
        http: HttpClient,
        rare: HttpClient,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.mapping, self.connect, self.secrets, self.http, self.rare = mapping, connect, secrets, http, rare
        self.base = resolve_address(connect.base_url, secrets)
        self.judge = judge_for(connect.outcome)
        asker = KeyAsker(self.base, connect, rare, Clock(now))
        match connect.signing:
            case NationalSigning() as signing:
                self.scheme: Scheme = National(signing, secrets, asker)
            case ZhejiangSigning() as signing:
                self.scheme = Zhejiang(signing, secrets, asker)

    async def call(self, call: Call) -> Page:
        """Make one request; a second one only when the signature of the first was refused."""
        with told_by(self.mapping, call):
            operation = operation_of(self.mapping, call)
            request = operation.written.request
            deadline = asyncio.get_running_loop().time() + call.timeout
            slot = self.scheme.slot(request)
            known = slot.key
            key = await slot.get(deadline)
            answer = await self._send(request, call, key, deadline)
            tree, verdict = await off_loop(len(answer.body), lambda: self._read(answer))
            if self.scheme.is_refusal(verdict):
                has_learned = self.scheme.clock.learn(answer.headers.get("date"))
                is_fresh = key is not known
                if has_learned or not is_fresh:
                    key = key if is_fresh else await slot.get(deadline, refused=key)
                    answer = await self._send(request, call, key, deadline)
                    tree, verdict = await off_loop(len(answer.body), lambda: self._read(answer))
            return page_of(operation, tree, verdict, answer.body, answer.content_type)

    def reread(self, operation: OperationMapping, raw: bytes, media_type: str) -> Page:
        """The page that an answer was, from what was kept of it."""
        tree, verdict = self._read(HttpAnswer(200, {"content-type": media_type}, raw))
        return page_of(operation, tree, verdict, raw, media_type)

    async def aclose(self) -> None:
        """Let go of connections; may be called twice."""
        await self.http.aclose()
        await self.rare.aclose()

    async def _send(self, request: Request, call: Call, key: Key, deadline: float) -> HttpAnswer:
        signature = self.scheme.sign(request, key)
        method, url, headers, body = http_request(self.base, request, call, self.secrets, signature.query)
        return await self.http.send(method, url, {**headers, **signature.headers}, body, deadline)

    def _read(self, answer: HttpAnswer) -> tuple[Any, Verdict]:
        if answer.status in (401, 403):
            return None, Verdict("denied", f"HTTP {answer.status}")
        raise_for_status(answer)
        tree = tree_in(answer, self.connect)
        return tree, timed(self.judge(tree), answer)
