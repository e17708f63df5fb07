"""YAML as its author wrote it: every scalar is text, and every value knows its line and column."""

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from schema.problems import Path, Problem, did_you_mean, dotted

LARGEST_FILE = 2 * 1024 * 1024
DEEPEST_NESTING = 40
TAG = "tag:yaml.org,2002:"
Model = TypeVar("Model", bound=BaseModel)


@dataclass(slots=True)
class Document:
    """A YAML file: its tree of text, where each path stands in it, and what was wrong so far."""

    file: str
    tree: Any = None
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    repaired: set[Path] = field(default_factory=set)

    def problem(self, path: Path, what: str, suggestion: str = "") -> None:
        """Record a mistake at `path`, or at its nearest ancestor that is written in the file.

        Where a mistake was already told and the value read as empty, there is nothing more to say.
        """
        if self.is_repaired(path):
            return
        written = path
        while written not in self.marks and written:
            written = written[:-1]
        line, column = self.marks.get(written, (1, 1))
        self.problems.append(Problem(self.file, line, column, dotted(path), what, suggestion))

    def is_repaired(self, path: Path) -> bool:
        """Whether what stands at `path` could not be read as it is written."""
        return any(path[:length] in self.repaired for length in range(1, len(path) + 1))

    def unknown(self, path: Path, word: str, what: str, known: Iterable[str]) -> None:
        """Record a word that is not in the vocabulary, with what was probably meant."""
        self.problem(path, f"{what} “{word}”", did_you_mean(word, known))


