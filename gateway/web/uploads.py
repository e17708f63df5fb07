"""Uploads that can be resumed, by tus 1.0.0 with creation, creation-with-upload, termination and expiration.

`POST /deliver/{source}/{operation}` with `Upload-Length` makes one, PATCH appends to it, HEAD says how far it is. When all bytes
have come it is taken in; `GET /deliver/uploads/{id}` then answers its receipt.
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.file import connect_of, format_of
from adapters.file_rows import Unreadable
from adapters.mapping.delivered import FileFormat
from adapters.mapping.model import SourceMapping
from gateway.receiving.receive import KEY, BadKey
from gateway.receiving.spool import EXPIRY, Spool, Upload, UploadLocked
from gateway.receiving.unpacking import ENCODINGS, BadEncoding, TooLarge
from gateway.web.deliver import PREFIX, Deliver, form_of, guarded, idempotency_key, patiently
from gateway.web.problem import Refusal

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration"
CHUNKS = "application/offset+octet-stream"
LONGEST_METADATA = 4096
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Uploads:
    """The part of the interface that speaks tus."""

    def __init__(self, deliver: Deliver) -> None:
        self.deliver, self.access, self.largest = deliver, deliver.access, deliver.largest

    def routes(self) -> list[Route]:
        """Uploads, and the operations they are for: what is no tus request there is left to `Deliver`."""
        return [
            *self.deliver.routes(),
            Route(f"{PREFIX}/uploads/{{upload}}", guarded(self.at_upload), methods=METHODS),
            Route(f"{PREFIX}/{{source}}/{{operation}}", guarded(self.at_operation), methods=METHODS),
        ]

    async def at_operation(self, request: Request) -> Response:
        """OPTIONS: what we can. POST with `Upload-Length`: a new upload."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=self._said() | {"allow": "GET, HEAD, OPTIONS, POST"})
        if request.method != "POST" or "upload-length" not in request.headers:
            return await self.deliver.at_operation(request)
        self._check_version(request)
        mapping, operation = self.deliver.allowed(request)
        length = self._length(request)
        told = metadata(request.headers.get("upload-metadata", ""))
        encoding = told.get("encoding", "identity")
        if encoding not in ENCODINGS:
            raise Refusal("UNSUPPORTED_MEDIA_TYPE", "Upload-Metadata 的 encoding 只能是 gzip", headers=self._said())
        form = self._form(mapping, told)
        key = told["idempotencykey"] if "idempotencykey" in told else idempotency_key(request)
        if not KEY.fullmatch(key):
            raise Refusal("BAD_REQUEST", f"idempotency-key：{BadKey.__doc__}", headers=self._said())
        with self.access.place():
            name = told.get("filename", "")[:200]
            upload = await self.deliver.opened(mapping, operation, key, form, name, encoding, length)
            place = f"{PREFIX}/uploads/{upload.id}"
            headers = self._said() | {"location": place, "upload-expires": _expires(upload)}
            if request.headers.get("content-type", "") == CHUNKS:
                await self._append(request, upload)
            headers["upload-offset"] = str(self._spool.offset(upload))
            await self._finish(upload)
        return Response(status_code=201, headers=headers)

    async def at_upload(self, request: Request) -> Response:
        """HEAD, PATCH, DELETE by tus; GET: what has become of it."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=self._said())
        key = self.access.enter(request)
        upload = self._spool.read(request.path_params["upload"])
        if upload is None or upload.source != key.source or upload.length is None:
            raise Refusal("NOT_FOUND", "没有这次上传，或已过期", headers=self._said())
        match request.method:
            case "GET":
                if self._spool.offset(upload) < (upload.length or 0):
                    raise Refusal("NOT_FOUND", "上传没有完成，还没有回执", headers=self._said())
                return await self.deliver.of_upload(upload)
            case "HEAD":
                headers = self._said() | {"upload-length": str(upload.length), "cache-control": "no-store"}
                return Response(headers=headers | {"upload-offset": str(self._spool.offset(upload))})
            case "PATCH":
                self._check_version(request)
                return await self._patch(request, upload)
            case "DELETE":
                self._check_version(request)
                if self._spool.is_complete(upload):
                    raise Refusal("LOCKED", "已收完，正在写入，不能取消", headers=self._said())
                self._spool.remove(upload)
                return Response(status_code=204, headers=self._said())
        raise Refusal("METHOD_NOT_ALLOWED", headers={"allow": "DELETE, GET, HEAD, OPTIONS, PATCH"})

    async def _patch(self, request: Request, upload: Upload) -> Response:
        if request.headers.get("content-type", "") != CHUNKS:
            raise Refusal("UNSUPPORTED_MEDIA_TYPE", f"Content-Type 应为 {CHUNKS}", headers=self._said())
        with self.access.place():
            await self._append(request, upload)
            offset = self._spool.offset(upload)
            await self._finish(upload)
        headers = self._said() | {"upload-offset": str(offset), "upload-expires": _expires(upload)}
        return Response(status_code=204, headers=headers)

    async def _append(self, request: Request, upload: Upload) -> None:
        """Keep what comes, as far as it comes; whoever leaves goes on from there."""
        spool, said = self._spool, request.headers.get("upload-offset", "0")
        if spool.is_complete(upload) or upload.receipt or upload.refusal:
            if said == str(upload.length):
                return
            raise Refusal("OFFSET_CONFLICT", f"上传已完成（{upload.length} 字节）", headers=self._said())
        try:
            with spool.appending(upload) as file:
                offset = file.tell()
                if said != str(offset):
                    told = f"已收到 {offset} 字节，Upload-Offset 应为 {offset}"
                    raise Refusal("OFFSET_CONFLICT", told, headers=self._said() | {"upload-offset": str(offset)})
                async for chunk in patiently(request, self.deliver.stall):
                    offset += len(chunk)
                    if offset > (upload.length or 0):
                        raise Refusal("TOO_LARGE", f"超过了声明的 {upload.length} 字节", headers=self._said())
                    file.write(chunk)
                    file.flush()
        except UploadLocked:
            raise Refusal("LOCKED", headers=self._said()) from None

    async def _finish(self, upload: Upload) -> None:
        """Take in what has come whole."""
        deliveries, spool = self.deliver.deliveries(), self._spool
        if spool.is_complete(upload) or upload.receipt or upload.refusal or spool.offset(upload) != upload.length:
            return
        try:
            await deliveries.run(deliveries.finish_upload, upload)
        except (TooLarge, BadEncoding) as error:
            spool.settle(upload, None, str(error))
            raise
        await asyncio.wait([deliveries.take(upload)], timeout=self.deliver.patience)

    def _length(self, request: Request) -> int:
        text = request.headers.get("upload-length", "")
        if not (text.isascii() and text.isdecimal() and len(text) < 16):
            raise Refusal("BAD_REQUEST", "Upload-Length 应为整数", headers=self._said())
        if int(text) > self.largest:
            raise Refusal("TOO_LARGE", f"至多 {self.largest} 字节", headers=self._said())
        if int(text) == 0:
            raise Refusal("BAD_REQUEST", "内容是空的", headers=self._said())
        return int(text)

    def _form(self, mapping: SourceMapping, told: Mapping[str, str]) -> FileFormat:
        """The format, by the media type or else the name of the file."""
        if told.get("filetype"):
            return form_of(mapping, told["filetype"])
        try:
            return format_of(mapping, told.get("filename", ""))
        except Unreadable:
            taken = "、".join(connect_of(mapping).formats)
            raise Refusal(
                "UNSUPPORTED_MEDIA_TYPE", f"Upload-Metadata 应有 filetype 或 filename（{taken}）", headers=self._said()
            ) from None

    def _check_version(self, request: Request) -> None:
        if request.headers.get("tus-resumable") != VERSION:
            raise Refusal(
                "TUS_VERSION", f"Tus-Resumable 应为 {VERSION}", headers=self._said() | {"tus-version": VERSION}
            )

    def _said(self) -> dict[str, str]:
        return {
            "tus-resumable": VERSION,
            "tus-version": VERSION,
            "tus-extension": EXTENSIONS,
            "tus-max-size": str(self.largest),
        }

    @property
    def _spool(self) -> Spool:
        return self.deliver.deliveries().spool


def metadata(text: str) -> dict[str, str]:
    """The pairs of `Upload-Metadata`, by their names in lower case without hyphens. Raises Refusal."""
    found: dict[str, str] = {}
    if len(text) > LONGEST_METADATA:
        raise Refusal("BAD_REQUEST", "Upload-Metadata 过长")
    for pair in text.split(",") if text.strip() else ():
        name, _, value = pair.strip().partition(" ")
        name = name.lower().replace("-", "")
        try:
            told = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise Refusal("BAD_REQUEST", f"Upload-Metadata 的 {name} 不是 Base64 的 UTF-8 文本") from None
        if name in found:
            raise Refusal("BAD_REQUEST", f"Upload-Metadata 中 {name} 重复")
        found[name] = told
    return found


def _expires(upload: Upload) -> str:
    return format_datetime(datetime.fromtimestamp(upload.created_at + EXPIRY, UTC), usegmt=True)
