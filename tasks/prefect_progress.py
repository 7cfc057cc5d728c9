"""Shows how far a stage has come as a progress artifact of its task run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import UUID

from prefect_torch.progress import Event, Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

SECONDS_BETWEEN_UPDATES = 1.0
"""An update costs about 30 ms of the stage's time: 3 % at most."""


class PrefectProgress:
    """A progress listener for use inside a task or flow run.

    The first report creates the artifact, later ones update it at most once a second, and leaving
    the `with` block sends the last one. An API that does not answer is a warning in the run's log:
    it is no reason to end a training.

    ```python
    with PrefectProgress() as listener, listening(listener):
        ...
    ```
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take another `clock` (seconds) where time is not the machine's."""
        self._clock = clock
        self._artifact: UUID | None = None
        self._held_back: Progress | None = None
        self._sent_at: float | None = None

    def __call__(self, progress: Event) -> None:
        """Send `progress`, or hold it back until a second has passed since the last one."""
        if not isinstance(progress, Progress):
            return
        self._held_back = progress
        if self._sent_at is None or self._clock() - self._sent_at >= SECONDS_BETWEEN_UPDATES:
            self._send(progress)

    def __enter__(self) -> PrefectProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._held_back is not None:
            self._send(self._held_back)

    def _send(self, progress: Progress) -> None:
        import httpx
        from prefect.logging import get_run_logger

        try:
            self._write(progress)
        except httpx.HTTPError as error:
            get_run_logger().warning("progress is not shown: the API did not take it: %s", error)
        self._held_back = None
        self._sent_at = self._clock()

    def _write(self, progress: Progress) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        percent, text = _percent(progress), _text(progress)
        if self._artifact is None:
            artifact = create_progress_artifact(percent, f"progress-{progress.stage}", text)
            assert isinstance(artifact, UUID), "a coroutine: stages run outside of event loops"
            self._artifact = artifact
        else:
            update_progress_artifact(self._artifact, percent, text)


def _percent(progress: Progress) -> float:
    """Return 0 to 100; 0 while the end is not known."""
    if progress.total is None:
        return 0.0
    if progress.total == 0:
        return 100.0
    return round(100.0 * min(progress.done / progress.total, 1.0), 1)


def _text(progress: Progress) -> str:
    """Return such as `train: 3 of 12 epochs, accuracy 0.95, loss 0.31`."""
    of = "" if progress.total is None else f" of {progress.total:,}"
    values = [f"{name} {value:.4g}" for name, value in progress.values.items()]
    return ", ".join([f"{progress.stage}: {progress.done:,}{of} {progress.unit}", *values])
