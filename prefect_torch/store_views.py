"""What `gc` and `diff` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from prefect_torch.console import figure
from prefect_torch.tasks.difference import MetricDifference, RunDifference
from prefect_torch.tasks.garbage import KINDS, Findings, Garbage

if TYPE_CHECKING:
    from rich.console import Console

MOST_NAMES = 12
DIGITS = 12
MISSING = "\N{EN DASH}"


def show_garbage(console: Console, garbage: Sequence[Garbage], kept: Findings, word: str) -> None:
    """Print what can go, or went, by kind.

    Args:
        console: Where to.
        garbage: The things.
        kept: What stays is told from these.
        word: `would free` or `freed`.
    """
    stays = f"{kept.artifacts_kept} artifacts and {kept.runs_kept} runs"
    stays += f", {len(kept.resumable)} trainings to resume" if kept.resumable else ""
    console.print(Text(f"kept: {stays}"), soft_wrap=True)
    total = sum(each.bytes for each in garbage)
    console.print(Text(f"{word} {decimal(total)}", "bold"), soft_wrap=True)
    for kind in KINDS:
        things = [each for each in garbage if each.kind == kind]
        if not things:
            continue
        size = decimal(sum(each.bytes for each in things))
        console.print(Text(f"  {len(things)} {kind}, {size}"), soft_wrap=True)
        for each in sorted(things, key=lambda each: -each.bytes)[:MOST_NAMES]:
            console.print(Text(f"    {_garbage(each)}", "dim"), soft_wrap=True)
        if len(things) > MOST_NAMES:
            console.print(Text(f"    and {len(things) - MOST_NAMES} more", "dim"))


def _garbage(each: Garbage) -> str:
    name = each.name if each.kind in ("runs", "leftovers") else each.name[:DIGITS]
    told = f"of {each.told[:DIGITS]}" if each.kind == "records" else each.told
    return f"{name}  {told + '  ' if told else ''}{decimal(each.bytes)}"


def garbage_json(
    garbage: Sequence[Garbage], kept: Findings, freed: bool, stays: Sequence[str]
) -> dict[str, Any]:
    """Return the one line of `gc --json`."""
    return {
        "freed": freed,
        "bytes": sum(each.bytes for each in garbage),
        **{
            kind: [
                {"name": each.name, "bytes": each.bytes, "path": str(each.path)}
                for each in garbage
                if each.kind == kind
            ]
            for kind in KINDS
        },
        "stays": list(stays),
        "kept": {
            "artifacts": kept.artifacts_kept,
            "runs": kept.runs_kept,
            "resumable": list(kept.resumable),
        },
    }


def show_difference(console: Console, found: RunDifference) -> None:
    """Print what differs between two runs, and what it did."""
    console.print(Text(f"a: {found.a}\nb: {found.b}"), soft_wrap=True)
    for remark in found.remarks:
        console.print(Text(remark, "yellow"), soft_wrap=True)
    for name, stage in found.stages.items():
        same = stage.a == stage.b
        line = Text(f"  {name:<9} ").append(
            "same" if same else "differs", "cyan" if same else "yellow"
        )
        if same and stage.differences:
            line.append("  all the same bytes", "dim")
        console.print(line, soft_wrap=True)
        for told in stage.differences:
            console.print(Text(f"    {told}", "dim"), soft_wrap=True)
    if found.metrics:
        console.print()
        console.print(_metrics(found))


def _metrics(found: RunDifference) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("metric")
    for name in ("a", "b", "change"):
        table.add_column(name, justify="right")
    table.add_column("")
    for name, metric in found.metrics.items():
        table.add_row(Text(name), *_row(metric))
    for name, (a, b) in (
        ("epochs trained", found.training.epochs),
        ("epoch chosen", found.training.chosen),
    ):
        change = f"{b - a:+d}" if a is not None and b is not None else MISSING
        table.add_row(Text(name), _number(a), _number(b), change, "")
    return table


def _row(metric: MetricDifference) -> tuple[str, str, str, Text]:
    a, b = (figure(value) if value is not None else MISSING for value in (metric.a, metric.b))
    change = MISSING
    if metric.change is not None:
        change = f"{'+' if metric.change > 0 else ''}{figure(metric.change)}"
    words = {True: Text("better", "green"), False: Text("worse", "red"), None: Text("")}
    return a, b, change, words[metric.better]


def _number(value: int | None) -> str:
    return MISSING if value is None else str(value)
