"""Prepare: ingested rows become one file per split in the training layout, and fitted state."""

from __future__ import annotations

from prefect_torch.datasets.ingest import open_ingested
from prefect_torch.datasets.prepare import prepare as write_splits
from prefect_torch.tasks.stage import StageContext


def prepare(context: StageContext) -> None:
    """Write `train.parquet`, `validation.parquet`, `test.parquet` and `fitted.json`."""
    declaration = context.declaration
    spec = declaration.spec
    transforms = [declaration.build(t, "transform") for t in spec.transforms.prepare]
    ingested = open_ingested(context.inputs["ingest"])
    write_splits(spec.data, spec.seed, transforms, ingested, context.output)
