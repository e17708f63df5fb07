"""Texts known by an identifier: remembered when a client first sent them (APQ), or registered beforehand (trusted documents)."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from gateway.limits import BadRequest, GraphQLRequest
from gateway.log import logger

MOST_REMEMBERED_BYTES = 16 * 1024 * 1024


def identifier_of(text: str) -> str:
    """The identifier every document has: `sha256:` and the digest of its text."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"


def read_documents(file: Path) -> dict[str, str]:
    """The registered documents by identifier, as the file has them; none when there is no file. Raises ValueError or OSError."""
    try:
        tree = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(tree, dict) or not all(isinstance(text, str) for text in tree.values()):
        raise ValueError("应为 JSON 对象：标识符对应查询文本")
    return tree


class Documents:
    """The texts clients may name instead of sending them. One for the process."""

    def __init__(self, most: int, file: Path | None, is_only_trusted: bool) -> None:
        self.most, self.file, self.is_only_trusted = most, file, is_only_trusted
        self.remembered: OrderedDict[str, str] = OrderedDict()
        self.remembered_bytes = 0
        self.trusted: Mapping[str, str] = {}
        self.version: tuple[int, int] | None = None

    def text_of(self, asked: GraphQLRequest) -> str:
        """The text to run. Raises BadRequest when it is unknown, is another than its identifier says, or is not trusted."""
        wanted = asked.document_id
        found = self._trusted(wanted) if wanted else None
        if asked.query is None:
            found = found or (None if self.is_only_trusted else self._recall(str(wanted)))
            if found is None:
                raise BadRequest("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound", is_operation=True)
            return found
        if not wanted and not self.is_only_trusted:
            return asked.query
        own = identifier_of(asked.query)
        if wanted and (found != asked.query if found else wanted != own):
            raise BadRequest(
                "PERSISTED_QUERY_INVALID", "提供的标识符与查询文本不符（provided sha does not match query）"
            )
        if self.is_only_trusted and self._trusted(own) is None:
            raise BadRequest(
                "DOCUMENT_NOT_TRUSTED", "只接受已登记的查询（gateway documents register）", is_operation=True
            )
        return asked.query

    def is_registered(self, text: str) -> bool:
        """Whether somebody registered this very text."""
        return self._trusted(identifier_of(text)) is not None

    def remember(self, asked: GraphQLRequest) -> None:
        """Keep a text that came with its identifier and ran, so that the identifier will do next time."""
        if not asked.document_id or asked.query is None or self.is_only_trusted or asked.document_id in self.remembered:
            return
        self.remembered[asked.document_id] = asked.query
        self.remembered_bytes += len(asked.query)
        while len(self.remembered) > self.most or self.remembered_bytes > MOST_REMEMBERED_BYTES:
            _, oldest = self.remembered.popitem(last=False)
            self.remembered_bytes -= len(oldest)

    def _recall(self, identifier: str) -> str | None:
        if identifier in self.remembered:
            self.remembered.move_to_end(identifier)
        return self.remembered.get(identifier)

    def _trusted(self, identifier: str) -> str | None:
        """A registered text; what was registered since we last looked counts."""
        found = self.trusted.get(identifier)
        if found is None and self.file is not None:
            self._look(self.file)
            found = self.trusted.get(identifier)
        return found

    def _look(self, file: Path) -> None:
        try:
            status = file.stat()
            version = (status.st_mtime_ns, status.st_ino)
            if version == self.version:
                return
            documents = read_documents(file)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            logger().error("documents.unreadable", file=file.name, error=type(error).__name__)
            return
        self.version = version
        self.trusted = documents | {identifier_of(text): text for text in documents.values()}
