"""Finds the components of a document by walking the spec's classes, whatever else is wrong."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union

from pydantic import BaseModel

from prefect_torch.components import Kind, Of
from prefect_torch.hints import is_component
from prefect_torch.positions import Keys


@dataclass(frozen=True)
class ComponentPlace:
    """A place of a document that holds a component."""

    keys: Keys
    raw: str | Mapping[str, Any]
    kind: Kind | None
    """None for a component nested in another's arguments."""
    given: frozenset[str] = frozenset()
    """What the engine supplies to the component that this one is nested in."""


def component_places(
    annotation: Any, value: Any, keys: Keys = (), marks: tuple[Any, ...] = ()
) -> Iterator[ComponentPlace]:
    """Yield the component at each place that an annotation marks with `Of(kind)`."""
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        yield from component_places(inner[0], value, keys, (*marks, *inner[1:]))
        return
    kinds = [mark.kind for mark in marks if isinstance(mark, Of)]
    if kinds:
        if isinstance(value, str) or is_component(value):
            yield ComponentPlace(keys, value, kinds[0])
    elif typing.get_origin(annotation) in (Union, types.UnionType):
        for choice in inner:
            yield from component_places(choice, value, keys)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if isinstance(value, Mapping):
            for name, field in annotation.model_fields.items():
                if name in value:
                    below = (*keys, name)
                    marked = tuple(field.metadata)
                    yield from component_places(field.annotation, value[name], below, marked)
    elif typing.get_origin(annotation) is list and isinstance(value, list):
        for index, item in enumerate(value):
            yield from component_places(inner[0], item, (*keys, index))
    elif typing.get_origin(annotation) is dict and isinstance(value, Mapping):
        for key, item in value.items():
            yield from component_places(inner[1], item, (*keys, key))


def nested_components(args: Any, keys: Keys, given: frozenset[str]) -> Iterator[ComponentPlace]:
    """Yield the components in a component's arguments, not those nested deeper in them."""
    items: Any = args.items() if isinstance(args, Mapping) else enumerate(args)
    for key, value in items:
        if is_component(value):
            yield ComponentPlace((*keys, key), value, None, given)
        elif isinstance(value, (Mapping, list)):
            yield from nested_components(value, (*keys, key), given)
