"""A source whose records change as time goes by, and what everybody should know of it in the end."""

import random
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from adapters.mapping.load import MAPPINGS_FOLDER, load_mapping
from adapters.mapping.model import SourceMapping
from contract_tests.changing import MAPPINGS, with_changes, with_page_size
from contract_tests.stores import REGISTRY
from schema.formats import CHINA_TIME

BASE = datetime(2024, 6, 1, 8, tzinfo=CHINA_TIME)
AGENCY = "11350100MB0A00018J"
PARTY = "91350100M000100Y43"
Kind = Literal["place", "ascending", "number", "since"]
KINDS: tuple[Kind, ...] = ("place", "ascending", "number", "since")
PAGE = 3


def _mended() -> SourceMapping:
    """The mapping of the market, once somebody has decided that an unknown code is no reason to leave a case out."""
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder) / "binhai_market"
        shutil.copytree(MAPPINGS_FOLDER / "binhai_market", to)
        text = (to / "mapping.yaml").read_text("utf-8")
        assert "otherwise: quarantine" in text
        (to / "mapping.yaml").write_text(text.replace("otherwise: quarantine", "otherwise: issue"), "utf-8")
        return load_mapping(REGISTRY, to)


MENDED = _mended()


@dataclass(frozen=True, slots=True)
class Event:
    """From the minute `visible` on the source tells this of a record; it says it changed in the minute `stamp`, as `number`."""

    visible: int
    stamp: int
    number: int
    key: int
    version: int
    is_gone: bool = False
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """How one kind of source is mapped and tells its records."""

    mapping: SourceMapping
    operation: str
    entity: str
    element: str
    cursor: str
    key_of: Callable[[int], str]
    record: Callable[[Event], dict[str, Any]]
    mended: SourceMapping | None = None
    has_history: bool = False
    has_links: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """What happens in a source, minute by minute; late records come up to `overlap` after their stamp. `vanished`: records that
    it says nothing of from a minute on."""

    kind: Kind
    overlap: int
    events: tuple[Event, ...]
    way: Way = field(repr=False)
    is_shuffled: bool = False
    vanished: Mapping[int, int] = field(default_factory=dict)

    def at(self, minute: int) -> dict[int, Event]:
        """What the source tells of each record in this minute."""
        return {event.key: event for event in self._told(minute)}

    def _told(self, minute: int) -> list[Event]:
        gone = {key for key, since in self.vanished.items() if since <= minute}
        return [event for event in self.events if event.visible <= minute and event.key not in gone]

    def rows(self, minute: int) -> list[Event]:
        """Its rows: those that hold, or where it keeps them all, every one that ever was."""
        rows = self._told(minute) if self.way.has_history else list(self.at(minute).values())
        if self.is_shuffled:
            return sorted(rows, key=lambda event: (event.key * 7919) % 101)
        return sorted(rows, key=self.place)

    def place(self, event: Event) -> tuple[int, int, int]:
        """Where a row stands in the order of the source."""
        return (event.number if self.kind == "since" else event.stamp, event.key, event.version)

    def wanted(self, minute: int, is_mended: bool = False) -> dict[str, str]:
        """Key -> what it is called, of everything that is there and can be taken, all of it by a mapping that is mended."""
        can_all = is_mended and self.way.mended is not None
        rows = self.at(minute).values()
        return {self.way.key_of(e.key): f"v{e.version}" for e in rows if not e.is_gone and (can_all or not e.is_bad)}

    def refused(self, minute: int) -> set[int]:
        """Records that nobody can take."""
        return {event.key for event in self.events if event.visible <= minute and event.is_bad}

    def versions(self, minute: int) -> dict[str, int]:
        """How many different things were ever told of each record; that nothing more is, is one."""
        counts = {key: 1 for key, since in self.vanished.items() if since <= minute}
        for event in self.events:
            if event.visible <= minute:
                counts[event.key] = counts.get(event.key, 0) + 1
        return {self.way.key_of(key): count for key, count in counts.items()}


