"""Reads YAML and JSON text into plain values and finds where each value stands; TOML's keys too."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from prefect_torch.errors import Problem, SpecError

Keys = tuple[str | int, ...]
"""Where a value stands: keys of mappings and indices of lists, from the root."""

MAX_DEPTH = 64
MAX_VALUES = 100_000
_TAG = "tag:yaml.org,2002:"


def located_error(place: str, message: str, name: str = "") -> SpecError:
    """Return an error of one problem."""
    return SpecError([Problem(place, name, message)])


def dotted(keys: Keys) -> str:
    """Return keys as people write them: `transforms.train.0.degrees`."""
    return ".".join(str(key) for key in keys)


class YamlReader:
    """Turns YAML nodes into plain values, one pass, without ever calling a constructor by tag."""

    def __init__(self, name: str) -> None:
        from ruamel.yaml import YAML

        self.name = name
        self.positions: dict[Keys, tuple[int, int]] = {}
        self._yaml = YAML(typ="safe", pure=True)
        self._open: list[Any] = []
        self._count = 0

    def read(self, text: str) -> Any:
        """Return a text's value; `positions` then holds where each part of it stands.

        Raises:
            SpecError: It is not YAML, or has tags, duplicate keys, aliases that contain themselves.
        """
        from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML allows it
                root = self._yaml.compose(text)
        except MarkedYAMLError as error:
            raise self._syntax_error(error, text) from error
        except YAMLError as error:
            raise located_error(self.name, f"is not YAML: {str(error).splitlines()[0]}") from error
        except RecursionError as error:
            raise located_error(self.name, f"is nested deeper than {MAX_DEPTH} levels") from error
        return None if root is None else self._value(root, ())

    def _syntax_error(self, error: Any, text: str) -> SpecError:
        mark = error.problem_mark or error.context_mark
        begun = error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        if mark and begun and begun.line != mark.line:
            said += f"; it begins in line {begun.line + 1}"
        near = "".join(text.splitlines()[mark.line : mark.line + 1]) if mark else ""
        if "${" in near:
            said += "; put ${…} in quotes"
        if near.lstrip(" ").startswith("\t"):
            said += "; indent with spaces, not tabs"
        place = f"{self.name}:{mark.line + 1}:{mark.column + 1}" if mark else self.name
        return located_error(place, f"is not YAML: {said}")

    def _fail(self, node: Any, message: str, keys: Keys) -> NoReturn:
        raise located_error(f"{self.name}:{_line(node)}:{_column(node)}", message, dotted(keys))

    def _value(self, node: Any, keys: Keys) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            self._fail(node, f"the file holds more than {MAX_VALUES:,} values", ())
        if len(keys) > MAX_DEPTH:
            self._fail(node, f"is nested deeper than {MAX_DEPTH} levels", keys[:4])
        if node in self._open:
            self._fail(node, f"the alias *{node.anchor} contains itself", keys)
        self.positions.setdefault(keys, (_line(node), _column(node)))
        kind = node.tag.removeprefix(_TAG)
        if kind not in {"map", "seq", "str", "null", "bool", "int", "float", "timestamp"} and not (
            kind in {"merge", "value"} and node.id == "scalar"
        ):
            self._fail(node, f"the tag {_tag(node.tag)} is not allowed; write plain values", keys)
        if node.id == "scalar":
            return self._scalar(node, kind, keys)
        self._open.append(node)
        value = self._mapping(node, keys) if node.id == "mapping" else self._list(node, keys)
        self._open.pop()
        return value

    def _scalar(self, node: Any, kind: str, keys: Keys) -> Any:
        if kind not in {"null", "bool", "int", "float"}:
            return node.value  # text; dates stay text
        try:
            return self._yaml.constructor.construct_object(node)
        except (ValueError, KeyError) as error:
            place = f"{self.name}:{_line(node)}:{_column(node)}"
            raise located_error(
                place, f"cannot be read as {kind}: {error}", dotted(keys)
            ) from error

    def _list(self, node: Any, keys: Keys) -> list[Any]:
        return [self._value(item, (*keys, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: Any, keys: Keys) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, item in node.value:
            key = key_node.value
            if key_node.tag == f"{_TAG}merge":
                self._fail(key_node, "merging with << is not YAML 1.2; write the fields out", keys)
            if key_node.tag not in {f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value"}:
                shown = key if isinstance(key, str) else "…"
                self._fail(key_node, f"the key {shown} is not text; put it in quotes", keys)
            here = (*keys, key)
            if key in found:
                line = self.positions[here][0]
                self._fail(key_node, f'"{key}" stands here twice, first in line {line}', here)
            self.positions[here] = (_line(key_node), _column(key_node))
            found[key] = self._value(item, here)
        return found


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _column(node: Any) -> int:
    return int(node.start_mark.column) + 1


def _tag(tag: str) -> str:
    """Return a tag as it stands in the file."""
    return tag.replace(_TAG, "!!")


_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_ENTRY = re.compile(rf"\s*({_DOTTED})\s*=")


def toml_positions(text: str) -> Iterator[tuple[Keys, tuple[int, int]]]:
    """Yield where tables and keys stand; inline values have the place of their key."""
    table: Keys = ()
    counts: dict[Keys, int] = {}
    quote = ""  # the delimiter of the multi-line text that we are inside of
    for number, line in enumerate(text.splitlines(), start=1):
        if not quote:
            column = len(line) - len(line.lstrip()) + 1
            if header := _TABLE.match(line):
                table = _with_indices(_parts(header[2]), counts)
                if header[1] == "[[":
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                yield table, (number, column)
            elif entry := _ENTRY.match(line):
                yield (*table, *_parts(entry[1])), (number, column)
        for mark in re.findall(r'"""|\'\'\'', line):
            quote = mark if not quote else "" if mark == quote else quote


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, text))


def _with_indices(parts: tuple[str, ...], counts: Mapping[Keys, int]) -> Keys:
    """Put the index of the latest item after each list of tables but the last part."""
    keys: Keys = ()
    for index, part in enumerate(parts):
        keys = (*keys, part)
        if keys in counts and index < len(parts) - 1:
            keys = (*keys, counts[keys])
    return keys
