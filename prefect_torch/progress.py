"""What a run tells while it goes: stages report, whoever runs them listens (terminal, Prefect)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Started:
    """A stage begins to compute (a reused one does not)."""

    stage: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Finished:
    """A stage has its artifact."""

    stage: str
    outcome: str
    """`ran` or `reused`."""
    seconds: float
    reasons: tuple[str, ...]


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


Event = Started | Progress | Finished
Listener = Callable[[Event], None]
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener` for every event inside; it limits its own rate."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def report_progress(
    stage: str, done: int, total: int | None, unit: str, values: Mapping[str, float] | None = None
) -> None:
    """Tell every listener how far a stage has come."""
    tell(Progress(stage, done, total, unit, values or {}))


def tell(event: Event) -> None:
    """Tell every listener."""
    for listener in _listeners.get():
        listener(event)
