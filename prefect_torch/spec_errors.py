"""Says what pydantic found wrong with a spec in the words of someone who writes pipeline files."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from prefect_torch.errors import did_you_mean
from prefect_torch.hints import found
from prefect_torch.positions import Keys
from prefect_torch.spec import PipelineSpec

_EXPECTED: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "string_too_short": "text that is not empty",
    "literal_error": "one of {expected}",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
}


def field_problems(error: ValidationError, tree: Mapping[str, Any]) -> list[tuple[Keys, str]]:
    """Return keys and message for each field that pydantic refused; one message a field."""
    by_field: dict[Keys, list[ErrorDetails]] = {}
    for entry in error.errors(include_url=False):
        keys = _keys(entry, tree)
        if entry["type"] == "missing" and keys and isinstance(keys[-1], int):
            keys = keys[:-1]  # a list that is too short is one mistake of the list
        by_field.setdefault(keys, []).append(entry)
    return [(keys, _message(keys, entries, tree)) for keys, entries in by_field.items()]


def _keys(entry: ErrorDetails, tree: Mapping[str, Any]) -> Keys:
    """Return where an error stands in the document, without the names pydantic gives to choices."""
    keys: Keys = ()
    node: Any = tree
    for index, part in enumerate(entry["loc"]):
        if isinstance(node, Mapping) and part in node:
            keys, node = (*keys, part), node[str(part)]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            keys, node = (*keys, part), node[part]
        elif entry["type"] == "missing" and index == len(entry["loc"]) - 1:
            keys = (*keys, part)
    if entry["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        keys = (*keys, "kind")
    return keys


def _message(keys: Keys, entries: list[ErrorDetails], tree: Mapping[str, Any]) -> str:
    special = _SPECIAL.get(entries[0]["type"])
    said = special(keys, entries[0], tree) if special else None
    if said:
        return said
    expected = [_expected(entry) for entry in entries]
    if None in expected:
        return str(entries[0]["msg"])
    text = " or ".join(dict.fromkeys(str(part) for part in expected))
    return f"expected {text}, found {_shown(entries[0]['input'])}{_about(keys, tree)}"


def _expected(entry: ErrorDetails) -> str | None:
    pattern = _EXPECTED.get(entry["type"])
    return pattern.format(**entry.get("ctx", {})).replace("'", '"') if pattern else None


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a mapping with {', '.join(map(str, value))}" if value else "an empty mapping"
    return "nothing" if value is None else found(value)


def _unknown(keys: Keys, entry: ErrorDetails, tree: Mapping[str, Any]) -> str:
    model = _model_at(keys[:-1], tree)
    known = list(model.model_fields) if model else []
    near = did_you_mean(str(keys[-1]), known)
    hint = f"; {near} K" if near.startswith("did") else "; k"
    return f"there is no such field{hint}nown here: {', '.join(known)}"


def _missing(keys: Keys, entry: ErrorDetails, tree: Mapping[str, Any]) -> str:
    if keys[-1] == "class":
        return "is missing; a component is {class: import.path, argument: value, …}"
    if isinstance(entry["loc"][-1], int):
        model = _model_at(keys[:-1], tree)
        wanted = len(typing.get_args(model.model_fields[str(keys[-1])].annotation)) if model else 0
        return f"has {len(entry['input'])} values, expected {wanted}{_about(keys, tree)}"
    return f"is missing{_about(keys, tree)}"


def _wrong_kind(keys: Keys, entry: ErrorDetails, tree: Mapping[str, Any]) -> str:
    ctx = entry.get("ctx", {})
    if "tag" in ctx:
        kinds = ctx["expected_tags"].replace("'", "")
        near = did_you_mean(ctx["tag"], kinds.split(", "))
        hint = f"; {near}" if near.startswith("did") else ""
        return f'found "{ctx["tag"]}", expected one of {kinds}{hint}'
    kinds = ", ".join(_kinds_at(keys[:-1], tree))
    return f"is missing; say what the column holds, one of {kinds}"


def _own_words(keys: Keys, entry: ErrorDetails, tree: Mapping[str, Any]) -> str:
    return str(entry["ctx"]["error"])


def _pattern(keys: Keys, entry: ErrorDetails, tree: Mapping[str, Any]) -> str:
    return f"found {found(entry['input'])}{_about(keys, tree)}"


def _length(keys: Keys, entry: ErrorDetails, tree: Mapping[str, Any]) -> str:
    ctx = entry["ctx"]
    count = ctx.get("min_length", ctx.get("max_length"))
    bound = "at least" if "min_length" in ctx else "at most"
    return f"has {ctx['actual_length']} entries, expected {bound} {count}{_about(keys, tree)}"


_SPECIAL: Mapping[str, Callable[[Keys, ErrorDetails, Mapping[str, Any]], str]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "union_tag_invalid": _wrong_kind,
    "union_tag_not_found": _wrong_kind,
    "value_error": _own_words,
    "string_pattern_mismatch": _pattern,
    "too_short": _length,
    "too_long": _length,
}


# What the spec's classes say about a field


def _about(keys: Keys, tree: Mapping[str, Any]) -> str:
    """Return the sentence that stands under a field in its class."""
    for length in range(len(keys), 0, -1):  # an item has its list's sentence
        model = _model_at(keys[: length - 1], tree)
        field = model.model_fields.get(str(keys[length - 1])) if model else None
        if field and field.description:
            return f". {keys[length - 1]}: {' '.join(field.description.split())}"
    return ""


def _model_at(keys: Keys, tree: Mapping[str, Any]) -> type[BaseModel] | None:
    """Return the class that describes the mapping at `keys`."""
    models, _ = _models_at(keys, tree)
    return models[0] if models else None


def _kinds_at(keys: Keys, tree: Mapping[str, Any]) -> list[str]:
    """Return the values of `kind` that the classes of a place stand for."""
    _, everything = _models_at(keys, tree)
    kinds = [typing.get_args(m.model_fields["kind"].annotation) for m in everything]
    return [str(kind) for choice in kinds for kind in choice]


def _models_at(
    keys: Keys, tree: Mapping[str, Any]
) -> tuple[list[type[BaseModel]], list[type[BaseModel]]]:
    """Return the classes whose `kind` fits the mapping at `keys`, and all classes of the place."""
    annotations: list[Any] = [PipelineSpec]
    node: Any = tree
    for key in keys:
        models = _fitting(_models(annotations), node)
        fields = [m.model_fields[str(key)] for m in models if str(key) in m.model_fields]
        annotations = [f.annotation for f in fields] or _items(annotations)
        node = node.get(key) if isinstance(node, Mapping) else node[int(key)]
    models = _models(annotations)
    return _fitting(models, node), models


def _fitting(models: list[type[BaseModel]], node: Any) -> list[type[BaseModel]]:
    """Leave the classes out whose `kind` is another one."""
    kind = node.get("kind") if isinstance(node, Mapping) else None

    def fits(model: type[BaseModel]) -> bool:
        field = model.model_fields.get("kind")
        return kind is None or field is None or kind in typing.get_args(field.annotation)

    return [model for model in models if fits(model)]


def _choices(annotation: Any) -> list[Any]:
    """Take Annotated and unions apart."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _choices(inner[0])
    if origin in (Union, types.UnionType):
        return [choice for part in inner for choice in _choices(part)]
    return [] if origin is Literal else [annotation]


def _models(annotations: list[Any]) -> list[type[BaseModel]]:
    choices = [choice for annotation in annotations for choice in _choices(annotation)]
    return [c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)]


def _items(annotations: list[Any]) -> list[Any]:
    """Return the annotations of what lists and mappings hold."""
    choices = [choice for annotation in annotations for choice in _choices(annotation)]
    return [typing.get_args(c)[-1] for c in choices if typing.get_origin(c) in (list, dict)]
