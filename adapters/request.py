"""Fills a request template of a mapping with what a call asks for."""

from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

from adapters.decode import encode_text
from adapters.errors import SourceRejected
from adapters.mapping.placeholders import is_placeholder
from adapters.secrets import Secrets, is_named, resolve
from adapters.source import Call
from adapters.xml_tree import plain_text

DROPPED = object()
"""In place of an entry that has nothing to say, such as a cursor before the first run."""


def fill(template: Any, call: Call, secrets: Secrets) -> Any:
    """The template with placeholders and `env:` names replaced; entries whose placeholder has no value are left out.

    Raises SourceRejected for a key that cannot be sent exactly as it is.
    """
    filled = _fill(template, _bindings(call), secrets)
    return None if filled is DROPPED else filled


def keyed_query(query: Mapping[str, Any]) -> tuple[str, str] | None:
    """What stands before the keys in the query string of a request that asks for keys and says nothing else, and what parts
    several of them; None for any other. A request of one key, as `$key`, has no separator."""
    if len(query) != 1:
        return None
    ((name, template),) = query.items()
    front = f"{quote(name, safe='')}="
    match template:
        case "$key":
            return front, ""
        case {"join": "$keys", "with": str() as separator, **others} if not others and separator:
            return front, separator
    return None


def query_string(parameters: Mapping[str, Any]) -> str:
    """Parameters as in an address or a form: UTF-8, percent-encoded, a list repeated."""
    pairs = [
        (name, plain_text(item))
        for name, value in parameters.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    return urlencode(pairs, quote_via=quote, safe="")


def _bindings(call: Call) -> dict[str, Any]:
    return {
        "$keys": list(call.keys) or None,
        "$key": call.keys[0] if len(call.keys) == 1 else None,
        "$since": call.since,
        "$until": call.until,
        "$page": call.page,
        "$size": call.size,
        "$offset": call.offset,
        "$cursor": call.cursor,
        "$order": call.order,
        **{f"${name}": list(texts) if name.endswith(".in") else texts[0] for name, texts in call.filters.items()},
    }


def _fill(template: Any, bindings: Mapping[str, Any], secrets: Secrets) -> Any:
    match template:
        case str() if is_placeholder(template):
            if template == "$key" and bindings["$keys"] and bindings["$key"] is None:
                _reject("$key 每次只能带一个键")
            value = bindings.get(template)
            return DROPPED if value is None else value
        case str() if is_named(template):
            return resolve(template, secrets)
        case {"join": inner, "with": str() as separator, **others} if not others:
            return _joined(_fill(inner, bindings, secrets), separator)
        case {"text": words, "of": inner, **others} if not others:
            return _as_text(words, _fill(inner, bindings, secrets))
        case Mapping():
            filled = {name: _fill(inner, bindings, secrets) for name, inner in template.items()}
            return {name: value for name, value in filled.items() if value is not DROPPED}
        case list():
            return [value for inner in template if (value := _fill(inner, bindings, secrets)) is not DROPPED]
        case _:
            return template


def _joined(values: Any, separator: str) -> Any:
    if values is DROPPED:
        return DROPPED
    texts = [plain_text(value) for value in (values if isinstance(values, list) else [values])]
    if any(separator in text for text in texts):
        _reject(f"键中含有分隔符 “{separator}”，拼接后会被拆错")
    return separator.join(texts)


def _as_text(words: Any, tree: Any) -> Any:
    if tree is DROPPED:
        return DROPPED
    try:
        return encode_text([words] if isinstance(words, str) else words, tree)
    except ValueError:
        _reject("键中含有无法写入请求的字符")


def _reject(reason: str) -> NoReturn:
    raise SourceRejected(reason)
