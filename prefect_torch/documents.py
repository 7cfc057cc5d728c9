"""Reads a pipeline file (YAML, TOML, JSON) into plain values and remembers where each one stands.

Nothing here knows what a pipeline is; `checking.py` does.
"""

from __future__ import annotations

import copy
import json
import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, time
from pathlib import Path
from typing import Any

from prefect_torch.errors import Problem, SpecError, did_you_mean
from prefect_torch.positions import (
    MAX_DEPTH,
    MAX_VALUES,
    Keys,
    YamlReader,
    dotted,
    located_error,
    toml_positions,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIXES = (".yaml", ".yml", ".toml", ".json")
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Document:
    """What a pipeline file says, as plain values, with the place of each of them."""

    path: Path | None
    """The file; None for a document that was built in Python."""
    tree: dict[str, Any]
    """Mappings, lists, text, numbers, booleans and None."""
    positions: Mapping[Keys, tuple[int, int]] = field(default_factory=dict)
    """Line and column, from 1, of each key and list item."""
    overridden: Mapping[Keys, str] = field(default_factory=dict)
    """What was set over the file: keys to the text of the override, `optimizer.lr=fast`."""
    text: str = ""
    """The file as it was read; empty for a document that was built in Python."""

    @property
    def project(self) -> Path | None:
        """The folder that the file lies in, whose modules it may name."""
        return self.path.resolve().parent if self.path else None

    def override_of(self, keys: Keys) -> str | None:
        """Return the override that a field, or what it lies in, came from; None for the file's."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.overridden:
                return self.overridden[keys[:length]]
        return None

    def place(self, keys: Keys) -> str:
        """Return `pipelines/digits.yaml:14:9`, or `--set optimizer.lr=fast` for an override."""
        override = self.override_of(keys)
        if override is not None:
            return f"--set {override}"
        if self.path is None:
            return ""
        line, column = self.position(keys)
        return f"{_shown(self.path)}:{line}:{column}" if line else _shown(self.path)

    def position(self, keys: Keys) -> tuple[int, int]:
        """Return line and column of a field, or of the nearest thing around it; (0, 0) for none."""
        for length in range(len(keys), -1, -1):
            if keys[:length] in self.positions:
                return self.positions[keys[:length]]
        return (0, 0)

    def with_overrides(self, overrides: Iterable[str]) -> Document:
        """Return the document with fields set anew.

        `train.epochs=3`, `transforms.train.0.degrees=5`. Values are read as YAML 1.2. Mappings on
        the way that don't exist are created.

        Raises:
            SpecError: An override has no `=`, a value that cannot be read, or leads into a value
                that has no fields.
        """
        tree, overridden = copy.deepcopy(self.tree), dict(self.overridden)
        problems: list[Problem] = []
        for text in overrides:
            try:
                keys = _set(tree, text)
            except SpecError as error:
                problems += error.problems
                continue
            overridden = {k: v for k, v in overridden.items() if k[: len(keys)] != keys}
            overridden[keys] = text
        if problems:
            raise SpecError(problems)
        return replace(self, tree=tree, overridden=overridden)


def document_from(mapping: Mapping[str, Any]) -> Document:
    """Return a document for values that were built in Python.

    Raises:
        SpecError: A value is not plain (text, number, boolean, None, list, mapping).
    """
    return Document(None, _checked(mapping, lambda keys: ""))


def read_document(path: Path | str) -> Document:
    """Read a pipeline file.

    Raises:
        SpecError: The file is missing, too large, broken, or holds what a pipeline file must not
            hold (duplicate keys, tags, NaN); each with its line and column.
    """
    path = Path(path)
    text = _text(path)
    if path.suffix == ".toml":
        tree, positions = _read_toml(path, text)
    else:
        tree, positions = _read_yaml(path, text)
    document = Document(path, {}, positions, text=text)
    return replace(document, tree=_checked(tree, document.place))


def _text(path: Path) -> str:
    """Read a file's text, having looked at its name and size first."""
    shown = _shown(path)
    if path.suffix not in SUFFIXES:
        raise located_error(
            shown, f"is no pipeline file: expected its name to end in {', '.join(SUFFIXES)}"
        )
    if not path.is_file():
        raise located_error(shown, f"there is no such file; {_nearby(path)}")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise located_error(shown, f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise located_error(
            shown, "is larger than 1 MiB, more than any pipeline file; did you name the data?"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        found = content[error.start]
        raise located_error(
            f"{shown}:{line}:{column}", f"byte 0x{found:02x} is not UTF-8; save the file as UTF-8"
        ) from error


def _nearby(path: Path) -> str:
    """Say which pipeline files lie in the folder of a path that does not exist."""
    if not path.parent.is_dir():
        return f"its folder {_shown(path.parent)} does not exist either"
    names = [file.name for file in path.parent.iterdir() if file.suffix in SUFFIXES]
    if not names:
        return "its folder holds no pipeline file"
    return did_you_mean(path.name, names).replace("known:", "its folder has:")


def _shown(path: Path) -> str:
    """Return a path as people read it: relative to the working folder where it lies below."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def _checked(tree: Any, place: Any) -> dict[str, Any]:
    """Return a copy made of plain values only.

    Raises:
        SpecError: It is not a mapping, too deep, too large, or holds something that is not plain.
    """
    if not isinstance(tree, Mapping):
        found = "nothing" if tree is None else f"a {_type_name(tree)}"
        raise located_error(
            place(()), f"expected a mapping with fields such as name, data, model; found {found}"
        )
    count = 0

    def copied(value: Any, keys: Keys) -> Any:
        nonlocal count
        count += 1
        fault = _fault(value, len(keys), count)
        if fault:
            raise located_error(place(keys), fault, dotted(keys[:8]))
        if isinstance(value, Mapping):
            return {key: copied(item, (*keys, key)) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [copied(item, (*keys, index)) for index, item in enumerate(value)]
        return value.isoformat() if isinstance(value, (date, time)) else value

    plain: dict[str, Any] = copied(tree, ())
    return plain


def _fault(value: Any, depth: int, count: int) -> str | None:
    """Say why a value, the `count`-th of its document, may not stand in one."""
    if depth > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels"
    if count > MAX_VALUES:
        return f"the file holds more than {MAX_VALUES:,} values"
    if isinstance(value, float) and not math.isfinite(value):
        return f"found {value}; expected a finite number"
    for text in value if isinstance(value, Mapping) else [value]:
        if isinstance(value, Mapping) and not isinstance(text, str):
            return f"key {text!r} is a {_type_name(text)}; put it in quotes to make it a name"
        if isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text):
            return f"found {text!a}, half of a character; write the character itself"
    plain = (str, bool, int, float, type(None), Mapping, list, tuple, date, time)
    if not isinstance(value, plain):
        return f"found a {_type_name(value)}; expected text, a number, a list or a mapping"
    return None


def _type_name(value: Any) -> str:
    names = {str: "text", bool: "boolean", int: "number", float: "number", dict: "mapping"}
    return names.get(type(value), type(value).__name__)


def _read_yaml(path: Path, text: str) -> tuple[Any, dict[Keys, tuple[int, int]]]:
    """Read YAML 1.2 or JSON; the positions come from the YAML reader for both."""
    value: Any = None
    if path.suffix == ".json":
        value = _read_json(path, text)
    reader = YamlReader(_shown(path))
    tree = reader.read(text)
    return (value if path.suffix == ".json" else tree), reader.positions


def _read_json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{_shown(path)}:{error.lineno}:{error.colno}"
        raise located_error(place, f"is not JSON: {error.msg}") from error
    except RecursionError as error:
        raise located_error(_shown(path), f"is nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise located_error(_shown(path), f"is not JSON: {error}") from error


def _read_toml(path: Path, text: str) -> tuple[Any, dict[Keys, tuple[int, int]]]:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", str(error), re.DOTALL)
        message, place = (said[1], f":{said[2]}:{said[3]}") if said else (str(error), "")
        raise located_error(f"{_shown(path)}{place}", f"is not TOML: {message}") from error
    except RecursionError as error:
        raise located_error(_shown(path), f"is nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:  # a date such as 2024-13-01, a number of thousands of digits
        raise located_error(_shown(path), f"is not TOML: {error}") from error
    return tree, {(): (1, 1), **dict(toml_positions(text))}


def _set(tree: dict[str, Any], text: str) -> Keys:
    """Set one field from `a.b=value` and return its keys."""
    name, equals, value_text = text.partition("=")
    place = f"--set {text}"
    parts = name.strip().split(".")
    if not equals or not all(parts):
        raise located_error(place, "expected field=value, such as train.epochs=3")
    try:
        value = YamlReader(place).read(value_text)
    except SpecError as error:  # a place inside the override says nothing
        raise located_error(place, error.problems[0].message, name) from error
    value = _checked({"value": value}, lambda keys: place)["value"]
    node: Any = tree
    keys: Keys = ()
    for position, part in enumerate(parts):
        key = _key(node, part, keys, place)
        keys = (*keys, key)
        if position == len(parts) - 1:
            node[key] = value
        elif isinstance(node, dict) and node.get(key) is None:
            node[key] = node = {}
        else:
            node = node[key]
    return keys


def _key(node: Any, part: str, keys: Keys, place: str) -> str | int:
    """Return the key or index that one part of an override's name stands for."""
    if isinstance(node, dict):
        return part
    if isinstance(node, list):
        if part.isdecimal() and int(part) < len(node):
            return int(part)
        raise located_error(
            place, f"is a list of {len(node)}; {part!r} is none of its indices", dotted(keys)
        )
    shown = json.dumps(node, ensure_ascii=False)
    raise located_error(
        place, f"is {shown}, which has no field {part!r}; set all of it", dotted(keys)
    )
