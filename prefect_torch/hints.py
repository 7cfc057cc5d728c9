"""Whether a plain value (text, number, list, mapping) fits a type hint, and what would."""

from __future__ import annotations

import collections.abc as abc
import json
import numbers
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, TypeVar, Union

_ANYTHING = (Any, object, typing.Hashable)
_LISTS = (
    list,
    tuple,
    set,
    frozenset,
    abc.Sequence,
    abc.MutableSequence,
    abc.Iterable,
    abc.Collection,
)
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)
_NUMBERS = (float, complex, numbers.Number, numbers.Real, numbers.Complex)
_WHOLE = (int, numbers.Integral)
_NAMED_BY_TEXT = ("Path", "PathLike", "device")
"""Classes that take their values as text as well."""


def is_component(value: Any) -> bool:
    """Whether a value describes a component: a mapping with `class`."""
    return isinstance(value, Mapping) and isinstance(value.get("class"), str)


def hint_of_default(default: Any) -> Any:
    """Return the hint that a default value stands for where a parameter has none."""
    if isinstance(default, bool):
        return bool | None
    if isinstance(default, (int, float)):
        return float | list | dict | None
    if isinstance(default, str):
        return str | list | dict | None
    return Any


def fits_hint(value: Any, hint: Any) -> bool:
    """Whether a value fits a hint.

    Whole numbers are numbers, lists do for tuples (of the right length), booleans are no numbers,
    and text is never a number. Of classes such as Tensor or Module only components are values.
    """
    hint = _bare(hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in _ANYTHING or isinstance(hint, (TypeVar, typing.ForwardRef, str)):
        return True
    if origin in (Union, types.UnionType):
        return any(fits_hint(value, choice) for choice in inner)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in inner)
    kind = origin or hint
    if kind in _LISTS:
        return _fits_list(value, kind, inner)
    if kind in _MAPPINGS:
        if not isinstance(value, Mapping) or is_component(value):
            return False
        return not inner or all(fits_hint(item, inner[1]) for item in value.values())
    return is_component(value) if _is_class_hint(kind) else _fits_scalar(value, kind)


def to_hint(value: Any, hint: Any) -> Any:
    """Return a value as its hint declares it: a list as a tuple, a name as an enum's member."""
    hint = _bare(hint)
    if typing.get_origin(hint) in (Union, types.UnionType):
        fitting = [choice for choice in typing.get_args(hint) if fits_hint(value, choice)]
        return to_hint(value, fitting[0]) if fitting else value
    if isinstance(value, list) and (typing.get_origin(hint) or hint) is tuple:
        return tuple(value)
    if isinstance(hint, type) and issubclass(hint, Enum) and not isinstance(value, Enum):
        return _member(value, hint) or value
    return value


def describe(hint: Any) -> str:
    """Say in words what a hint asks for."""
    hint = _bare(hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        plain = [choice for choice in inner if not _only_component(choice)]
        said = list(dict.fromkeys(describe(choice) for choice in plain or inner))
        if "a number" in said and "a whole number" in said:
            said.remove("a whole number")
        return " or ".join([s for s in said if s != "null"] + ["null"] * ("null" in said))
    if origin is Literal:
        choices = [found(choice) for choice in inner]
        return choices[0] if len(choices) == 1 else "one of " + ", ".join(choices)
    kind = origin or hint
    if kind is tuple and inner and inner[-1] is not Ellipsis:
        return f"a list of {len(inner)} ({', '.join(describe(item) for item in inner)})"
    if kind in _LISTS:
        return f"a list of {describe(inner[0])}" if inner else "a list"
    if kind in _MAPPINGS:
        return "a mapping"
    return _describe_scalar(kind)


def found(value: Any) -> str:
    """Return a value as it would stand in a file, cut when long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except TypeError:
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _bare(hint: Any) -> Any:
    """Take Annotated and NewType off."""
    if typing.get_origin(hint) is typing.Annotated:
        return _bare(typing.get_args(hint)[0])
    if isinstance(hint, typing.NewType):
        return _bare(hint.__supertype__)
    return type(None) if hint is None else hint


def _fits_list(value: Any, kind: Any, inner: tuple[Any, ...]) -> bool:
    if not isinstance(value, (list, tuple)):
        return False
    if kind is tuple and inner and inner[-1] is not Ellipsis:
        return len(value) == len(inner) and all(map(fits_hint, value, inner))
    return not inner or all(fits_hint(item, inner[0]) for item in value)


def _is_class_hint(kind: Any) -> bool:
    """Whether a hint is a class whose values cannot be written as plain ones."""
    if kind in (*_NUMBERS, *_WHOLE, bool, str, type(None)):
        return False
    if isinstance(kind, type) and issubclass(kind, (Enum, str)):
        return False
    return getattr(kind, "__name__", "") not in _NAMED_BY_TEXT


def _only_component(hint: Any) -> bool:
    """Whether only a component could fit a hint."""
    kind = typing.get_origin(hint) or hint
    known = (*_LISTS, *_MAPPINGS, *_ANYTHING, Literal, Union, types.UnionType, typing.Annotated)
    return kind not in known and _is_class_hint(kind)


def _fits_scalar(value: Any, kind: Any) -> bool:
    if kind is type(None):
        return value is None
    if kind is bool:
        return isinstance(value, bool)
    if kind in _WHOLE:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in _NUMBERS:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if issubclass(kind, Enum):
        return _member(value, kind) is not None
    return isinstance(value, str)


def _member(value: Any, kind: type[Enum]) -> Enum | None:
    """Return the enum's member of a name or value."""
    for name, member in kind.__members__.items():
        if value == name or (type(value) is type(member.value) and value == member.value):
            return member
    return None


def _describe_scalar(kind: Any) -> str:
    words = {bool: "true or false", str: "text", type(None): "null"}
    if kind in words:
        return words[kind]
    if kind in _WHOLE:
        return "a whole number"
    if kind in _NUMBERS:
        return "a number"
    name = getattr(kind, "__name__", str(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(kind.__members__)
    if name in _NAMED_BY_TEXT or (isinstance(kind, type) and issubclass(kind, str)):
        return "text"
    return f"a component ({{class: …}}) that gives a {name}"
