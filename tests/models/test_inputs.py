"""Inputs reach a model by the names of its parameters, else in the data's order."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from prefect_torch.errors import TrainingError
from prefect_torch.models.inputs import bind_inputs

INPUTS = {"numbers": torch.tensor([1.0]), "categories": torch.tensor([10.0])}


class Named(nn.Module):
    def forward(self, categories: Any, numbers: Any) -> Any:
        return categories - numbers


class Positional(nn.Module):
    def forward(self, first: Any, second: Any) -> Any:
        return first - second


class OneOfAnyName(nn.Module):
    def forward(self, x: Any, scale: float = 2.0) -> Any:
        return x * scale


class ByKeyword(nn.Module):
    def forward(self, **inputs: Any) -> Any:
        return inputs["categories"] - inputs["numbers"]


class AnyNumber(nn.Module):
    def forward(self, *inputs: Any) -> Any:
        return inputs[0] - inputs[1]


class NamedAndOptional(nn.Module):
    def forward(self, numbers: Any, categories: Any = None) -> Any:
        return numbers


@pytest.mark.parametrize(
    ("model", "names", "result"),
    [
        (Named(), ["numbers", "categories"], 9.0),
        (Positional(), ["numbers", "categories"], -9.0),
        (OneOfAnyName(), ["numbers"], 2.0),
        (ByKeyword(), ["numbers", "categories"], 9.0),
        (AnyNumber(), ["numbers", "categories"], -9.0),
        (NamedAndOptional(), ["numbers"], 1.0),
        (nn.Identity(), ["numbers"], 1.0),
    ],
)
def test_inputs_go_by_name_or_in_order(
    model: nn.Module, names: Sequence[str], result: float
) -> None:
    assert bind_inputs(model, names)(INPUTS).item() == result


class KeywordOnly(nn.Module):
    def forward(self, x: Any, *, training: bool = False) -> Any:
        return x


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (nn.Identity(), ["numbers", "categories"]),
        (Named(), ["numbers"]),
        (KeywordOnly(), ["numbers", "categories"]),
    ],
)
def test_inputs_that_do_not_fit_are_told_with_the_signature(
    model: nn.Module, names: list[str]
) -> None:
    with pytest.raises(TrainingError, match=rf"{type(model).__name__}: forward\(.*{names[-1]}"):
        bind_inputs(model, names)
