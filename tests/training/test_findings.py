"""What a model's outputs say: counted by hand."""

import pytest
import torch
from sklearn.metrics import precision_recall_fscore_support

from prefect_torch.training.findings import classification, regression
from prefect_torch.training.objectives import Outputs


def _classified(logits: list[list[float]], target: list[int]) -> Outputs:
    rows = torch.arange(len(target)) * 10
    return Outputs(0.0, torch.tensor(logits), torch.tensor(target), rows)


def test_predictions_say_row_labels_confidence_and_correctness() -> None:
    found = classification(_classified([[0.0, 1.0], [3.0, 0.0]], [1, 1]), ["no", "yes"], 5)
    assert found.predictions["row"] == [0, 10]
    assert found.predictions["target"] == ["yes", "yes"]
    assert found.predictions["prediction"] == ["yes", "no"]
    assert found.predictions["correct"] == [True, False]
    assert found.predictions["confidence"] == pytest.approx([0.731059, 0.952574], abs=1e-6)
    assert found.details["confusion"] == [[0, 0], [1, 1]]


def test_mistakes_come_with_the_most_confident_first_and_not_more_than_wanted() -> None:
    outputs = _classified([[1.0, 0.0], [5.0, 0.0], [0.0, 9.0], [3.0, 0.0]], [1, 1, 1, 1])
    assert classification(outputs, ["a", "b"], 2).mistakes == [1, 3]
    assert classification(outputs, ["a", "b"], 9).mistakes == [1, 3, 0]


def test_figures_a_class_are_those_of_scikit_learn() -> None:
    torch.manual_seed(0)
    outputs = Outputs(0.0, torch.randn(60, 4), torch.randint(0, 4, (60,)), torch.arange(60))
    found = classification(outputs, [0, 1, 2, 3], 3).details["per_class"]
    expected = precision_recall_fscore_support(outputs.target, outputs.outputs.argmax(1))
    for name, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [entry[name] for entry in found] == pytest.approx(list(column), abs=1e-6)


def test_a_class_that_is_never_predicted_nor_there_has_zeros() -> None:
    found = classification(_classified([[1.0, 0.0, 0.0]], [0]), ["a", "b", "c"], 3)
    assert found.details["per_class"][2] == {
        "label": "c",
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "support": 0,
    }


def test_regression_tells_signed_errors_and_the_largest_first() -> None:
    outputs = Outputs(
        0.0, torch.tensor([1.0, 5.0, 2.0]), torch.tensor([2.0, 2.0, 2.5]), torch.arange(3)
    )
    found = regression(outputs, 2)
    assert found.predictions["error"] == [-1.0, 3.0, -0.5]
    assert found.mistakes == [1, 0]
