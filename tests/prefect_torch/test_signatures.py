import inspect
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Literal, Optional, Union

import pytest
import torch
import torchmetrics.classification
import torchvision
from torch.optim import lr_scheduler
from torchvision.transforms import v2

from prefect_torch.signatures import check_arguments, fill, parameters_of


class Color(Enum):
    RED = "red"


class Typed:
    def __init__(
        self,
        a: int = 1,
        b: float = 1.0,
        c: bool = False,
        d: str = "x",
        e: Optional[int] = None,  # noqa: UP045
        f: Literal["mean", "sum"] = "mean",
        g: tuple[int, int] = (1, 1),
        h: Union[int, Sequence[float]] = 1,  # noqa: UP007
        i: dict[str, int] | None = None,
        j: Color = Color.RED,
        k: torch.Tensor | None = None,
        m: Callable[[int], int] | None = None,
        n: list[torch.nn.Module] | None = None,
        o: Any = None,
        p: "NotImported" = None,  # type: ignore[name-defined]  # noqa: F821
        q: int = None,  # type: ignore[assignment]  # noqa: RUF013
    ) -> None: ...


class Untyped:
    def __init__(self, width, depth=2, rate=0.1, on=True, mode="x", thing=None): ...  # type: ignore[no-untyped-def]


def messages(target: Any, args: dict[str, Any], **more: Any) -> list[str]:
    return [problem.message for problem in check_arguments(target, args, **more)]


COMPONENT = {"class": "torch.nn.ReLU"}


@pytest.mark.parametrize(
    "args",
    [
        {"a": 2},
        {"b": 2},
        {"c": True},
        {"d": "y"},
        {"e": None},
        {"f": "sum"},
        {"g": [1, 2]},
        {"h": [1, 2.5]},
        {"h": 3},
        {"i": {"x": 1}},
        {"j": "RED"},
        {"j": "red"},
        {"k": COMPONENT},
        {"m": COMPONENT},
        {"n": [COMPONENT]},
        {"o": "anything"},
        {"p": "anything"},
        {"q": None},
    ],
)
def test_values_that_fit_their_hints_pass(args: dict[str, Any]) -> None:
    assert messages(Typed, args) == []


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"a": "2"}, "a whole number"),
        ({"a": True}, "a whole number"),
        ({"a": 2.0}, "a whole number"),
        ({"b": "1e-3"}, "a number"),
        ({"b": False}, "a number"),
        ({"c": 1}, "true or false"),
        ({"c": "yes"}, "true or false"),
        ({"d": 3}, "text"),
        ({"e": "3"}, "a whole number or null"),
        ({"f": "max"}, 'one of "mean", "sum"'),
        ({"g": [1]}, "a list of 2 (a whole number, a whole number)"),
        ({"g": [1, 2, 3]}, "a list of 2"),
        ({"h": ["x"]}, "a whole number or a list of a number"),
        ({"h": "xyz"}, "a whole number or a list of a number"),
        ({"i": {"x": "1"}}, "a mapping or null"),
        ({"j": "BLUE"}, "one of RED"),
        ({"k": 3}, "null"),
        ({"m": "os.system"}, "null"),
        ({"n": [3]}, "a list of a component"),
        ({"a": COMPONENT}, "a whole number"),
    ],
)
def test_values_that_do_not_fit_are_told_with_what_would(
    args: dict[str, Any], expected: str
) -> None:
    (said,) = messages(Typed, args)
    assert said.startswith("found ")
    assert f"Typed expects {expected}" in said


@pytest.mark.parametrize(
    ("args", "wrong"),
    [
        ({"depth": 3, "rate": 1, "on": False, "mode": "y", "thing": "?"}, 0),
        ({"rate": None, "depth": [1, 2]}, 0),
        ({"depth": "3"}, 1),
        ({"rate": "fast"}, 1),
        ({"on": "yes"}, 1),
        ({"mode": 3}, 1),
    ],
)
def test_without_hints_the_default_guides(args: dict[str, Any], wrong: int) -> None:
    assert len(messages(Untyped, {"width": 1, **args})) == wrong