def make_world(chance: random.Random) -> World:
    """A world by chance: new, changed, deleted and bad records, many with one time, some late."""
    kind = chance.choice(KINDS)
    overlap = chance.choice((0, 10)) if kind != "since" else chance.choice((0, 30))
    late = min(overlap, 9) if kind != "since" else 0
    events: list[Event] = []
    keys, minute, number = 0, 0, 0
    versions: dict[int, int] = {}
    stamps: dict[int, int] = {}
    gone: set[int] = set()
    while len(events) < chance.randint(8, 26):
        minute += chance.choice((0, 0, 1, 2, 7))
        burst = 8 if chance.random() < 0.1 else 1
        for _ in range(burst):
            if keys and burst == 1 and chance.random() < 0.4:
                key = chance.choice(sorted(versions))
                if key in gone or versions[key] < 0 or stamps[key] >= minute:
                    continue  # two changes of one record at one time nobody could tell apart
                versions[key] += 1
                is_gone, is_bad, by = chance.random() < 0.2 and kind != "since", False, 0
                gone |= {key} if is_gone else set()
            else:
                keys += 1
                key, is_gone, is_bad = keys, False, chance.random() < 0.15
                versions[key] = -1 if is_bad else 1
                by = chance.randint(0, late) if burst == 1 else 0
            stamps[key] = max(0, minute - by)
            number += 1
            back = chance.randint(0, 3) if kind == "since" and overlap and by == 0 and key == keys else 0
            sequence = (
                max(1, number - back) if abs(versions[key]) == 1 else number
            )  # of one record, later is always more
            events.append(Event(minute, stamps[key], sequence, key, abs(versions[key]), is_gone, is_bad))
    is_shuffled = kind == "number" and chance.random() < 0.5
    good = [event for event in events if not event.is_bad and event.key not in gone and event.version == 1]
    some = chance.sample(good, min(len(good), chance.choice((0, 0, 1, 2)))) if kind != "place" else []
    vanished = {event.key: event.visible + chance.randint(1, 40) for event in some}
    return World(kind, overlap, tuple(events), _way(kind, overlap), is_shuffled, vanished)


def moment(stamp: int) -> datetime:
    """The time of a minute of the world."""
    return BASE + timedelta(minutes=stamp)


def _way(kind: Kind, overlap: int) -> Way:
    if kind == "place":
        mapping, operation = MAPPINGS["binhai_exchange"], "penalties_changed"
        way = Way(
            mapping,
            operation,
            "PenaltyDecision",
            "decision_content",
            "cd_time",
            lambda key: f"{AGENCY}/{_number(key)}",
            _decision,
            has_history=True,
            has_links=True,
        )
    elif kind == "since":
        mapping, operation = MAPPINGS["transport_licence"], "licenses_changed"
        way = Way(mapping, operation, "License", "cert_name", "seqNo", lambda key: f"cert_code=L{key}", _licence)
    else:
        mapping, operation = MAPPINGS["binhai_market"], "cases_changed"
        key_of = lambda key: f"{mapping.agency}/{key:03d}"  # noqa: E731
        way = Way(mapping, operation, "EnforcementCase", "case_name", "GXSJ", key_of, _case, MENDED, False, True)
    words: Mapping[str, Any] = {
        "ascending": kind == "ascending",
        "overlap": overlap if kind == "since" else overlap * 60.0,
    }

    def changed(mapping: SourceMapping) -> SourceMapping:
        return with_page_size(with_changes(mapping, operation, **words, most_bad=1.0), operation, PAGE)

    return replace(way, mapping=changed(way.mapping), mended=None if way.mended is None else changed(way.mended))


def _number(key: int) -> str:
    return f"闽滨市监罚〔2024〕{key}号"


def _decision(event: Event) -> dict[str, Any]:
    operation = "d" if event.is_gone else "u" if event.version > 1 else "i"
    row = {
        "cf_wsh": "" if event.is_bad else _number(event.key),
        "cf_nr": f"v{event.version}",
        "internal_no": "001",
    }
    return {
        **row,
        "cd_operation": operation,
        "cd_id": str(event.key),
        "cd_time": _text(event),
        "cd_batch": str(event.version),
    }


def _licence(event: Event) -> dict[str, Any]:
    number = "" if event.is_bad else f"L{event.key}"
    return {"licNo": number, "licName": f"v{event.version}", "seqNo": str(event.number), "content": f"第{event.key}项"}


def _case(event: Event) -> dict[str, Any]:
    party = {"MC": "福州甲公司", "LX": "1", "TYSHXYDM": PARTY}
    told = {
        "AJBH": f"{event.key:03d}",
        "AJMC": f"v{event.version}",
        "GXSJ": _text(event),
        "SCBZ": "1" if event.is_gone else "0",
    }
    return {**told, "DSR": [party], **({"MJ": "9"} if event.is_bad else {})}


def _text(event: Event) -> str:
    return moment(event.stamp).strftime("%Y-%m-%d %H:%M:%S")
