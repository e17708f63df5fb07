"""A gateway that agencies deliver to, served as in production over a store of its own, and how they talk to it."""

import atexit
import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from adapters.mapping.load import load_mappings
from contract_tests.files import LEDGER, MAPPING, REGISTRY
from contract_tests.serving import Served, listening_with
from gateway.app import create_app
from gateway.definitions import Definitions
from gateway.receiving.keys import make_key
from gateway.settings import read_settings

LEDGER_PATH = "/deliver/ledger/delivered"
NDJSON = "application/x-ndjson"
MAPPINGS = Path(tempfile.mkdtemp(prefix="mappings-"))
atexit.register(shutil.rmtree, MAPPINGS, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency with a key to its source, and where it delivers."""

    served: Served
    key: str
    folder: Path

    def ask(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
        """One request with the key; a header of no text is left out."""
        named = {"authorization": f"Bearer {self.key}", "content-type": NDJSON} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        named = {name: value for name, value in named.items() if value}
        with httpx.Client(base_url=self.served.address, timeout=60) as client:
            return client.request(method, path, content=content, headers=named)

    def post(self, content: bytes | str, key: str = "k1", path: str = LEDGER_PATH, **headers: str) -> httpx.Response:
        """Deliver this."""
        given = content.encode() if isinstance(content, str) else content
        return self.ask("POST", path, given, **{"idempotency_key": key, **headers})


@cache
def defined() -> Definitions:
    """The two sources, read once for all tests."""
    shutil.copytree(LEDGER.folder, MAPPINGS / LEDGER.name)
    (MAPPINGS / "ledger").mkdir()
    text = MAPPING.format(name="ledger", connect="{kind: file}", operation="{deliver: {entity: CoerciveMeasure}}")
    (MAPPINGS / "ledger" / "mapping.yaml").write_text(text, "utf-8")
    mappings = load_mappings(REGISTRY, MAPPINGS)
    return Definitions(REGISTRY, mappings)


@contextmanager
def agency(folder: Path, url: str, **changed: str) -> Iterator[Agency]:
    """A gateway with two sources of files: `ledger`, which the agency has a key for, and `linxi_ledger`."""
    (key, line), (_, other) = make_key("ledger"), make_key("linxi_ledger")
    (folder / "keys").write_text(f"{line}\n{other}\n", "utf-8")
    environment = {
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_PARTY_KEY_SECRET": "tests-only",
        "GATEWAY_SYNC_EMBEDDED": "false",
        "GATEWAY_MAPPINGS": str(MAPPINGS),
        "GATEWAY_DELIVERY_KEYS": str(folder / "keys"),
        "GATEWAY_DELIVERY_FOLDER": str(folder / "deliveries"),
        "GATEWAY_INTROSPECTION": "true",
        **changed,
    }
    settings = read_settings({name: value for name, value in environment.items() if value})
    with listening_with(create_app(settings, defined())) as served:
        yield Agency(served, key, folder)


def records(*numbers: int, **values: Any) -> str:
    """Records of the test ledger, one a line."""
    lines = [
        {"措施编号": f"Q{n}", "案号": f"案{n}", "措施种类": "查封", "日期": "2024/01/02", **values} for n in numbers
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def packed(content: str | bytes) -> bytes:
    return gzip.compress(content.encode() if isinstance(content, str) else content)


def balance(receipt: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Sent, accepted, rejected, pending."""
    told = receipt["sent"], receipt["accepted"], receipt["rejected"], receipt["pending"]
    assert told[0] == sum(told[1:])
    return told


def left_behind(folder: Path) -> list[str]:
    """What is still in the folder of deliveries."""
    place = folder / "deliveries"
    return sorted(os.listdir(place)) if place.is_dir() else []
