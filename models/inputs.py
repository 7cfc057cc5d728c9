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
        TrainingError: `forward` takes fewer inputs than the data has.
    """
    parameters = inspect.signature(model.forward).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    if set(names) <= set(parameters):
        return lambda inputs: model(**{name: inputs[name] for name in names})
    room = len(parameters) >= len(names) or inspect.Parameter.VAR_POSITIONAL in kinds
    if not room:
        raise TrainingError(
            f"model {type(model).__name__}: forward({', '.join(parameters)}) cannot take the "
            f"data's inputs {', '.join(names)}; give it parameters of these names, or declare "
            f"fewer kinds of features"
        )
    return lambda inputs: model(*(inputs[name] for name in names))
