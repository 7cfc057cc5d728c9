"""Ingest: the source's rows become canonical Parquet, checked and counted."""

from __future__ import annotations

from prefect_torch.datasets.dataset_source import as_source
from prefect_torch.datasets.ingest import ingest as write_canonical
from prefect_torch.datasets.source import Source
from prefect_torch.declaration import Declaration
from prefect_torch.tasks.context import StageContext


def ingest(context: StageContext) -> None:
    """Stream the source to `data/part-*.parquet` and `statistics.json`."""
    source = open_source(context.declaration)
    write_canonical(source, context.declaration.spec.data.expect, context.output)


def open_source(declaration: Declaration) -> Source:
    """Construct the declared source; nothing is read yet."""
    component = declaration.spec.data.source
    return as_source(declaration.build(component, "source"), declaration.project)
