"""What may be written in the files of `schema/spec/`: the words and their shapes, before anything is looked up."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schema.registry import Need, Sensitivity, Status

SNAKE, UPPER, CAMEL = r"[a-z][a-z0-9]*(_[a-z0-9]+)*", r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*|\d{4,12}", r"[A-Z][A-Za-z0-9]*"
REPRESENTATIONS = (
    *("名称", "代码", "编号", "日期", "时间", "金额", "数量", "标志", "说明", "标识符", "文本", "结构", "网址"),
)
"""表示词: what kind of value an element is (GB/T 19488.1)."""

YesNo = Annotated[bool, Field(strict=False)]


class Written(BaseModel):
    """What may be written; any other word is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WrittenElement(Written):
    """One data element of an entity file."""

    id: str
    title: str
    format: str
    need: Need
    core: YesNo = False
    unindexed: YesNo = False
    codes: str | None = None
    check: str | None = None
    normal: str | None = None
    refers: str | None = None
    sensitivity: Sensitivity = "public"
    unit: str = ""
    condition: str = ""
    description: str = ""
    draft_name: str = ""
    basis: str = ""
    version: str = ""
    sf_ref: str = ""
    english_name: str
    definition: str
    object_class_term: str = ""
    property_term: str
    representation_term: str
    synonyms: tuple[str, ...] = ()
    status: Status | None = None
    effective_from: str | None = None
    effective_to: str | None = None
    submitting_agency: str = ""


class WrittenRelation(Written):
    """One relation of an entity file."""

    to: str
    title: str
    many: YesNo = False
    by: str | None = None
    inverse: str | None = None
    carried: YesNo = False


class WrittenConditionalCheck(Written):
    """`id_no: {check: id_no, when: {id_type: [RESIDENT_IDENTITY_CARD]}}`; all of `when` must hold."""

    check: str
    when: dict[str, list[str]]


class WrittenEntity(Written):
    """A file of `spec/entities/`; `object_class` is the object class term of its elements that name none."""

    entity: str
    title: str
    draft: str = ""
    object_class: str = ""
    description: str = ""
    identity: list[list[str]]
    allotted: str | None = None
    derived: dict[str, list[str]] = {}
    fact_date: list[str] = []
    conditional_checks: dict[str, WrittenConditionalCheck] = {}
    elements: dict[str, WrittenElement]
    relations: dict[str, WrittenRelation] = {}


class WrittenCode(Written):
    """One member of a code table. A retired code names its successors, or says that it has none."""

    code: str | None = None
    title: str
    valid_from: str | None = None
    valid_to: str | None = None
    successors: list[str] = []
    no_successor: YesNo = False


class WrittenCodes(Written):
    """A file of `spec/codes/`."""

    codes: str
    id: str
    title: str
    type: str | None = None
    basis: str = ""
    version: str = ""
    judged_length: Annotated[int, Field(strict=False, ge=1)] | None = None
    foreign_prefixes: list[str] = []
    members: dict[str, WrittenCode]


class WrittenSpec(Written):
    """`spec/spec.yaml`; what it says of status, dates and agency holds for every element that does not say otherwise."""

    version: str
    title: str
    note: str = ""
    status: Status = "candidate"
    effective_from: str | None = None
    effective_to: str | None = None
    submitting_agency: str = ""
