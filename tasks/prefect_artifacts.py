"""What a flow run shows in the Prefect UI: figures, plots and where the report is."""

from __future__ import annotations

from pathlib import Path

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from prefect_torch.plots import svg_data_uri
from prefect_torch.results import RunSummary


def show_results(summary: RunSummary) -> None:
    """Create the artifacts of a run that reached evaluate; others have nothing to show."""
    if summary.report is None:
        return
    name = summary.pipeline.replace("_", "-")
    create_table_artifact(
        [{"metric": metric, "test": value} for metric, value in summary.metrics.items()],
        key=f"{name}-metrics",
        description=f"{summary.pipeline}: figures on the test split",
    )
    for plot in sorted(Path(summary.stages["evaluate"].path).glob("plots/*.svg")):
        title = plot.stem.replace("_", " ")
        picture = svg_data_uri(plot.read_text(encoding="utf-8"))
        create_markdown_artifact(
            f"# {summary.pipeline}: {title}\n\n![{title}]({picture})\n",
            key=f"{name}-{plot.stem.replace('_', '-')}",
            description=f"{summary.pipeline}: {title}",
        )
    create_link_artifact(
        Path(summary.report).as_uri(),
        key=f"{name}-report",
        link_text="Report",
        description=f"{summary.pipeline}: the report, a self-contained page on {summary.report}",
    )
