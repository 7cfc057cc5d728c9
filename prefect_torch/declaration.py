"""A checked spec together with what it takes to build its components: project folder and trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect_torch.code_fingerprint import CodeFingerprint
from prefect_torch.components import Component, Kind
from prefect_torch.interpolation import interpolate
from prefect_torch.resolve import Trust, build, resolve
from prefect_torch.signatures import fill, parameters_of
from prefect_torch.spec import PipelineSpec


@dataclass(frozen=True)
class Declaration:
    """What the stages work from."""

    spec: PipelineSpec
    project: Path
    """The folder that the pipeline file lies in: where its modules and relative paths start."""
    trust: Trust
    """What its components may be imported from."""
    code: Mapping[str, CodeFingerprint] = field(default_factory=dict, compare=False)
    """The code that decides each stage's result, by stage."""
    roots: Mapping[str, Sequence[str]] = field(default_factory=dict, compare=False)
    """Import paths of the components that each stage uses, by stage."""

    def filled(self, component: Component, kind: Kind, facts: Mapping[str, Any]) -> Component:
        """Return the component with what the data decides filled in; `${…}` stays as written."""
        target = resolve(component, kind, self.trust, self.project)
        return Component(class_=component.class_, args=fill(target, component.args, facts))

    def build(
        self, component: Component, kind: Kind, facts: Mapping[str, Any] | None = None, **given: Any
    ) -> Any:
        """Construct a component.

        Args:
            component: Class and arguments as the spec gives them.
            kind: What the place in the spec asks for.
            facts: Sizes the data decides, filled in where the constructor asks for them by name.
            **given: What the engine supplies, such as `params` or `optimizer`.
        """
        filled = self.filled(component, kind, facts or {})
        if kind == "source":
            given |= self._folder(component)
        ready = Component(class_=filled.class_, args=interpolate(filled.args))
        return build(ready, kind, self.trust, self.project, **given)

    def _folder(self, source: Component) -> dict[str, Any]:
        """Give a source that asks for `project` the folder its relative paths start from."""
        target = resolve(source, "source", self.trust, self.project)
        asked = "project" in parameters_of(target) and "project" not in source.args
        return {"project": self.project} if asked else {}
