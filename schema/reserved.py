"""Names the schema has of its own, which nothing in the specification may take."""

from collections.abc import Iterable, Sequence

from schema.names import field_of_groups, field_of_list, field_of_one
from schema.written import Document

ROOTS = frozenset(
    {
        *("dataElements", "dataElement", "codeTables", "codeTable", "entities", "entity", "node", "nodes"),
        *("streams", "syncRuns", "ledger", "quarantine", "lineage", "deliveryReceipt"),
    }
)
SCALARS = ("Cursor", "Date", "DateTime", "DivisionCode", "IdNo", "Long", "Money", "Uscc")
PLAIN = ("String", "Int", "Float", "Boolean", "ID", "JSON")
OF_ENTITY = ("", "Connection", "Edge", "Where", "ListWhere", "Order", "OrderField")
OF_GROUPS = ("Groups", "Group", "GroupBy", "GroupKey", "Sum", "Extremes")
TYPES = frozenset(
    {
        *("Query", "Mutation", "Subscription", "Provenance", "Mode", "PageInfo", "Node", "Direction", "ListSource"),
        *("EntityChange", "EntityChangeKind", "SyncRun", "SyncRunStatus"),
        *("SyncRunConnection", "SyncRunEdge", "SyncRunFilter", "Stream", "Lineage", "LineageIssue", "IssueLevel"),
        *("LedgerPage", "LedgerPageConnection", "LedgerPageEdge", "QuarantineFilter", "QuarantinedField"),
        *("QuarantinedRecord", "QuarantinedRecordConnection", "QuarantinedRecordEdge"),
        *("DeliveryReceipt", "DeliveryStatus", "DeliveryOutcome", "DeliveredRecord", "DeliveredIssue"),
        *("CodeDefinition", "CodeTableDefinition", "EntityDefinition", "RelationDefinition"),
        *("ElementDefinition", "ElementDefinitionConnection", "ElementDefinitionEdge", "ElementDefinitionFilter"),
        *("ElementKind", "ElementNeed", "ElementSensitivity", "ElementStatus"),
        *(PLAIN + SCALARS),
        *(f"{name}Filter" for name in PLAIN + SCALARS),
    }
)


def check_reserved(entities: Iterable[tuple[str, Document]], enums: Iterable[tuple[str, Document]]) -> None:
    """Add a problem for every entity or enum whose type or root would replace another one.

    Two entities or two enums of one name are somebody else's to tell.
    """
    types = dict.fromkeys(TYPES, "统一 schema 自身")
    roots = dict.fromkeys(ROOTS, "统一 schema 自身")
    told: set[str] = set()
    for name, document in entities:
        if name not in told:
            _take(types, [name + end for end in OF_ENTITY + OF_GROUPS], name, document, ("entity",), "类型")
            _take(
                roots,
                (field_of_one(name), field_of_list(name), field_of_groups(name)),
                name,
                document,
                ("entity",),
                "查询入口",
            )
        told.add(name)
    for name, document in enums:
        _take(dict(types), (name, f"{name}Filter"), name, document, ("type",), "类型")


def _take(
    taken: dict[str, str], names: Sequence[str], owner: str, document: Document, path: tuple[str, ...], what: str
) -> None:
    for name in dict.fromkeys(names):
        if name in taken:
            document.problem(path, f"{what} “{name}” 已由{taken[name]}使用")
        taken.setdefault(name, f" {owner} ")
