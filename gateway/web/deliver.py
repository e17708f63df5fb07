"""Deliveries over HTTP: a body in one request, or an upload that can be resumed (tus 1.0.0); receipts as often as asked for."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.file import MEDIA_TYPES, connect_of
from adapters.mapping.delivered import FileFormat
from adapters.mapping.model import OperationMapping, SourceMapping
from gateway.log import logger
from gateway.receiving.deliveries import Deliveries
from gateway.receiving.printed import receipt_as_json, records_as_json
from gateway.receiving.receive import KEY, BadKey
from gateway.receiving.spool import Upload
from gateway.receiving.unpacking import ENCODINGS, BadEncoding, TooLarge, Unpacking
from gateway.store.receipts import KeyReused, Receipt
from gateway.store.runs import StreamHalted
from gateway.web.delivery_access import DeliveryAccess
from gateway.web.problem import Refusal, problem

Handler = Callable[[Request], Awaitable[Response]]
QUOTED = re.compile(r'"([^"\\]*)"')
MOST_TOLD = 100
"""Records with something wrong that are in a receipt itself; the rest is behind its `records`."""
LARGEST_PAGE = 1000
MOST_OPEN = 32
"""Uploads that a source may have under way."""
PREFIX = "/deliver"


class Deliver:
    """The interface of deliveries. `deliveries` is what the running gateway takes them in by; `patience`: seconds to wait for a
    receipt before it is answered as pending."""

    def __init__(
        self, deliveries: Callable[[], Deliveries], access: DeliveryAccess, largest: int, patience: float, stall: float
    ) -> None:
        self.deliveries, self.access, self.largest = deliveries, access, largest
        self.patience, self.stall = patience, stall

    def routes(self) -> list[Route]:
        """Receipts."""
        return [
            Route(f"{PREFIX}/receipts/{{receipt}}", guarded(self.receipt), methods=["GET"]),
            Route(f"{PREFIX}/receipts/{{receipt}}/records", guarded(self.records), methods=["GET"]),
        ]

    async def at_operation(self, request: Request) -> Response:
        """POST: deliver. GET: the receipt under an Idempotency-Key."""
        if request.method not in ("POST", "GET", "HEAD"):
            raise Refusal("METHOD_NOT_ALLOWED", headers={"allow": "GET, HEAD, POST"})
        mapping, operation = self.allowed(request)
        key = idempotency_key(request)
        if request.method == "POST":
            return await self.post(request, mapping, operation, key)
        deliveries = self.deliveries()
        found = await deliveries.run(deliveries.receiver.find, mapping.name, operation.name, key)
        if found is None:
            raise Refusal("NOT_FOUND", "这个幂等键没有回执：内容没有收到，或还在读取")
        return await self.told(found)

    async def post(self, request: Request, mapping: SourceMapping, operation: OperationMapping, key: str) -> Response:
        """The body becomes a file, then is taken in; whoever leaves in the middle of it has delivered nothing."""
        form = form_of(mapping, request.headers.get("content-type", ""))
        encoding = encoding_of(request)
        deliveries = self.deliveries()
        with self.access.place():
            upload = await self.opened(mapping, operation, key, form, "", encoding, None)
            try:
                await self._receive(request, upload, encoding)
            except BaseException:
                deliveries.spool.remove(upload)
                raise
            return await self.taken(upload)

    async def _receive(self, request: Request, upload: Upload, encoding: str) -> None:
        spool = self.deliveries().spool
        unpacking, new = Unpacking(encoding, self.largest), spool.folder / upload.id / "content.new"
        length = request.headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 15 or int(length) > self.largest):
            raise TooLarge(f"{TooLarge.__doc__}（{self.largest} 字节）")
        with new.open("wb") as file:
            async for chunk in patiently(request, self.stall):
                for part in unpacking.parts(chunk):
                    file.write(part)
                    await asyncio.sleep(0)
        unpacking.finish()
        new.rename(spool.content(upload))

    async def opened(
        self,
        mapping: SourceMapping,
        operation: OperationMapping,
        key: str,
        form: FileFormat,
        name: str,
        encoding: str,
        length: int | None,
    ) -> Upload:
        """A new upload, unless the source has too many under way."""
        spool = self.deliveries().spool
        open_ones = [one for one in await self.deliveries().run(spool.uploads) if not (one.receipt or one.refusal)]
        if sum(one.source == mapping.name for one in open_ones) >= MOST_OPEN:
            raise Refusal("TOO_MANY_REQUESTS", f"已有 {MOST_OPEN} 个没有完成的上传，请先完成或用 DELETE 取消")
        return spool.create(mapping.name, operation.name, key, form, name, encoding, length)

    async def taken(self, upload: Upload) -> Response:
        """The receipt of a complete upload; as it stands when it takes longer than we wait."""
        deliveries = self.deliveries()
        task = deliveries.take(upload)
        await asyncio.wait([task], timeout=self.patience)
        told = task.result() if task.done() else deliveries.spool.read(upload.id) or upload
        try:
            return await self.of_upload(told)
        finally:
            if task.done() and not deliveries.spool.is_complete(told):
                deliveries.spool.remove(told)  # nobody was told where it is

    async def of_upload(self, upload: Upload) -> Response:
        """What has become of an upload."""
        if upload.refusal is not None:
            code = "KEY_REUSED" if upload.refusal == KeyReused.__doc__ else "UNREADABLE"
            raise Refusal(code, upload.refusal)
        if upload.receipt is None:
            told = {"upload": upload.id, "status": "receiving"}
            return answered(told, 202, {"location": f"{PREFIX}/uploads/{upload.id}", "retry-after": "2"})
        deliveries = self.deliveries()
        receipt: Receipt | None = await deliveries.run(deliveries.receiver.read, upload.receipt)
        if receipt is None:
            raise Refusal("NOT_FOUND", "没有这个回执")
        return await self.told(replace(receipt, is_new=upload.is_new))

    async def told(self, receipt: Receipt) -> Response:
        """A receipt: 200 when it is final, 202 while records are pending, 422 when nothing of the content could be taken."""
        deliveries = self.deliveries()
        place = f"{PREFIX}/receipts/{receipt.id}"
        body = receipt_as_json(receipt)
        if receipt.status == "refused":
            raise Refusal("UNREADABLE", receipt.refusal or "", {"receipt": body}, {"location": place})
        noted = await deliveries.run(deliveries.receiver.records, receipt.id, 0, MOST_TOLD, True)
        body |= {"problems": records_as_json(noted), "records": f"{place}/records"}
        is_final = receipt.status == "done"
        return answered(
            body, 200 if is_final else 202, {"location": place} | ({} if is_final else {"retry-after": "2"})
        )

    async def receipt(self, request: Request) -> Response:
        """A receipt by its number."""
        return await self.told(await self._mine(request))

    async def records(self, request: Request) -> Response:
        """What became of the records of a receipt, in pages: `after`, `first`, `only=noted`."""
        found = await self._mine(request)
        after, first = number(request, "after", 0, 2**53), number(request, "first", 100, LARGEST_PAGE)
        only_noted = request.query_params.get("only") == "noted"
        deliveries = self.deliveries()
        records = await deliveries.run(deliveries.receiver.records, found.id, after, first, only_noted)
        following = records[-1].number if len(records) == first else None
        return answered({"records": records_as_json(records), "next": following}, 200, {})

    def allowed(self, request: Request) -> tuple[SourceMapping, OperationMapping]:
        """What the holder of the key delivers to. Raises Refusal."""
        source, operation = request.path_params["source"], request.path_params["operation"]
        self.access.enter(request, source)
        known = self.deliveries().operation(source, operation)
        if known is None:
            operations = (
                self.deliveries().mappings[source].operations.values() if source in self.deliveries().mappings else ()
            )
            names = "、".join(one.name for one in operations if one.deliver)
            raise Refusal("NOT_FOUND", f"来源 {source} 没有这个 deliver 操作（有：{names or '无'}）")
        return known

    async def _mine(self, request: Request) -> Receipt:
        key = self.access.enter(request)
        deliveries = self.deliveries()
        found: Receipt | None = await deliveries.run(deliveries.receiver.read, request.path_params["receipt"])
        if found is None or found.source != key.source:
            raise Refusal("NOT_FOUND", "没有这个回执")
        return found


def guarded(handler: Handler) -> Handler:
    """The handler, whose refusals and failures are answered as problems."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            return problem(refusal)
        except (TooLarge, BadEncoding, BadKey, KeyReused, StreamHalted, SQLAlchemyError) as error:
            return problem(refusal_of(error))
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # a bug of ours: nothing of what happened inside is told
            logger().error("delivery.internal_error", error=type(error).__name__, exc_info=error)
            return problem(Refusal("INTERNAL"))

    return handle


