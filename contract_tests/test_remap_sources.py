"""`gateway remap` over every kind of source there is: the same as a fresh sync by the new mappings, and nobody is asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract_tests.federation import Federation, copy_mappings, definitions_of, federation
from contract_tests.files import SAMPLES
from contract_tests.stores import database, empty_database, opened, postgres, state
from gateway.delivering import deliver_files
from gateway.remapping import remap_sources
from gateway.returning import return_everything

__all__ = ["database", "postgres"]
CORRECTED = {
    "binhai_exchange": [("decision_content:          cf_nr", "decision_content:          cf_lxfs")],
    "binhai_market": [("case_name:               AJMC", "case_name:               AY")],
    "linxi_ledger": [("期限届满: TERM_EXPIRED", "期限届满: UNRELATED"), ("查封: SEAL_UP", "查封: DETAIN")],
    "national_registry": [("legal_rep_name:       lerep", "legal_rep_name:       dom")],
    "provincial_platform": [("cert_issuer:             fzjg", "cert_issuer:             xm")],
    "traffic_police": [
        ("cause_of_action:         wfxwms", "cause_of_action:         wfdz"),
        ("party_name: dsr", "party_name: jdsbh"),
    ],
    "transport_licence": [("license_content:  content", "license_content:  licName")],
}
"""What somebody corrects in each mapping, later."""
ALWAYS_NEW = ("raw_digest",)
"""The bytes of an answer may hold its time, or be encrypted anew."""


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("all"), copy_mappings(tmp_path_factory.mktemp("before"))) as running:
        yield running


def take_in(sources: Federation) -> None:
    """All that the sources have, and two deliveries."""
    definitions = definitions_of(sources.settings)
    return_everything(sources.settings, definitions, lambda _: None)
    files = sorted(SAMPLES.glob("qzcs_*"))
    assert len(files) == 2
    deliver_files(sources.settings, definitions, "linxi_ledger", files, None, None, lambda _: None)


def correct(folder: Path) -> Path:
    """Mappings in which something is corrected everywhere."""
    mappings = copy_mappings(folder)
    for source, changes in CORRECTED.items():
        file = mappings / source / "mapping.yaml"
        text = file.read_text("utf-8")
        for before, after in changes:
            assert text.count(before) == 1, (source, before)
            text = text.replace(before, after)
        file.write_text(text, "utf-8")
    return mappings


def test_every_source_mapped_anew_is_what_a_fresh_sync_would_give_and_none_is_asked(
    all_kinds: Federation, database: str, tmp_path: Path
) -> None:
    corrected = str(correct(tmp_path))
    with empty_database(database) as old, empty_database(database) as new:
        all_kinds.settings_changed = {"GATEWAY_DATABASE_URL": old}
        take_in(all_kinds)
        all_kinds.settings_changed = {"GATEWAY_DATABASE_URL": new, "GATEWAY_MAPPINGS": corrected}
        take_in(all_kinds)
        all_kinds.settings_changed["GATEWAY_DATABASE_URL"] = old
        all_kinds.forget_calls()
        with opened(old) as store, opened(new) as fresh:
            assert different(state(store, ALWAYS_NEW), state(fresh, ALWAYS_NEW)) == set(CORRECTED)
            told: list[str] = []
            settings = all_kinds.settings
            assert remap_sources(settings, definitions_of(settings), None, None, told.append), told
            assert (len(told), all_kinds.calls()) == (len(CORRECTED), {})
            assert not [line for line in told if "与原来不同 0" in line]
            assert state(store, ALWAYS_NEW) == state(fresh, ALWAYS_NEW)


def different(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> set[str]:
    """The sources that tell something else."""
    found: set[str] = set()
    for table in (one.keys() | other.keys()) - {"conflict"}:
        rows = [{repr(row): row for row in rows.get(table, ())} for rows in (one, other)]
        apart = rows[0].keys() ^ rows[1].keys()
        found |= {
            str(row["source"]) for some in rows for text, row in some.items() if text in apart and row.get("source")
        }
    return found
