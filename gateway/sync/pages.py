"""A page of a source becomes a landing: mapped, its cursor values read, what is wrong with the whole of it told."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from adapters.mapping.compiled import Compiled, Compiler
from adapters.mapping.model import ChangesRole, OperationMapping, SourceMapping
from adapters.mapping.record import Mapped, gone_among
from adapters.source import Page, Record
from gateway.store.arriving import Landing
from gateway.store.database import chunks
from gateway.store.due import Halting
from gateway.store.tellings import take_digests
from gateway.store.turns import RECORDS, Pause, no_pause
from gateway.sync.drift import Form, Shape, forms_of
from gateway.sync.walks import Heard
from schema.formats import CHINA_TIME
from schema.identity import HashId

LEAST_JUDGED = 10
"""Records that a page needs for its share of bad ones to say something."""

MOST_REFERRED = 32_768
"""What is remembered of where each relation leads: in a return the same parties come again after thousands of others."""


class TooManyBad(Halting):
    """一页中坏记录过多，数据流停下，游标不动"""


@dataclass(slots=True)
class Pages:
    """Reads pages of one operation. Raises TooManyBad for one that a person should see before it is taken, unless it
    `lets_bad_in`, and Drifted for one whose fields are not those of before, if it has their `shape`."""

    mapping: SourceMapping
    operation: OperationMapping
    role: ChangesRole
    hash_id: HashId
    lets_bad_in: bool = False
    shape: Shape | None = None
    give_way: Pause = no_pause
    notes: list[str] = field(default_factory=list)
    compiled: Compiled = field(init=False)

    def __post_init__(self) -> None:
        self.compiled = Compiler(self.hash_id, MOST_REFERRED).compiled(self.mapping, self.role.entity, None)

    def heard(self, page: Page, landing: Landing) -> Heard:
        """What the way through the source goes by, of a page that is mapped."""
        name = self.role.cursor.name
        values = [one.provenance.get(name, one.values.get(name)) for one in landing.mapped]
        forms = frozenset[Form]() if self.shape is None else forms_of(page.records)
        return Heard(page, values, [one.key for one in landing.mapped], forms)

    def judge(self, heard: Heard, landing: Landing) -> Landing:
        """What lands of a page that is mapped.

        Pages are judged one after another, each when the one before has landed; mapped they may be earlier.
        """
        if self.shape is not None:
            records = heard.page.records
            landing = replace(landing, faults=self.shape.faults(records))
            self.notes += self.shape.see(heard.forms, len(records))
        mapped, gone = landing.mapped, landing.gone
        bad = sum((one.quarantined or not one.is_identified) and i not in gone for i, one in enumerate(mapped))
        if not self.lets_bad_in and len(mapped) >= LEAST_JUDGED and bad > self.role.most_bad * len(mapped):
            raise TooManyBad(f"{TooManyBad.__doc__}：{len(mapped)} 条中 {bad} 条，上限 {self.role.most_bad:.0%}")
        return landing

    def landing(self, records: Sequence[Record], raw: bytes, media_type: str, received_at: datetime) -> Landing:
        """The records, mapped, on their way in."""
        mapped: list[Mapped] = []
        told_on = received_at.astimezone(CHINA_TIME).date()
        for some in chunks(records, RECORDS):
            self.give_way()
            told = self.compiled.page(some, told_on)
            take_digests(told)
            mapped += told
        return Landing(
            source=self.mapping.name,
            operation=self.operation.name,
            raw=raw,
            media_type=media_type,
            received_at=received_at,
            mapped=mapped,
            mapping_version=self.mapping.version,
            gone=gone_among(records, self.role.deleted),
            records=records,
        )
