"""Checks a component's arguments against its constructor's signature, before anything is built."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from prefect_torch.components import Kind
from prefect_torch.errors import did_you_mean
from prefect_torch.hints import describe, fits_hint, found, hint_of_default, is_component, to_hint

GIVEN: Mapping[Kind, frozenset[str]] = {
    "optimizer": frozenset({"params"}),
    "scheduler": frozenset({"optimizer"}),
}
"""Arguments that the engine supplies, by kind."""

SIZES = frozenset(
    {
        "num_classes",
        "out_features",
        "num_labels",
        "in_features",
        "cardinalities",
        "in_channels",
        "image_size",
        "vocabulary_size",
        "vocab_size",
        "num_embeddings",
        "max_length",
    }
)
FILLED: Mapping[Kind, frozenset[str]] = {
    "model": SIZES,
    "loss": SIZES,
    "metric": SIZES,
    "scheduler": frozenset({"total_steps", "T_max", "steps_per_epoch", "epochs"}),
    "source": frozenset({"project"}),
}
"""Arguments that the data (a source's `project`: the file) decides where the spec is silent."""

_METRIC_OPTIONS: Mapping[str, Any] = {
    "compute_on_cpu": bool,
    "dist_sync_on_step": bool,
    "sync_on_compute": bool,
    "compute_with_cache": bool,
    "process_group": Callable,
    "dist_sync_fn": Callable,
    "distributed_available_fn": Callable,
}
"""What torchmetrics.Metric.__init__ takes out of its `**kwargs`."""


@dataclass(frozen=True)
class ArgumentProblem:
    """One argument that a constructor would not take."""

    path: tuple[str | int, ...]
    """The argument, relative to the component; empty for the component itself."""
    message: str


@dataclass(frozen=True)
class _Parameter:
    hint: Any
    required: bool
    default: Any = None


@dataclass(frozen=True)
class _Signature:
    parameters: Mapping[str, _Parameter]
    open: bool
    """Whether it takes any other name as well."""


def check_arguments(
    target: Callable[..., Any],
    args: Mapping[str, Any],
    given: Collection[str] = (),
    filled: Collection[str] = (),
) -> list[ArgumentProblem]:
    """Return what is wrong with a component's arguments: unknown, missing and ill-typed ones.

    Args:
        target: The class or function.
        args: What the spec says.
        given: Names that the engine supplies and the spec must not.
        filled: Names that the data decides when the spec is silent.
    """
    signature = _signature(target)
    name = getattr(target, "__name__", str(target))
    takes = [parameter for parameter in signature.parameters if parameter not in given]
    missing = [
        argument
        for argument in takes
        if signature.parameters[argument].required and argument not in {*args, *filled}
    ]
    problems = []
    for argument, value in args.items():
        said: str | None = None
        if argument in given:
            said = f"{name}'s {argument} is supplied by the training; leave it out"
        elif argument in signature.parameters:
            said = _ill_typed(name, argument, value, signature.parameters[argument])
        elif not signature.open:
            said = f'{name} has no argument "{argument}"; {_offer(argument, takes)}'
            missing = [other for other in missing if f'"{other}"' not in said]  # misspelled
        if said:
            problems.append(ArgumentProblem((argument,), said))
    if missing:
        message = f"{name} also needs {', '.join(missing)}; add it beside class"
        problems.append(ArgumentProblem((), message))
    return problems


def given_to(target: Callable[..., Any], kind: Kind) -> frozenset[str]:
    """Return the arguments that the engine supplies to a target where a kind is asked for.

    A function in the place of a transform is given the picture as its first argument.
    """
    if kind == "transform" and not inspect.isclass(target):
        return frozenset(list(_signature(target).parameters)[:1])
    return GIVEN.get(kind, frozenset())


def parameters_of(target: Callable[..., Any]) -> set[str]:
    """Return the names that a class or function takes."""
    return set(_signature(target).parameters)


def fill(
    target: Callable[..., Any], args: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments together with those facts the target asks for and they lack.

    Facts are such as `num_classes`, `in_features`, `total_steps`.
    """
    takes = parameters_of(target)
    if {"epochs", "steps_per_epoch"} <= set(args):  # OneCycleLR: they say how many steps there are
        takes.discard("total_steps")
    return {**{name: fact for name, fact in facts.items() if name in takes}, **args}


def as_declared(target: Callable[..., Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments, lists as tuples and names as enum members where so declared."""
    parameters = _signature(target).parameters
    return {
        name: to_hint(value, parameters[name].hint) if name in parameters else value
        for name, value in args.items()
    }


def _offer(word: str, known: list[str]) -> str:
    """Return what was perhaps meant, and all there is."""
    near = did_you_mean(word, known)
    everything = f"it takes {', '.join(known)}" if known else "it takes none"
    return f"{near} I{everything[1:]}" if near.startswith("did") else everything


def _ill_typed(name: str, argument: str, value: Any, parameter: _Parameter) -> str | None:
    if fits_hint(value, parameter.hint):
        return None
    default = parameter.default  # its annotation may be narrower than its own default
    if not parameter.required and type(value) is type(default) and value == default:
        return None
    if is_component(value):
        return f"found a component; {name} expects {describe(parameter.hint)}"
    return f"found {found(value)}; {name} expects {describe(parameter.hint)}"


def _signature(target: Callable[..., Any]) -> _Signature:
    """Return what a class or function takes, following `**kwargs` where they are known to go."""
    try:
        signature = inspect.signature(target)
    except (ValueError, TypeError):  # built in; it says nothing
        return _Signature({}, open=True)
    hints = _hints(target)
    found_: dict[str, _Parameter] = {}
    takes_any = False
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_any = True
        elif parameter.kind not in {parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY}:
            required = parameter.default is parameter.empty
            default = None if required else parameter.default
            hint = hints.get(name, Any)
            if name not in hints and not required:
                hint = hint_of_default(default)
            elif default is None and not required:
                hint = typing.Optional[hint]  # noqa: UP045 - a hint may be no type
            found_[name] = _Parameter(hint, required, default)
    if takes_any:
        more = _passed_on(target, hints)
        if more is not None:
            return _Signature({**more, **found_}, open=False)
    return _Signature(found_, takes_any)


def _passed_on(
    target: Callable[..., Any], hints: Mapping[str, Any]
) -> dict[str, _Parameter] | None:
    """Return what `**kwargs` may hold, for torchmetrics and torchvision; None where unknown."""
    module = getattr(target, "__module__", "")
    if inspect.isclass(target):
        if module.startswith("torchmetrics."):
            options = {n: _Parameter(hint, False) for n, hint in _METRIC_OPTIONS.items()}
            return {**_inherited(target), **options}
        return None
    returned = hints.get("return")
    if module.startswith("torchvision.models.") and inspect.isclass(returned):
        signature = _signature(returned)
        if not signature.open:  # what is required, the function supplies
            return {n: p for n, p in signature.parameters.items() if not p.required}
    return None


def _inherited(target: type) -> dict[str, _Parameter]:
    """Return what the constructors of a metric's bases take, except the base Metric's."""
    found_: dict[str, _Parameter] = {}
    for base in reversed(target.__mro__[1:]):
        ours = base.__module__.startswith("torchmetrics.") and base.__name__ != "Metric"
        if ours and "__init__" in vars(base):
            hints = _hints(base)
            found_ |= {
                name: _Parameter(hints.get(name, Any), False)
                for name, parameter in inspect.signature(base).parameters.items()
                if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            }
    return found_


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Return a class's constructor's (or a function's) type hints, those that can be evaluated."""
    if not inspect.isclass(target):
        return _evaluated(target)
    makers = [vars(base).get("__new__") for base in target.__mro__ if base is not object]
    new = next((maker for maker in makers if maker is not None), None)
    return {
        **(_evaluated(getattr(new, "__func__", new)) if new else {}),
        **_evaluated(target.__init__),
    }


def _evaluated(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError, SyntaxError):
        pass  # one name imported for type checkers only spoils them all: take each by itself
    hints: dict[str, Any] = {}
    names = getattr(inspect.unwrap(function), "__globals__", {})
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = SimpleNamespace(__annotations__={name: annotation})
        try:
            hints |= typing.get_type_hints(alone, globalns=names)
        except (NameError, TypeError, AttributeError, SyntaxError):
            hints[name] = Any
    return hints
