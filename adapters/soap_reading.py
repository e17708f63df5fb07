"""How the answers to one operation are read: by the fastest of three ways that give the same."""

from dataclasses import dataclass
from typing import Any

from lxml import etree

from adapters.envelope import returned
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.written import SoapConnect
from adapters.soap_reader import Deviates, NoReader, Read, Told, make_reader
from adapters.soap_rows import NotAsWritten, Rows, is_repeated, make_rows
from adapters.soap_wanted import Wanted, wanted_in_answer
from adapters.wsdl import Wsdl
from adapters.xml_tree import local_name


@dataclass(frozen=True, slots=True)
class Reading:
    """How answers to one operation are read.

    `rows` reads the records from the text, `outer` what is around them; `read` walks all elements; without them, for the
    reason in `general`, the reader that needs no types does. `tag` is the response element's, None where it may differ.
    """

    read: Read | None
    tag: str | None
    wanted: Wanted | None
    general: str = ""
    rows: Rows | None = None
    outer: Read | None = None

    def tree(self, body: etree._Element, text: str, notes: Told) -> Any:
        """What the operation returned, as far as it is wanted; `notes` are told how it differs from the WSDL.

        Raises SourceContractBroken.
        """
        first = body[0] if len(body) == 1 else None
        if self.read is not None and first is not None and "href=" not in text:
            try:
                if self.tag is not None and first.tag != self.tag:
                    raise Deviates(f"答复是 {local_name(first)}")
                told: Told = {}
                if (tree := self._by_rows(first, text, told)) is None:
                    told.clear()
                    tree = self.read(first, told)
                notes.update(told)
                return tree
            except Deviates as difference:
                notes["wsdl"] = f"与 WSDL 不同：{difference}"
        return returned(body, self.wanted)

    def _by_rows(self, response: etree._Element, text: str, told: Told) -> Any:
        """The tree with its rows read from the text; None where they must be walked."""
        if self.rows is None or self.outer is None:
            return None
        try:
            records = self.rows.read(response, text)
        except NotAsWritten:
            return None
        tree = node = self.outer(response, told)
        for name in self.rows.path[:-1]:
            node = node[name]
        node[self.rows.path[-1]] = records
        return tree


def reading_of(mapping: SourceMapping, operation: OperationMapping, connect: SoapConnect, wsdl: Wsdl) -> Reading:
    """How answers to an operation are read: by readers of its types where there are any."""
    if connect.answer:
        return Reading(None, None, None, "答复是一个文本")
    wanted = wanted_in_answer(mapping, operation, connect.outcome)
    tag, declared = wsdl.answer_type(operation.written.request.operation or "")
    try:
        read = make_reader(declared, wanted)
    except NoReader as reason:
        return Reading(None, tag, wanted, str(reason))
    path = rows_path(mapping, operation, declared)
    rows = make_rows(declared, wanted, path)
    outer = make_reader(declared, without(wanted, path)) if rows and wanted is not None else None
    return Reading(read, tag, wanted, "", rows, outer)


def rows_path(mapping: SourceMapping, operation: OperationMapping, declared: Any) -> tuple[str, ...]:
    """Where an answer repeats itself: its records, or, where there is but one, the list of what stands inside it."""
    path = tuple(name for name, _ in operation.records.steps)
    if is_repeated(declared, path):
        return path
    for embedded in mapping.entities[operation.entity].embedded.values():
        steps = embedded.path.steps
        inside = path + tuple(name for name, _ in steps)
        if steps and steps[-1][1] and not any(many for _, many in steps[:-1]) and is_repeated(declared, inside):
            return inside
    return path


def without(wanted: Wanted, path: tuple[str, ...]) -> Wanted:
    """What is wanted beside what is at `path`."""
    name, *deeper = path
    if not deeper:
        return {other: inside for other, inside in wanted.items() if other != name}
    return {**wanted, name: without(wanted[name], tuple(deeper))}
