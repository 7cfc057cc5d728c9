"""The champion on today's test rows: encoded as it learned them, judged as today's model is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from prefect_torch.components import Component
from prefect_torch.datasets.batch import Batch
from prefect_torch.datasets.ingest import open_ingested
from prefect_torch.datasets.parquet_dataset import ParquetDataset
from prefect_torch.datasets.refit import FittedInputs
from prefect_torch.errors import ArtifactError
from prefect_torch.registry import Champion
from prefect_torch.store import Artifact
from prefect_torch.tasks.context import StageContext
from prefect_torch.tasks.evaluate import test_metrics
from prefect_torch.tasks.model import EVALUATION_BATCH, declared_loss, load_trained, predictor
from prefect_torch.tasks.prepare import PICTURES
from prefect_torch.training.device import choose_device
from prefect_torch.training.objectives import Predict, Supervised


def champion_metrics(context: StageContext, champion: Champion) -> dict[str, float]:
    """Return the champion's figures on the candidate's test rows, by the metrics declared now.

    New data moves normalisation and vocabularies. So the rows come from ingest, encoded with the
    state that the champion's checkpoint carries.

    Raises:
        PrefectTorchError: It cannot be asked: its checkpoint is gone, it knows other classes, the
            data lacks one of its columns.
    """
    declaration, prepared = context.declaration, context.inputs["prepare"]
    trained = context.store.get(champion.train)
    trained.verify(remembered=False)
    then, now = trained.json("fitted.json"), prepared.json("fitted.json")
    _check_target(then["target"], now["target"])
    device = choose_device(declaration.spec.train.device)
    model = load_trained(declaration, trained, device)
    predict = _in_todays_unit(predictor(model, then), then["target"], now["target"])
    objective = Supervised(predict, declared_loss(declaration, now, device), now["target"])
    batches = (batch.to(device) for batch in _test_rows(context, trained))
    return test_metrics(declaration, prepared, objective.evaluate(model, batches))


def _check_target(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for what, key in (("target", "column"), ("kind of target", "kind"), ("classes", "values")):
        if then.get(key) != now.get(key):
            raise ArtifactError(f"it learned other {what}: {then.get(key)}, today {now.get(key)}")


def _in_todays_unit(predict: Predict, then: Mapping[str, Any], now: Mapping[str, Any]) -> Predict:
    """Turn numbers normalised as the champion's target was into today's normalisation."""
    if now["kind"] != "number":
        return predict
    factor = then["deviation"] / now["deviation"]
    shift = (then["mean"] - now["mean"]) / now["deviation"]
    return lambda inputs: predict(inputs) * factor + shift


def _test_rows(context: StageContext, trained: Artifact) -> Iterator[Batch]:
    """Yield today's test rows: the champion's inputs, today's target."""
    test = ParquetDataset(context.inputs["prepare"].file("test.parquet"))
    wanted = test[torch.arange(len(test))] if len(test) else {}
    target, row = wanted["target"], wanted["row"].numpy()
    encode = _champion_inputs(context, trained)
    first = 0
    for batch in open_ingested(context.inputs["ingest"]).to_batches(batch_size=EVALUATION_BATCH):
        # Prepare writes a split's rows in the order of the data.
        begin, end = np.searchsorted(row, (first, first + batch.num_rows)).tolist()
        if begin < end:
            rows = row[begin:end]
            inputs = encode(batch.take(rows - first), rows)
            yield Batch(inputs, target[begin:end], wanted["row"][begin:end])
        first += batch.num_rows


def _champion_inputs(context: StageContext, trained: Artifact) -> FittedInputs:
    declaration = context.declaration
    pictures: dict[str, Any] = {"shapes": {}, "transforms": []}
    if PICTURES in trained.files:
        pictures = trained.json(PICTURES)
    components = [Component.model_validate(written) for written in pictures["transforms"]]
    transforms = [declaration.build(component, "transform") for component in components]
    fitted = trained.json("fitted.json")
    return FittedInputs(fitted, pictures["shapes"], transforms, declaration.spec.seed)
