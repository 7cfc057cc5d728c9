"""A lineage as a tree for a terminal and as a Mermaid diagram."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal
from rich.text import Text
from rich.tree import Tree

from prefect_torch.tasks.lineage import Step

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_CHARACTERS = 60
DIGITS = 12


def show_lineage(console: Console, steps: Mapping[str, Step]) -> None:
    """Print an artifact and, below it, what it was computed from, down to the source."""
    first = next(iter(steps))
    tree = Tree(_headline(steps[first]), guide_style="dim")
    _grow(tree, first, steps, set())
    console.print(tree)


def _grow(tree: Tree, digest: str, steps: Mapping[str, Step], shown: set[str]) -> None:
    shown.add(digest)
    step = steps[digest]
    for label, told in _details(step):
        tree.add(Text.assemble((f"{label}  ", "dim"), told))
    for stage, upstream in step.upstream.items():
        if upstream in shown:
            tree.add(Text.assemble((stage, "bold"), f" {upstream[:DIGITS]}  ", ("above", "dim")))
        else:
            _grow(tree.add(_headline(steps[upstream])), upstream, steps, shown)


def _headline(step: Step) -> Text:
    told = [decimal(step.bytes) if step.bytes is not None else "no longer in the store"]
    provenance: Mapping[str, Any] = step.record.provenance if step.record else {}
    told += [str(provenance[key]) for key in ("finished", "host", "device") if provenance.get(key)]
    if provenance.get("run_id"):
        told.append(f"run {provenance['run_id']}")
    text = Text.assemble((step.stage or "unknown stage", "bold"), f" {step.artifact[:DIGITS]}  ")
    return text.append(", ".join(told), "dim")


def _details(step: Step) -> Iterator[tuple[str, str]]:
    """Yield what decided an artifact: label and text."""
    if step.record is None:
        yield "made by", "nothing in the store says how"
        return
    document = step.record.document
    for name, value in document.get("spec", {}).items():
        yield "spec", f"{name} {_text(value)}"
    for name, value in _source(document.get("source")):
        yield "source", f"{name} {_text(value)}"
    yield "code", _code(step)
    for unit, digest in step.code.items():
        if not unit.startswith("prefect_torch/"):
            yield "code", f"{unit} {digest}"
    yield "versions", ", ".join(f"{k} {v}" for k, v in document.get("versions", {}).items())
    if document.get("champion"):
        yield "compared", f"with the champion {document['champion'][:DIGITS]}"
    if step.others:
        yield "also", f"given by {step.others} more, with other inputs but the same bytes"


def _source(source: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a source's bytes were: its files by name, where it has files."""
    if source is None:
        return
    for name, value in source.items():
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            for file in value:
                digests = [v for k, v in file.items() if k != "name"]
                yield str(file.get("name", name)), " ".join(_text(each) for each in digests)
        else:
            yield name, value


def _code(step: Step) -> str:
    digest = str(step.record.document.get("code")) if step.record else ""
    ours = sum(unit.startswith("prefect_torch/") for unit in step.code)
    told = f"{len(step.code) - ours} units of the project and {ours} of prefect-torch"
    return f"{digest[:DIGITS]}  {told if step.code else 'units unknown'}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def mermaid(steps: Mapping[str, Step]) -> str:
    """Return a Mermaid flowchart, from the source to the artifact."""
    lines = ["flowchart TD"]
    for step in [*steps.values()][::-1]:
        name = f"a{step.artifact[:DIGITS]}"
        source = step.record.document.get("source") if step.record else None
        if source is not None:
            told = ["source", *(f"{label} {_text(value)}" for label, value in _source(source))]
            lines += [f"    s{name}[({_label(told)})]", f"    s{name} --> {name}"]
        details = [f"{label}: {text}" for label, text in _details(step) if label != "source"]
        head = f"{step.stage or 'unknown stage'} {step.artifact[:DIGITS]}"
        lines.append(f"    {name}[{_label([head, *details])}]")
    for step in [*steps.values()][::-1]:
        for upstream in step.upstream.values():
            lines.append(f"    a{upstream[:DIGITS]} --> a{step.artifact[:DIGITS]}")
    return "\n".join(lines)


def _label(lines: list[str]) -> str:
    """Return lines as a Mermaid label, in which `"`, `<` and `#` would mean something."""
    cut = [
        line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"
        for line in lines
    ]
    escapes = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;"}
    safe = ["".join(escapes.get(letter, letter) for letter in line) for line in cut]
    return '"' + "<br/>".join(safe) + '"'
