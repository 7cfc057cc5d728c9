"""How far a stage has come: stages report, whoever runs them listens (terminal, Prefect, tests)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """One report of a stage: `done` of `total` units, and values worth showing."""

    stage: str
    done: int
    total: int | None
    """None while the end is not known (a source that is being streamed)."""
    unit: str
    """What is counted: `rows`, `epochs`, `steps`."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Such as `{"loss": 0.31, "accuracy": 0.95}`."""


Listener = Callable[[Progress], None]
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener` for every report made inside; it limits its own rate."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def report_progress(
    stage: str, done: int, total: int | None, unit: str, values: Mapping[str, float] | None = None
) -> None:
    """Tell every listener how far a stage has come."""
    listeners = _listeners.get()
    if listeners:
        progress = Progress(stage, done, total, unit, values or {})
        for listener in listeners:
            listener(progress)
