"""What a run looks like in a terminal: a line a stage, a live bar, then figures and the report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from prefect_torch.progress import Event, Finished, Progress, Started
from prefect_torch.tasks.plan import Decision
from prefect_torch.tasks.summary import RunSummary

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
            TextColumn(f"  {event.stage:<{NAME_WIDTH}}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
        )
        self._bar.add_task("; ".join(event.reasons), total=None)
        self._bar.start()

    def _update(self, event: Progress) -> None:
        last = event.done == event.total
        if self._bar is None or (time.monotonic() - self._updated < SECONDS_BETWEEN_UPDATES and not last):
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
        line = Text(f"  {event.stage:<{NAME_WIDTH}} ")
        line.append(f"{event.outcome:<7}", STYLES[event.outcome])
        line.append(f"{event.seconds:>8.2f} s  ")
        line.append("; ".join(event.reasons), "dim")
        self._console.print(line, soft_wrap=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def show_plan(console: Console, plan: Mapping[str, Decision]) -> None:
    """Print a decision and its reasons for every stage."""
    for name, decision in plan.items():
        line = Text(f"  {name:<{NAME_WIDTH}} ")
        line.append(f"{decision.decision:<6}", STYLES[decision.decision])
        line.append("  " + "; ".join(decision.reasons), "dim")
        console.print(line, soft_wrap=True)


def show_summary(console: Console, summary: RunSummary) -> None:
    """Print the stages, the figures, what the gate said, and where the report is."""
    console.print()
    console.print(_stages_table(summary))
    if summary.metrics:
        console.print(_metrics_table(summary.metrics))
    if summary.promoted is not None:
        word, style = ("promoted", "green") if summary.promoted else ("not promoted", "red")
        console.print(Text(word, f"bold {style}").append(": " + "; ".join(summary.gate), "default"))
    if summary.report:
        console.print(f"report: {summary.report}", soft_wrap=True, highlight=False)


def _stages_table(summary: RunSummary) -> Table:
    table = Table(title=None, box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, side in (("stage", "left"), ("outcome", "left"), ("seconds", "right")):
        table.add_column(name, justify="right" if side == "right" else "left")
    table.add_column("artifact")
    for stage in summary.stages.values():
        outcome = Text(stage.outcome, STYLES[stage.outcome])
        table.add_row(stage.stage, outcome, f"{stage.seconds:.2f}", stage.artifact[:12])
    if summary.failed:
        table.add_row(summary.failed, Text("failed", "red"), "", "")
    return table


def _metrics_table(metrics: Mapping[str, float]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("metric")
    table.add_column("test", justify="right")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}")
    return table


def summary_json(summary: RunSummary) -> dict[str, Any]:
    """Return the one line of `run --json`."""
    keys = ("outcome", "fingerprint", "artifact", "path", "seconds", "reasons")
    stages = summary.model_dump(mode="json")["stages"]
    line: dict[str, Any] = {
        "run_id": summary.run_id,
        "stages": {name: {key: stage[key] for key in keys} for name, stage in stages.items()},
        "metrics": summary.metrics,
        "promoted": summary.promoted,
        "report": summary.report,
    }
    if summary.failed:
        line |= {"failed": summary.failed, "error": summary.error}
    return line
