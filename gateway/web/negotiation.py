"""What the client can read: media types, encodings and entity tags, by their headers (RFC 9110)."""

from collections.abc import Sequence
from functools import lru_cache

RESPONSE_TYPE = "application/graphql-response+json"
JSON_TYPE = "application/json"
EVENT_STREAM = "text/event-stream"
ENCODINGS = ("zstd", "br", "gzip")
"""What we can write, the better first among those a client likes equally."""


@lru_cache(maxsize=256)
def media_type(accept: str | None) -> str | None:
    """The type to answer in, None when the client takes neither.

    The one of greater weight. Of equal weight: the newer type where it is named itself, `application/json` for everybody
    who says nothing or only `*/*`, as the specification wants for old clients.
    """
    if accept is None or not accept.strip():
        return JSON_TYPE
    weights = _weights(accept)
    newer, older = (_weight_of(weights, name) for name in (RESPONSE_TYPE, JSON_TYPE))
    if newer == older == 0:
        return JSON_TYPE if "multipart/mixed" in weights else None  # its parts are of this type
    if newer == older:
        return RESPONSE_TYPE if RESPONSE_TYPE in weights else JSON_TYPE
    return RESPONSE_TYPE if newer > older else JSON_TYPE


@lru_cache(maxsize=256)
def encoding(accept_encoding: str | None) -> str | None:
    """The encoding to answer in, None for plain."""
    weights = _weights(accept_encoding or "")
    everything = weights.get("*", 0.0)
    plain = weights.get("identity", 0.0)
    best = max(ENCODINGS, key=lambda name: weights.get(name, everything))  # the first of equals
    weight = weights.get(best, everything)
    return best if weight > 0 and weight >= plain else None


def is_unchanged(if_none_match: str | None, tag: str) -> bool:
    """Whether the client already has the entity with this tag; compared weakly, as RFC 9110 §13.1.2 asks."""
    if if_none_match is None:
        return False
    known = [entry.strip().removeprefix("W/") for entry in if_none_match.split(",")]
    return "*" in known or tag.removeprefix("W/") in known


@lru_cache(maxsize=256)
def wants_html(accept: str | None) -> bool:
    """Whether this is a browser that a person looks at."""
    return _weights(accept or "").get("text/html", 0) > 0


@lru_cache(maxsize=256)
def is_named(accept: str | None, *types: str) -> bool:
    """Whether one of these types is asked for by its own name."""
    weights = _weights(accept or "")
    return any(weights.get(name, 0) > 0 for name in types)


def takes_events(accept: str | None) -> bool:
    """Whether the client reads event streams; nobody does who does not name them."""
    return is_named(accept, EVENT_STREAM)


def takes_events_only(accept: str | None) -> bool:
    """Whether the client reads nothing else that we could answer with."""
    return takes_events(accept) and not is_named(accept, RESPONSE_TYPE, JSON_TYPE)


@lru_cache(maxsize=256)
def takes_parts(accept: str | None) -> bool:
    """Whether the client says that it reads `multipart/mixed`."""
    types = (entry.split(";")[0].strip().lower() for entry in (accept or "").split(",")[:100])
    return "multipart/mixed" in types


def _weights(header: str) -> dict[str, float]:
    """Each value of a list header and its weight; parameters other than q do not matter to us."""
    found: dict[str, float] = {}
    for entry in header.lower().split(",")[:100]:
        value, *parameters = (part.strip() for part in entry.split(";"))
        if value:
            found[value] = _weight(parameters)
    return found


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def _weight_of(weights: dict[str, float], name: str) -> float:
    """The weight of a type: of the most specific range that covers it."""
    return next((weights[covering] for covering in (name, "application/*", "*/*") if covering in weights), 0.0)
