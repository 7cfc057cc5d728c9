"""What a run looks like in a terminal: a line a stage, a live bar, then figures and the report."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column, Table
from rich.text import Text

from prefect_torch.progress import Event, Finished, Progress, Started
from prefect_torch.results import RunSummary

if TYPE_CHECKING:
    from prefect_torch.tasks.plan import Decision

STYLES = {"ran": "green", "reused": "cyan", "run": "yellow", "reuse": "cyan", "failed": "red"}
SECONDS_BETWEEN_UPDATES = 0.1
NAME_WIDTH = 9


class RunConsole:
    """Listens to a run and shows it; a live bar where the output is a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Bar | None = None
        self._updated = 0.0

    def __call__(self, event: Event) -> None:
        """Show an event of the run."""
        if isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Progress):
            self._update(event)
        else:
            self._finish(event)

    def __enter__(self) -> RunConsole:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _start(self, event: Started) -> None:
        self._close()
        if not self._console.is_terminal:
            return
        self._bar = Bar(
            TextColumn(f"  {event.stage:<{NAME_WIDTH}}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=False)),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
        )
        self._bar.add_task("; ".join(event.reasons), total=None)
        self._bar.start()

    def _update(self, event: Progress) -> None:
        early = time.monotonic() - self._updated < SECONDS_BETWEEN_UPDATES
        if self._bar is None or (early and event.done != event.total):
            return
        self._updated = time.monotonic()
        values = "  ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in event.values.items())
        self._bar.update(
            self._bar.task_ids[0],
            completed=event.done,
            total=event.total,
            description=f"{event.unit}  {values}",
        )

    def _finish(self, event: Finished) -> None:
        self._close()
        reasons = "; ".join(event.reasons)
        show_stage(self._console, event.stage, event.outcome, event.seconds, reasons)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def show_stage(
    console: Console, stage: str, outcome: str, seconds: float | None = None, told: str = ""
) -> None:
    """Print the line of a stage; long ones are left to the terminal to fold."""
    line = Text(f"  {stage:<{NAME_WIDTH}} ")
    line.append(f"{outcome:<7}", STYLES[outcome])
    if seconds is not None:
        line.append(f"{seconds:>8.2f} s")
    if told:
        line.append(f"  {told}", "dim")
    line.rstrip()
    console.print(line, soft_wrap=True)


def show_plan(console: Console, plan: Mapping[str, Decision], widened: Mapping[str, str]) -> None:
    """Print a decision and its reasons for every stage, and files of which all code counts."""
    for name, decision in plan.items():
        show_stage(console, name, decision.decision, told="; ".join(decision.reasons))
    for file, why in widened.items():
        console.print(Text(f"any edit of {file} counts: {why}", "dim"), soft_wrap=True)


def show_figures(console: Console, summary: RunSummary) -> None:
    """Print the figures of a run, what the gate said, and where the report is."""
    if summary.metrics:
        console.print()
        console.print(_metrics_table(summary.metrics))
    if summary.promoted is not None:
        word, style = ("promoted", "green") if summary.promoted else ("not promoted", "red")
        told = Text.assemble((word, f"bold {style}"), ": " + "; ".join(summary.gate))
        console.print(told, soft_wrap=True)
    if summary.report:
        console.print(Text(f"report: {summary.report}"), soft_wrap=True)


def _metrics_table(metrics: Mapping[str, float]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("metric")
    table.add_column("test", justify="right")
    for name, value in metrics.items():
        table.add_row(Text(name), figure(value))
    return table


def figure(value: float) -> str:
    """Return four decimals, or four digits where that would hide the value."""
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.4g}"


def summary_json(summary: RunSummary) -> dict[str, Any]:
    """Return the one line of `run --json`; a figure that is no number becomes null."""
    keys = ("outcome", "fingerprint", "artifact", "path", "seconds", "reasons")
    stages = summary.model_dump(mode="json")["stages"]
    line: dict[str, Any] = {
        "run_id": summary.run_id,
        "stages": {name: {key: stage[key] for key in keys} for name, stage in stages.items()},
        "metrics": {k: v if math.isfinite(v) else None for k, v in summary.metrics.items()},
        "promoted": summary.promoted,
        "report": summary.report,
    }
    if summary.failed:
        line |= {"failed": summary.failed, "error": summary.error}
    return line