def test_unknown_arguments_get_the_nearest_and_the_whole_list() -> None:
    (said,) = messages(torch.optim.SGD, {"momentun": 0.9}, given={"params"})
    assert said.startswith(
        'SGD has no argument "momentun"; did you mean "momentum"? It takes lr, momentum, dampening,'
    )


def test_missing_arguments_are_named_unless_given_filled_or_misspelled() -> None:
    assert messages(torch.nn.Linear, {}) == [
        "Linear also needs in_features, out_features; add it beside class"
    ]
    assert messages(torch.nn.Linear, {}, given={"in_features"}, filled={"out_features"}) == []
    assert len(messages(torch.nn.Linear, {"in_feature": 1, "out_features": 1})) == 1


def test_what_the_engine_supplies_must_be_left_out() -> None:
    (said,) = messages(torch.optim.SGD, {"params": []}, given={"params"})
    assert "leave it out" in said


def test_keyword_arguments_of_torchmetrics_are_known() -> None:
    accuracy = torchmetrics.classification.MulticlassAccuracy
    assert messages(accuracy, {"num_classes": 3, "sync_on_compute": False}) == []
    assert messages(accuracy, {"num_classes": 3, "nonsense": 1})
    assert messages(accuracy, {"num_classes": "3"})
    assert messages(torchmetrics.classification.BinaryAccuracy, {"threshold": 0.3}) == []
    assert messages(torchmetrics.Accuracy, {"task": "multiclas"})


def test_arguments_of_torchvision_models_are_those_of_their_class() -> None:
    resnet = torchvision.models.resnet18
    assert messages(resnet, {"num_classes": 3, "weights": None}) == []
    assert messages(resnet, {"num_clases": 3})[0].startswith("resnet18 has no argument")
    assert {"num_classes", "weights"} <= parameters_of(resnet)
    assert "block" not in parameters_of(resnet)


def test_facts_fill_what_is_asked_for_and_not_said() -> None:
    facts = {"in_features": 4, "out_features": 3, "vocab_size": 9}
    assert fill(torch.nn.Linear, {"out_features": 8}, facts) == {
        "in_features": 4,
        "out_features": 8,
    }


def test_one_cycle_keeps_its_own_count_of_steps() -> None:
    cycle = lr_scheduler.OneCycleLR
    own = {"max_lr": 0.1, "epochs": 2, "steps_per_epoch": 5}
    assert fill(cycle, own, {"total_steps": 100}) == own
    assert fill(cycle, {"max_lr": 0.1}, {"total_steps": 100})["total_steps"] == 100


def public(module: Any, base: type) -> list[type]:
    return [
        value
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, base) and not name.startswith("_")
    ]


EVERY = [
    *public(torch.optim, torch.optim.Optimizer),
    *public(lr_scheduler, lr_scheduler.LRScheduler),
    *public(torch.nn.modules.loss, torch.nn.Module),
    *public(torch.nn, torch.nn.Module),
    *public(torchmetrics.classification, torchmetrics.Metric),
    *public(v2, torch.nn.Module),
]


@pytest.mark.parametrize("target", EVERY, ids=lambda target: target.__qualname__)
def test_every_class_of_torch_and_torchmetrics_can_be_checked(target: type) -> None:
    own_defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(target).parameters.items()
        if isinstance(parameter.default, (int, float, str, bool, type(None)))
    }
    given = {"params", "optimizer"}
    own_defaults = {name: value for name, value in own_defaults.items() if name not in given}
    problems = check_arguments(target, own_defaults, given, parameters_of(target))
    assert problems == []


@pytest.mark.parametrize("target", EVERY, ids=lambda target: target.__qualname__)
def test_every_class_of_torch_and_torchmetrics_refuses_what_it_does_not_take(target: type) -> None:
    args = {"no_such_argument": 1}
    problems = check_arguments(target, args, (), parameters_of(target))
    kinds = {p.kind for p in inspect.signature(target).parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds and not issubclass(target, torchmetrics.Metric):
        assert problems == []
    else:
        assert len(problems) == 1
