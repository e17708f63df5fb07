"""Reads a document as a model in spite of its mistakes, so that one mistake never hides the others."""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from schema.problems import Path
from schema.written import Document, shape_problem, written_path

Model = TypeVar("Model", bound=BaseModel)
MOST_PASSES = 12
"""Each pass mends one level of nesting; the models of a specification are far less deep."""


def read_shape(document: Document, model: type[Model]) -> Model | None:
    """The document as `model` with every mistake of shape added to its problems; None only when it is no mapping.

    What is wrong or missing is read as empty. Its path is in `document.repaired`, and nothing more is said about it.
    """
    if document.tree is None:
        return None
    tree = copy.deepcopy(document.tree)
    if not isinstance(tree, dict):
        document.problem((), "应为映射（键: 值）")
        return None
    for _ in range(MOST_PASSES):
        try:
            return model.model_validate(tree)
        except ValidationError as error:
            items = error.errors(include_url=False, include_input=True)
            for item in items:
                shape_problem(document, model, tree, item)
            for path in {written_path(tree, item["loc"]) for item in items}:
                _repair(tree, model, path)
                document.repaired.add(path)
    raise AssertionError(f"{document.file}: cannot be read as {model.__name__}")


def _repair(tree: Any, model: type[BaseModel], path: Path) -> None:
    kind: Any = model
    for part in path[:-1]:
        tree, kind = tree[part], _kind_of(kind, part)
    last = path[-1]
    wanted = _kind_of(kind, last)
    fields = kind.model_fields if _is_model(kind) else {}
    if _is_model(kind) and (last not in fields or not fields[last].is_required()):
        tree.pop(last, None)
    else:
        tree[last] = _empty(wanted)


def _kind_of(kind: Any, part: str | int) -> Any:
    """What stands at `part` of a value of `kind`."""
    if _is_model(kind):
        return kind.model_fields[part].annotation if part in kind.model_fields else None
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is dict:
        return arguments[1]
    return arguments[0] if origin in (list, tuple) else None


def _empty(kind: Any) -> Any:
    if _is_model(kind) or get_origin(kind) is dict or get_origin(kind) is Mapping:
        return {}
    if get_origin(kind) in (list, tuple):
        return []
    words = [word for word in get_args(kind) if isinstance(word, str)]
    return words[-1] if words else ""


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