def read_yaml(file: FilePath, shown_as: str | None = None) -> Document:
    """The document in `file`. Mistakes of YAML itself are in its `problems`; the tree is then None or partial."""
    document = Document(shown_as or str(file))
    try:
        data = file.read_bytes()
        if len(data) > LARGEST_FILE:
            raise ValueError(f"文件超过 {LARGEST_FILE} 字节")
        node = _compose(data.decode("utf-8"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        document.problems.append(Problem(document.file, line, column, "", f"不是合法的 YAML：{error.problem}"))
    except UnicodeDecodeError as error:
        document.problems.append(Problem(document.file, 1, 1, "", f"文件不是 UTF-8 编码（第 {error.start} 字节）"))
    except ReaderError as error:
        before = data.decode("utf-8")[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        document.problems.append(Problem(document.file, line, column, "", f"不允许的字符 U+{error.character:04X}"))
    except RecursionError:
        document.problems.append(Problem(document.file, 1, 1, "", f"嵌套超过 {DEEPEST_NESTING} 层"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        document.problems.append(Problem(document.file, 1, 1, "", f"无法读取：{error}"))
    else:
        if node is None:
            document.problems.append(Problem(document.file, 1, 1, "", "文件是空的"))
        else:
            document.tree = _tree(document, node, (), set())
    return document


def _compose(text: str) -> Node | None:
    """The nodes of a YAML text, by the fast parser where it is safe; the other one also words mistakes better."""
    if _is_shallow(text):
        with contextlib.suppress(yaml.YAMLError):
            return yaml.compose(text, Loader=yaml.CBaseLoader)
    return yaml.compose(text, Loader=yaml.BaseLoader)


def _is_shallow(text: str) -> bool:
    """Whether libyaml may compose a text; it does so recursively, and ends the process when nesting is too deep."""
    if not hasattr(yaml, "CBaseLoader"):
        return False
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CBaseLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST_NESTING:
                return False
    except yaml.YAMLError:
        return False
    return True


def _tree(document: Document, node: Node, path: Path, seen: set[int]) -> Any:
    if id(node) in seen:
        document.problem(path, "不支持 YAML 锚点和别名，请写全")
        return None
    seen.add(id(node))
    document.marks.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if len(path) > DEEPEST_NESTING:
        document.problem(path, f"嵌套超过 {DEEPEST_NESTING} 层")
        return None
    if isinstance(node, ScalarNode):
        return _scalar(document, node, path)
    if isinstance(node, SequenceNode):
        return [_tree(document, item, (*path, index), seen) for index, item in enumerate(node.value)]
    assert isinstance(node, MappingNode)
    tree: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, ScalarNode):
            document.problem(path, "键必须是简单文本")
            continue
        key = str(key_node.value)
        here = (*path, key)
        if key in tree:
            line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
            document.problems.append(Problem(document.file, line, column, dotted(here), "键重复"))
            continue
        document.marks[here] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        tree[key] = _tree(document, value_node, here, seen)
    return tree


def _scalar(document: Document, node: ScalarNode, path: Path) -> Any:
    """Text, unless the author put an explicit `!!int`, `!!bool` or `!!null` in front."""
    text = str(node.value)
    match str(node.tag).removeprefix(TAG):
        case "str" | "null" if text == "" and not node.style:
            return None
        case "str":
            return text
        case "int" if re.fullmatch(r"-?[0-9]{1,18}", text):
            return int(text)
        case "bool" if text in ("true", "false"):
            return text == "true"
        case "null":
            return None
    document.problem(path, f"标签 {node.tag} 与值 “{text}” 不符，只支持 !!int、!!bool、!!null")
    return None


def check_shape(document: Document, model: type[Model]) -> Model | None:
    """The document as `model`, or None with every mistake added to the document's problems."""
    if document.tree is None:
        return None
    try:
        return model.model_validate(document.tree)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=True):
            shape_problem(document, model, document.tree, item)
    return None


def shape_problem(document: Document, model: type[BaseModel], tree: Any, item: Mapping[str, Any]) -> None:
    """Record one of pydantic's mistakes about `tree` where the author can mend it."""
    path = written_path(tree, item["loc"])
    context = item.get("ctx", {})
    match item["type"]:
        case "extra_forbidden":
            document.unknown(path, str(path[-1]), "不认识的词", _known_words(model, item["loc"][:-1]))
        case "missing":
            document.problem(path, "必须填写")
        case "union_tag_invalid" | "literal_error" | "enum":
            expected = str(context.get("expected_tags") or context.get("expected") or "")
            known = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
            wrong = str(context.get("tag", item["input"]))
            tagged = (*path, str(context["discriminator"]).strip("'")) if "discriminator" in context else path
            document.unknown(tagged, wrong, "不认识的词", known)
        case "union_tag_not_found":
            document.problem((*path, str(context["discriminator"]).strip("'")), "必须填写")
        case "value_error":
            document.problem(path, str(context["error"]))
        case "string_type":
            document.problem(path, "应为文本")
        case "dict_type" | "model_type" | "model_attributes_type":
            document.problem(path, "应为映射（键: 值）")
        case "list_type" | "tuple_type":
            document.problem(path, "应为列表")
        case "bool_parsing" | "bool_type":
            document.problem(path, f"应为 true 或 false，而不是 “{item['input']}”")
        case "int_parsing" | "int_type":
            document.problem(path, f"应为整数，而不是 “{item['input']}”")
        case _:
            document.problem(path, str(item["msg"]))


def written_path(tree: Any, location: tuple[str | int, ...]) -> Path:
    """Pydantic's location without the parts it adds for tagged unions, wrapped short forms and keys."""
    path: list[str | int] = []
    location = location[:-1] if location[-1:] == ("[key]",) else location
    for index, part in enumerate(location):
        in_list = isinstance(tree, list) and isinstance(part, int) and part < len(tree)
        if in_list or (isinstance(tree, Mapping) and part in tree):
            tree = tree[part]
        elif index < len(location) - 1 or not isinstance(tree, Mapping):
            continue
        path.append(part)
    return tuple(path)


def _known_words(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The words allowed at `location` of `model`, found by walking its fields."""
    current: list[Any] = [model]
    for part in location:
        following: list[Any] = []
        for kind in current:
            if tagged := [leaf for leaf in _models(kind) if leaf is not kind and part in _tags(leaf)]:
                following.extend(tagged)
                continue
            for leaf in _models(kind):
                if isinstance(part, str) and (info := _field(leaf, part)) is not None:
                    following.append(info)
            following.extend(_inner(kind, part))
        current = following or [kind for kind in current if _models(kind)]
    return sorted({name for kind in current for leaf in _models(kind) for name in _names(leaf)})


def _field(model: type[BaseModel], word: str) -> Any:
    for name, info in model.model_fields.items():
        if word in (name, info.alias):
            return info.annotation
    return None


def _tags(model: type[BaseModel]) -> list[Any]:
    """The values of `kind: Literal["rest"]` and its like, by which a tagged union picks this member."""
    kinds = [info.annotation for info in model.model_fields.values() if get_origin(info.annotation) is Literal]
    return [word for kind in kinds if len(words := get_args(kind)) == 1 for word in words]


def _names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _models(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    if getattr(kind, "__origin__", None) in (dict, list, tuple):
        return []
    return [leaf for argument in getattr(kind, "__args__", ()) for leaf in _models(argument)]


def _inner(kind: Any, part: str | int) -> list[Any]:
    """What `dict[str, X]` and `list[X]` hold, also within unions and annotations."""
    origin = getattr(kind, "__origin__", None)
    arguments: tuple[Any, ...] = getattr(kind, "__args__", ())
    if origin is dict:
        return [arguments[1]]
    if origin in (list, tuple) and isinstance(part, int):
        return [arguments[0]]
    if isinstance(kind, type):
        return []
    return [found for argument in arguments for found in _inner(argument, part)]
