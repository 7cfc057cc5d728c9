"""Train: prepared splits become a checkpoint and a history."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from torch.optim.lr_scheduler import LRScheduler

from prefect_torch.datasets.batch import Batch
from prefect_torch.datasets.loader import Batches, EpochOrder, make_loader
from prefect_torch.datasets.parquet_dataset import ParquetDataset
from prefect_torch.errors import DataError
from prefect_torch.progress import report_progress
from prefect_torch.store import Artifact
from prefect_torch.tasks.context import StageContext
from prefect_torch.tasks.model import Learner, build_learner, declared_metrics, split_batches
from prefect_torch.tasks.prepare import PICTURES
from prefect_torch.training.device import choose_device
from prefect_torch.training.loop import History, Watch, fit
from prefect_torch.training.metrics import improves_upwards, measure

CARRIED = ("fitted.json", PICTURES)
"""Files of prepare that a checkpoint carries: they say how its inputs are encoded."""


def train(context: StageContext) -> None:
    """Write `model.safetensors`, `model.json`, `history.parquet`, `history.json` and `CARRIED`."""
    declaration, prepared = context.declaration, context.inputs["prepare"]
    spec = declaration.spec
    device = choose_device(spec.train.device)
    _seed(spec.seed)
    learner = build_learner(declaration, prepared, device)
    order, batches = _train_batches(context, prepared, device)
    optimizer = declaration.build(spec.optimizer, "optimizer", params=learner.model.parameters())
    scheduler = _scheduler(context, optimizer, len(order))
    watch = _watch(context, prepared)
    started = time.perf_counter()

    def on_epoch(done: int, figures: dict[str, float]) -> None:
        report_progress("train", done, spec.train.epochs, "epochs", figures)

    history = fit(
        learner.model,
        learner.objective,
        optimizer,
        scheduler,
        spec.train.epochs,
        batches,
        _validation(context, prepared, learner),
        watch,
        on_epoch,
    )
    seconds = time.perf_counter() - started
    rows = prepared.json("fitted.json")["rows"]["train"] * len(history["epoch"])
    context.notes.update(device=str(device), rows_per_second=round(rows / max(seconds, 1e-9)))
    _write(context, learner, history, watch)


def _seed(seed: int) -> None:
    """Seed whatever a model may draw its first weights and its dropout from."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def _train_batches(
    context: StageContext, prepared: Artifact, device: torch.device
) -> tuple[EpochOrder, Callable[[int], Iterable[Batch]]]:
    """Return the order of samples, and a function from an epoch to its batches."""
    declaration = context.declaration
    spec = declaration.spec
    dataset = ParquetDataset(prepared.file("train.parquet"))
    size = spec.loader.batch_size
    if size > len(dataset):
        raise DataError(
            f"loader.batch_size: {size} is above the {len(dataset)} rows of the train split, "
            f"expected at most that; lower it (`--set loader.batch_size={len(dataset)}`)"
        )
    order = EpochOrder(
        len(dataset),
        size,
        seed=spec.seed,
        shuffle=spec.loader.shuffle,
        drop_last=spec.loader.drop_last,
    )
    transforms = [declaration.build(t, "transform") for t in spec.transforms.train]
    batches = Batches(dataset, prepared.json("fitted.json"), transforms, spec.seed)
    loader = make_loader(batches, order, spec.loader.workers)

    def of_epoch(epoch: int) -> Iterable[Batch]:
        order.epoch = epoch
        return (batch.to(device) for batch in loader)

    return order, of_epoch


def _scheduler(
    context: StageContext, optimizer: torch.optim.Optimizer, steps_per_epoch: int
) -> LRScheduler | None:
    component = context.declaration.spec.scheduler
    if component is None:
        return None
    epochs = context.declaration.spec.train.epochs
    facts = {"steps_per_epoch": steps_per_epoch, "epochs": epochs}
    facts["total_steps"] = facts["T_max"] = steps_per_epoch * epochs
    built: LRScheduler = context.declaration.build(
        component, "scheduler", facts, optimizer=optimizer
    )
    return built


def _watch(context: StageContext, prepared: Artifact) -> Watch | None:
    stop = context.declaration.spec.train.early_stopping
    if stop is None:
        return None
    if stop.metric == "loss":
        return Watch(stop, higher_is_better=False)
    fitted = prepared.json("fitted.json")
    metric = declared_metrics(context.declaration, fitted, [stop.metric])[stop.metric]
    return Watch(stop, improves_upwards(stop.metric, metric))


def _validation(
    context: StageContext, prepared: Artifact, learner: Learner
) -> Callable[[], dict[str, float]] | None:
    """Return a function that measures the validation split, or None without one."""
    spec = context.declaration.spec
    if "validation.parquet" not in prepared.files:
        return None
    stop = spec.train.early_stopping
    watched = [] if stop is None or stop.metric == "loss" else [stop.metric]
    fitted = prepared.json("fitted.json")

    def validate() -> dict[str, float]:
        batches = split_batches(prepared, "validation", learner.device)
        outputs = learner.objective.evaluate(learner.model, batches)
        metrics = declared_metrics(context.declaration, fitted, watched)
        measured = {name: measure(name, metric, outputs) for name, metric in metrics.items()}
        return {"loss": outputs.loss, **measured}

    return validate


def _write(context: StageContext, learner: Learner, history: History, watch: Watch | None) -> None:
    output, prepared = context.output, context.inputs["prepare"]
    model = learner.model.cpu()
    # Each tensor on its own: safetensors notes shared ones in an order that varies between runs.
    weights = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(weights, output / "model.safetensors")
    for name in CARRIED:
        if name in prepared.files:
            shutil.copyfile(prepared.file(name), output / name)
    described: dict[str, Any] = {
        "component": learner.component.model_dump(mode="json"),
        "parameters": sum(p.numel() for p in model.parameters()),
        "text": str(model),
        "epoch": watch.best_epoch if watch else len(history["epoch"]),
    }
    (output / "model.json").write_text(_json(described), encoding="utf-8")
    (output / "history.json").write_text(_json(history), encoding="utf-8")
    pq.write_table(pa.table(history), output / "history.parquet")


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