def refusal_of(error: Exception) -> Refusal:
    """What is told of an error that is known."""
    match error:
        case TooLarge():
            return Refusal("TOO_LARGE", str(error), headers={"connection": "close"})
        case BadEncoding():
            return Refusal("BAD_ENCODING")
        case BadKey():
            return Refusal("BAD_REQUEST", str(error))
        case KeyReused():
            return Refusal("KEY_REUSED")
        case StreamHalted():
            return Refusal("HALTED", str(error))
    return Refusal("STORE_UNAVAILABLE")


async def patiently(request: Request, stall: float) -> Any:
    """The chunks of a body, each of which has so many seconds to come."""
    chunks = request.stream().__aiter__()
    while True:
        try:
            async with asyncio.timeout(stall):
                yield await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise ClientDisconnect from None


def idempotency_key(request: Request) -> str:
    """The key of the delivery, with or without the quotes of a structured field. Raises Refusal."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        raise Refusal("KEY_MISSING", "请用请求头 Idempotency-Key 给这份交付一个不重复的名字（如 UUID）；重发时不变")
    text = given[0].strip() if len(given) == 1 else ""
    key = quoted[1] if (quoted := QUOTED.fullmatch(text)) else text
    if not KEY.fullmatch(key):
        raise Refusal("BAD_REQUEST", f"Idempotency-Key：{BadKey.__doc__}")
    return key


def form_of(mapping: SourceMapping, content_type: str) -> FileFormat:
    """The format of a media type, which the source may deliver. Raises Refusal."""
    kind = content_type.partition(";")[0].strip().lower()
    taken = connect_of(mapping).formats
    form = MEDIA_TYPES.get(kind)
    if form is None or form not in taken:
        kinds = "、".join(kind for kind, form in MEDIA_TYPES.items() if form in taken)
        raise Refusal("UNSUPPORTED_MEDIA_TYPE", f"Content-Type 应为 {kinds} 之一")
    return form


def encoding_of(request: Request) -> str:
    """How the body is packed. Raises Refusal."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ENCODINGS:
        raise Refusal("UNSUPPORTED_MEDIA_TYPE", "Content-Encoding 只能是 gzip")
    return encoding


def number(request: Request, name: str, default: int, most: int) -> int:
    """A whole number of the query. Raises Refusal."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and int(text) <= most):
        raise Refusal("BAD_REQUEST", f"{name} 应为不超过 {most} 的整数")
    return int(text)


def answered(body: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> Response:
    """An answer in JSON that nobody keeps."""
    kept = {"cache-control": "no-store", "x-content-type-options": "nosniff", **headers}
    return Response(msgspec.json.encode(body), status, kept, media_type="application/json")
