"""A component: a class named in the spec, with its arguments; `resolve.py` makes it an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

Kind = Literal["source", "transform", "model", "loss", "optimizer", "scheduler", "metric"]
"""What a place in the spec asks for; `resolve.py` holds what each kind must be."""


class Part(BaseModel):
    """Base of every part of a spec: frozen, nothing unknown, one sentence under each field."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Component(BaseModel):
    """A class or function by import path, and its arguments beside it.

    `{class: torch.optim.AdamW, lr: 0.002}`; a bare string is a component without arguments.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    class_: str = Field(alias="class", min_length=1)
    """Import path (`torch.optim.AdamW`), or a short name of the kind asked for (`AdamW`)."""

    args: dict[str, Any] = Field(default_factory=dict)
    """Its arguments, by name; a nested mapping with `class` is a component of its own."""

    @model_validator(mode="before")
    @classmethod
    def _gather_arguments(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"class": value}
        if isinstance(value, Mapping) and "class" in value:
            return {
                "class": value["class"],
                "args": {k: v for k, v in value.items() if k != "class"},
            }
        return value

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"class": self.class_, **self.args}


class Of:
    """Marks a spec field that holds components of a kind: `Annotated[Component, Of("loss")]`."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
