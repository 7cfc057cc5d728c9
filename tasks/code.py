"""Which components each stage uses: the roots of the code that decides its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prefect_torch.components import Component, Kind
from prefect_torch.spec import PipelineSpec

PathOf = Callable[[Component, Kind | None], str]
"""From a component and its kind to the import path that its name stands for."""


def component_roots(spec: PipelineSpec, path_of: PathOf) -> dict[str, list[str]]:
    """Return the import paths of the components that each stage uses, by stage.

    Args:
        spec: The checked spec.
        path_of: Turns a component and its kind into an import path.
    """
    return {
        stage: sorted({path_of(each, kind) for each, kind in used})
        for stage, used in _used(spec).items()
    }


def _used(spec: PipelineSpec) -> dict[str, list[tuple[Component, Kind | None]]]:
    model: list[tuple[Component, Kind | None]] = [(spec.model, "model")]
    if spec.loss:
        model.append((spec.loss, "loss"))
    metrics: dict[str, tuple[Component, Kind | None]] = {
        name: (component, "metric") for name, component in spec.metrics.items()
    }
    training: list[tuple[Component, Kind | None]] = [(spec.optimizer, "optimizer")]
    if spec.scheduler:
        training.append((spec.scheduler, "scheduler"))
    stop = spec.train.early_stopping
    if stop and stop.metric in metrics:
        training.append(metrics[stop.metric])
    training += [(each, "transform") for each in spec.transforms.train]
    prepare: list[tuple[Component, Kind | None]] = [
        (each, "transform") for each in spec.transforms.prepare
    ]
    used: dict[str, list[tuple[Component, Kind | None]]] = {
        "ingest": [(spec.data.source, "source")],
        "prepare": prepare,
        "train": [*model, *training],
        "evaluate": [*model, *metrics.values()],
        # Promote asks the champion about today's rows.
        "promote": [*model, *metrics.values(), *prepare],
    }
    return {stage: list(_with_nested(components)) for stage, components in used.items()}


def _with_nested(
    components: Iterable[tuple[Component, Kind | None]],
) -> Iterator[tuple[Component, Kind | None]]:
    for component, kind in components:
        yield component, kind
        yield from _with_nested((each, None) for each in _inside(component.args))


def _inside(value: Any) -> Iterator[Component]:
    """Yield the components written in arguments, not those nested deeper in them."""
    if isinstance(value, Mapping):
        if isinstance(value.get("class"), str):
            yield Component.model_validate(value)
            return
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _inside(item)
