"""Prepare: ingested rows become one file per split in the training layout, and fitted state."""

from __future__ import annotations

from prefect_torch.datasets.ingest import open_ingested
from prefect_torch.datasets.prepare import prepare as write_splits
from prefect_torch.store import write_json
from prefect_torch.tasks.context import StageContext

PICTURES = "pictures.json"
"""What the fitted state does not hold of pictures: declared shapes and deterministic transforms."""


def prepare(context: StageContext) -> None:
    """Write one Parquet file a split, `fitted.json` and, where there are pictures, `PICTURES`."""
    declaration = context.declaration
    spec = declaration.spec
    transforms = [declaration.build(t, "transform") for t in spec.transforms.prepare]
    ingested = open_ingested(context.inputs["ingest"])
    write_splits(spec.data, spec.seed, transforms, ingested, context.output)
    features = (spec.data.features or {}).items()
    shapes = {name: list(f.shape) for name, f in features if f.kind == "image"}
    if shapes:
        declared = [t.model_dump(mode="json") for t in spec.transforms.prepare]
        write_json(context.output / PICTURES, {"shapes": shapes, "transforms": declared})
