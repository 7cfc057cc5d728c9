"""How a batch's inputs reach a model: one positionally, several by the names of `forward`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from prefect_torch.errors import TrainingError

Predict = Callable[[Mapping[str, torch.Tensor]], torch.Tensor]


def bind_inputs(model: nn.Module, names: Sequence[str]) -> Predict:
    """Return a function from a batch's inputs to the model's output.

    `forward(numbers, categories)` gets the fields of these names; a model of one input gets it
    whatever its name; otherwise the inputs go in the data's order.

    Raises:
        TrainingError: `forward` takes fewer inputs than the data has, or needs more.
    """
    signature = inspect.signature(model.forward)
    by_name = dict.fromkeys(names)
    if _takes(signature, (), by_name):
        return lambda inputs: model(**{name: inputs[name] for name in names})
    if _takes(signature, names, {}):
        return lambda inputs: model(*(inputs[name] for name in names))
    raise TrainingError(
        f"model {type(model).__name__}: forward{signature} cannot take the data's inputs "
        f"{', '.join(names)}; give it parameters of these names, or declare other features"
    )


def _takes(
    signature: inspect.Signature, positional: Sequence[str], named: Mapping[str, None]
) -> bool:
    """Return whether a call with such arguments fits a signature."""
    try:
        signature.bind(*positional, **named)
    except TypeError:
        return False
    return True
