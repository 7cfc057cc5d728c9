"""Metrics of torchmetrics get what they expect and give one figure."""

import pytest
import torch
import torchmetrics
from torchmetrics import classification, regression

from prefect_torch.errors import TrainingError
from prefect_torch.training.metrics import improves_upwards, measure
from prefect_torch.training.objectives import Outputs

THREE = Outputs(
    0.0,
    torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [3.0, 0.0, 1.0]]),
    torch.tensor([0, 1, 2]),
    torch.arange(3),
)
TWO = Outputs(
    0.0,
    torch.tensor([[2.0, -1.0], [-1.0, 0.5], [0.0, 1.0]]),
    torch.tensor([0, 1, 0]),
    torch.arange(3),
)
NUMBERS = Outputs(0.0, torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]), torch.arange(2))


@pytest.mark.parametrize(
    ("metric", "outputs", "value"),
    [
        (classification.MulticlassAccuracy(3, average="micro"), THREE, 2 / 3),
        (torchmetrics.Accuracy(task="multiclass", num_classes=3, average="micro"), THREE, 2 / 3),
        (classification.BinaryAccuracy(), TWO, 2 / 3),
        (torchmetrics.Accuracy(task="binary"), TWO, 2 / 3),
        (classification.BinaryAUROC(), TWO, 1.0),
        (classification.BinaryRecall(), TWO, 1.0),
        (regression.MeanAbsoluteError(), NUMBERS, 1.5),
        (regression.MeanSquaredError(squared=False), NUMBERS, 2.5**0.5),
    ],
)
def test_a_metric_gives_its_figure(
    metric: torchmetrics.Metric, outputs: Outputs, value: float
) -> None:
    assert measure("m", metric, outputs) == pytest.approx(value)


@pytest.mark.parametrize(
    ("metric", "outputs"),
    [
        (classification.BinaryAccuracy(), THREE),
        (classification.MulticlassAccuracy(3, average=None), THREE),
        (classification.MulticlassConfusionMatrix(3), THREE),
        (classification.MulticlassAccuracy(3), NUMBERS),
        (regression.MeanAbsoluteError(), THREE),
    ],
)
def test_a_metric_that_does_not_fit_is_told_by_name_with_shapes(
    metric: torchmetrics.Metric, outputs: Outputs
) -> None:
    told = rf"metrics\.m: {type(metric).__name__} does not fit predictions \[.*choose a metric"
    with pytest.raises(TrainingError, match=told):
        measure("m", metric, outputs)


def test_a_metric_says_its_direction_or_decides_nothing() -> None:
    assert improves_upwards("m", torchmetrics.Accuracy(task="binary"))
    assert not improves_upwards("m", regression.MeanAbsoluteError())
    with pytest.raises(TrainingError, match=r"metrics\.m: TweedieDevianceScore does not say"):
        improves_upwards("m", regression.TweedieDevianceScore())
