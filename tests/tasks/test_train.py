"""A checkpoint is a function of data, spec and seed, and holds the best weights."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from prefect_torch.errors import RunFailed


def _trained(run: Any) -> Path:
    return Path(run.stages["train"].path)


def test_two_fresh_processes_write_the_same_bytes(project: Any) -> None:
    code = (
        "import sys; from prefect_torch.pipeline import Pipeline;"
        "run = Pipeline.load(sys.argv[1]).run(local=True, store=sys.argv[2], until='evaluate');"
        "print([r.artifact for r in run.stages.values()])"
    )
    told = set()
    for store in ("one", "two"):
        command = [sys.executable, "-c", code, project.file, project.folder / store]
        told.add(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(told) == 1


TIED = """
import random
import numpy as np
import torch
from torch import nn

class Tied(nn.Module):
    def __init__(self, in_features, num_classes):
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(in_features, in_features) for _ in range(3))
        self.b.weight = self.c.weight = self.a.weight
        self.b.bias = self.a.bias
        self.last = nn.Linear(in_features, num_classes)
        nn.init.constant_(self.last.bias, random.random() + np.random.rand())

    def forward(self, numbers, categories):
        return self.last(self.c(self.b(self.a(numbers))))
"""


def test_shared_weights_and_other_random_generators_give_the_same_bytes_too(project: Any) -> None:
    (project.folder / "tiny_tied_model.py").write_text(TIED)
    project.declare("{class: MLP, hidden: [8]}", "{class: tiny_tied_model.Tied}")
    code = (
        "import sys; from prefect_torch.pipeline import Pipeline;"
        "run = Pipeline.load(sys.argv[1]).run(local=True, store=sys.argv[2], until='evaluate');"
        "print(run.stages['train'].artifact)"
    )
    told = set()
    for store in ("one", "two", "three"):
        command = [sys.executable, "-c", code, project.file, project.folder / store]
        told.add(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(told) == 1


def test_another_seed_gives_other_weights(done: Any) -> None:
    first, second = (
        load_file(_trained(run) / "model.safetensors") for run in (done.run(), done.run("seed=1"))
    )
    assert not torch.equal(first["layers.0.weight"], second["layers.0.weight"])


def test_the_checkpoint_says_how_it_was_built_and_how_its_inputs_are_encoded(done: Any) -> None:
    run = done.run()
    folder = _trained(run)
    described = json.loads((folder / "model.json").read_text())
    assert described["component"] == {
        "class": "MLP",
        "in_features": 2,
        "out_features": 2,
        "cardinalities": [4],
        "hidden": [8],
    }
    weights = load_file(folder / "model.safetensors")
    assert described["parameters"] == sum(tensor.numel() for tensor in weights.values())
    prepared = Path(run.stages["prepare"].path)
    assert (folder / "fitted.json").read_bytes() == (prepared / "fitted.json").read_bytes()


def test_the_history_is_the_same_as_json_and_as_parquet(done: Any) -> None:
    folder = _trained(done.run())
    history = json.loads((folder / "history.json").read_text())
    assert pq.read_table(folder / "history.parquet").to_pydict() == history
    assert list(history) == ["epoch", "train_loss", "validation_loss", "learning_rate"]


def test_early_stopping_on_a_metric_keeps_its_best_epoch(done: Any) -> None:
    run = done.run(
        "train.early_stopping={metric: accuracy, patience: 2}", "train.epochs=40", "optimizer.lr=1"
    )
    figures = list(run.history["validation_accuracy"])
    best = json.loads((_trained(run) / "model.json").read_text())["epoch"]
    assert figures[best - 1] == max(figures)
    assert len(figures) == best + 2


@pytest.mark.parametrize(
    "scheduler",
    [
        "{class: OneCycleLR, max_lr: 0.1}",
        "{class: CosineAnnealingLR, T_max: 12}",
        "{class: ReduceLROnPlateau, patience: 0}",
        "{class: StepLR, step_size: 1}",
    ],
)
def test_schedulers_get_the_number_of_steps_they_ask_for(done: Any, scheduler: str) -> None:
    rates = done.run(f"scheduler={scheduler}", "train.epochs=3").history["learning_rate"]
    assert len(rates) == 3


SCHEDULE = """
from torch.optim.lr_scheduler import LambdaLR

class Ramp(LambdaLR):
    def __init__(self, optimizer, steps_per_epoch: int, epochs: int):
        super().__init__(optimizer, lambda step: 1 + step / (steps_per_epoch * epochs))
"""


def test_a_scheduler_of_ones_own_gets_steps_and_epochs(project: Any) -> None:
    (project.folder / "tiny_schedule.py").write_text(SCHEDULE)
    project.declare("train: {epochs", "scheduler: tiny_schedule.Ramp\ntrain: {epochs")
    rates = project.run().history["learning_rate"]
    assert rates.tolist() == pytest.approx([0.15, 0.2])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("loader.batch_size=121", r"loader\.batch_size: 121 is above the 120 rows"),
        ("model={class: torch.nn.Linear, in_features: 2, out_features: 2}", r"forward\("),
        ("model.in_features=7", r"model and loss do not fit the data.*numbers \[32, 2\]"),
        ("model.out_features=3", r"shape \[32, 3\], expected \[32, 2\]"),
        ("loss=MSELoss", "model and loss do not fit the data"),
        ("optimizer.lr=1e38", r"the training loss is (nan|inf)"),
    ],
)
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_what_does_not_fit_is_told_with_numbers(done: Any, change: str, told: str) -> None:
    with pytest.raises(RunFailed, match=rf"train failed: .*{told}"):
        done.run(change)


def test_a_metric_without_a_direction_stops_nothing_early(project: Any) -> None:
    project.declare("{grown: {kind: category}}", "{height: {kind: number}}")
    project.declare(", stratify: grown", "")
    project.declare("MulticlassAccuracy", "torchmetrics.regression.TweedieDevianceScore")
    with pytest.raises(RunFailed, match=r"metrics\.accuracy: TweedieDevianceScore does not say"):
        project.run("train.early_stopping={metric: accuracy}")


@pytest.mark.parametrize("columns", ["numbers", "categories"])
def test_one_kind_of_feature_is_enough(project: Any, columns: str) -> None:
    features = {
        "numbers": "{width: {kind: number}}",
        "categories": "{colour: {kind: category}}",
    }
    project.declare("  target:", f"  features: {features[columns]}\n  target:")
    assert project.run().metrics["loss"] > 0
