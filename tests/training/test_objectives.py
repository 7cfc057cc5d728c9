"""Model, loss and data fit together, or a message with their shapes says where they do not."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from prefect_torch.errors import TrainingError
from prefect_torch.training.objectives import Supervised

CLASSES = {"kind": "category", "values": ["a", "b", "c"]}
NUMBER = {"kind": "number", "mean": 100.0, "deviation": 10.0}


class Batch(NamedTuple):
    inputs: dict[str, torch.Tensor]
    target: torch.Tensor
    row: torch.Tensor


def _batch(target: torch.Tensor) -> Batch:
    torch.manual_seed(0)
    return Batch({"numbers": torch.randn(len(target), 4)}, target, torch.arange(len(target)))


def _supervised(model: nn.Module, loss: nn.Module, target: dict[str, Any]) -> Supervised:
    return Supervised(lambda inputs: model(inputs["numbers"]), loss, target)


@pytest.mark.parametrize(
    ("model", "loss", "target", "labels", "told"),
    [
        (
            nn.Linear(5, 3),
            nn.CrossEntropyLoss(),
            CLASSES,
            torch.tensor([0, 1]),
            r"mat1 and mat2.*inputs numbers \[2, 4\] and target \[2\] torch.int64",
        ),
        (
            nn.Linear(4, 2),
            nn.CrossEntropyLoss(),
            CLASSES,
            torch.tensor([0, 1]),
            r"shape \[2, 2\], expected \[2, 3\].*num_classes",
        ),
        (
            nn.Linear(4, 2),
            nn.MSELoss(),
            NUMBER,
            torch.tensor([0.0, 1.0]),
            r"shape \[2, 2\], expected \[2\]: a number a sample",
        ),
        (
            nn.Linear(4, 3),
            nn.MSELoss(),
            CLASSES,
            torch.tensor([0, 1]),
            r"model and loss do not fit the data",
        ),
        (
            nn.Linear(4, 3),
            nn.CrossEntropyLoss(reduction="none"),
            CLASSES,
            torch.tensor([0, 1]),
            r"loss: gave \[2\] values, expected one",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_what_does_not_fit_is_told_with_its_shapes(
    model: nn.Module, loss: nn.Module, target: dict[str, Any], labels: torch.Tensor, told: str
) -> None:
    with pytest.raises(TrainingError, match=told):
        _supervised(model, loss, target).loss(_batch(labels))


def test_a_device_without_memory_is_told_with_the_way_out() -> None:
    class Greedy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("tried to allocate 20 GiB")

    objective = _supervised(Greedy(), nn.MSELoss(), NUMBER)
    with pytest.raises(TrainingError, match=r"batch of 2: tried.*lower loader\.batch_size"):
        objective.loss(_batch(torch.tensor([0.0, 1.0])))


@pytest.mark.parametrize("width", [(4, 1), (4,)])
def test_a_number_may_come_with_a_dimension_of_one_or_without(width: tuple[int, ...]) -> None:
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum(1, keepdim=len(width) == 2)

    loss = _supervised(Sum(), nn.MSELoss(), NUMBER).loss(_batch(torch.zeros(6)))
    assert loss.ndim == 0


def test_a_split_is_judged_whole_whatever_its_batches_and_in_order() -> None:
    model = nn.Linear(4, 3)
    batch = _batch(torch.tensor([0, 1, 2, 0, 1]))
    parts = [
        Batch({"numbers": batch.inputs["numbers"][s]}, batch.target[s], batch.row[s])
        for s in (slice(0, 3), slice(3, 5))
    ]
    objective = _supervised(model, nn.CrossEntropyLoss(), CLASSES)
    whole, split = objective.evaluate(model, [batch]), objective.evaluate(model, parts)
    assert split.loss == pytest.approx(whole.loss, rel=1e-6)
    assert split.row.tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(split.outputs, whole.outputs)
    assert not split.outputs.requires_grad


def test_numbers_are_judged_in_their_own_unit_and_the_loss_in_the_learned_one() -> None:
    class Zero(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(x))

    model = Zero()
    objective = _supervised(model, nn.MSELoss(), NUMBER)
    outputs = objective.evaluate(model, [_batch(torch.tensor([1.0, -1.0]))])
    assert outputs.outputs.tolist() == [100.0, 100.0]
    assert outputs.target.tolist() == [110.0, 90.0]
    assert outputs.loss == 1.0


def test_dropout_is_off_while_a_split_is_judged() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.9))
    objective = _supervised(model, nn.CrossEntropyLoss(), CLASSES)
    batch = _batch(torch.tensor([0, 1, 2]))
    assert objective.evaluate(model, [batch]).loss == objective.evaluate(model, [batch]).loss
