"""Checks a whole document against the spec and finds every mistake in one pass, each in its place.

Reading is in `documents.py`; what a component may be in `resolve.py` and `signatures.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import ValidationError

from prefect_torch.checked import Checked
from prefect_torch.component_places import ComponentPlace, component_places, nested_components
from prefect_torch.components import Component
from prefect_torch.documents import Document
from prefect_torch.errors import Problem, SpecError, did_you_mean
from prefect_torch.interpolation import references
from prefect_torch.positions import Keys, dotted
from prefect_torch.resolve import Trust, resolve
from prefect_torch.settings import Settings
from prefect_torch.signatures import FILLED, GIVEN, check_arguments, given_to, parameters_of
from prefect_torch.spec import PipelineSpec
from prefect_torch.spec_errors import field_problems

Origin = Literal["file", "form", "python"]
"""Where a document came from: a pipeline file, a form or API call, or a program."""

Found = tuple[Keys, str]
"""A mistake: where it stands and what it is."""


def load_spec(document: Document, settings: Settings, origin: Origin = "file") -> PipelineSpec:
    """Return the spec that a document declares.

    Raises:
        SpecError: With every mistake in it, in file order.
    """
    spec, problems = check(document, settings, origin)
    if spec is None or problems:
        raise SpecError(problems)
    return spec


def check(
    document: Document, settings: Settings, origin: Origin = "file"
) -> tuple[PipelineSpec | None, list[Problem]]:
    """Return the spec, None when there is a mistake, and all mistakes in file order.

    Imports the components that the document names, as far as they are trusted.
    """
    spec: PipelineSpec | None = None
    found: list[Found] = []
    try:
        text = json.dumps(
            document.tree
        )  # strict JSON mode: lists do for tuples, text for no number
        spec = PipelineSpec.model_validate_json(text, strict=True)
    except ValidationError as error:
        found += field_problems(error, document.tree)
    checked = Checked(settings.cache, document.project)
    for place in component_places(PipelineSpec, document.tree):
        found += _component_problems(place, document, settings, origin, checked)
    found += _cross_field_problems(document.tree)
    found += _reference_problems(document.tree)
    problems = _in_file_order(document, found)
    return (None if problems else spec), problems


def trust_for(document: Document, keys: Keys, settings: Settings, origin: Origin = "file") -> Trust:
    """Return what the component at `keys` may be imported from.

    A class that came through a form or an override may not name the project's own modules.
    """
    override = document.override_of(keys) or document.overridden.get((*keys, "class"))
    return Trust(
        settings.trusted_modules,
        project=origin == "file" and override is None,
        everything=origin == "python" and override is None,
    )


def _component_problems(
    place: ComponentPlace,
    document: Document,
    settings: Settings,
    origin: Origin,
    checked: Checked,
) -> Iterator[Found]:
    """Yield what is wrong with a component, its arguments, and the components in those."""
    component = Component.model_validate(place.raw)
    trust = trust_for(document, place.keys, settings, origin)
    given = GIVEN.get(place.kind, frozenset()) if place.kind else place.given
    inside = list(nested_components(component.args, place.keys, given))
    if not inside and checked.arguments(component, place.kind, trust, given):
        return
    try:
        target = resolve(component, place.kind, trust, document.project)
    except SpecError as error:
        name = (*place.keys, "class") if isinstance(place.raw, Mapping) else place.keys
        yield name, error.problems[0].message
    else:
        taken = given_to(target, place.kind) if place.kind else given & parameters_of(target)
        filled = FILLED.get(place.kind, frozenset()) if place.kind else frozenset()
        problems = check_arguments(target, component.args, taken, filled)
        for problem in problems:
            yield (*place.keys, *problem.path), problem.message
        if not problems:
            checked.keep(component, place.kind, trust, given, target)
        inside = list(nested_components(component.args, place.keys, taken))
    for nested in inside:
        yield from _component_problems(nested, document, settings, origin, checked)


def _cross_field_problems(tree: Mapping[str, Any]) -> Iterator[Found]:
    """Yield contradictions between fields that are each right by themselves."""
    data, train = _mapping(tree, "data"), _mapping(tree, "train")
    metrics = {"loss", *_mapping(tree, "metrics")}
    promote, stopping = _mapping(tree, "promote"), _mapping(train, "early_stopping")
    for keys, part in (("promote",), promote), (("train", "early_stopping"), stopping):
        metric = part.get("metric")
        if isinstance(metric, str) and metric not in metrics:
            near = did_you_mean(metric, metrics).replace("known", "declared are")
            yield (*keys, "metric"), f'"{metric}" is not declared under metrics; {near}'
    if "loss" in _mapping(tree, "metrics"):
        yield ("metrics", "loss"), "the loss is measured anyway; give this metric another name"
    if isinstance(train.get("early_stopping"), Mapping):
        validation = _mapping(data, "split").get("validation", 0.1)
        if validation == 0:
            yield (
                ("train", "early_stopping"),
                "watches the validation split, and data.split.validation is 0; "
                "give it a share such as 0.1, or leave early_stopping out",
            )
    for column in _mapping(data, "target"):
        if column in _mapping(data, "features"):
            yield (
                ("data", "features", column),
                f'"{column}" is the target; a model must not see what it shall predict, '
                "so take it out of features",
            )


def _mapping(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = tree.get(key)
    return value if isinstance(value, Mapping) else {}


def _reference_problems(tree: Mapping[str, Any], keys: Keys = ()) -> Iterator[Found]:
    """Yield texts with something that looks like `${env:NAME}` and is none."""
    items: Any = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    for key, value in items:
        if isinstance(value, (Mapping, list)):
            yield from _reference_problems(value, (*keys, key))  # type: ignore[arg-type]
        elif isinstance(value, str):
            try:
                references(value)
            except SpecError as error:
                yield (*keys, key), error.problems[0].message


def _in_file_order(document: Document, found: list[Found]) -> list[Problem]:
    """Return problems as people read a file; overrides come last."""

    def order(entry: Found) -> tuple[bool, tuple[int, int]]:
        return document.override_of(entry[0]) is not None, document.position(entry[0])

    problems = [
        Problem(document.place(keys), dotted(keys), message)
        for keys, message in sorted(found, key=order)
    ]
    return list(dict.fromkeys(problems))
