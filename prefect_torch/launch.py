"""Running a job through Prefect from this process: the configured server, else an embedded one."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_torch.embedded_server import EmbeddedServer
from prefect_torch.prefect_settings import (
    is_server_configured,
    quiet_console,
    use,
    without_heartbeats,
)
from prefect_torch.unchanged import ask

if TYPE_CHECKING:
    from prefect_torch.results import RunSummary
    from prefect_torch.tasks.job import Job

Say = Callable[[str], None]


class Launcher:
    """Runs jobs as flow runs; with `stack`, what it started ends."""

    def __init__(
        self,
        stack: ExitStack,
        pipeline: str,
        overrides: Sequence[str],
        store: str | Path | None,
    ) -> None:
        """Start an embedded server in the background if one is needed, likely or for sure.

        To be made before Prefect and torch are imported, so that the server starts while they are.
        A pipeline file that has been run before as it stands is likely to be reused as a whole,
        so that its server can wait until that has turned out otherwise.
        """
        self.flow_began = False
        """Whether there is something that the embedded server has to record before it ends."""
        self._stack = stack
        self._pipeline = pipeline
        self._overrides = list(overrides)
        self._server: EmbeddedServer | None = None
        self._embedded = not _has_api()
        before = ask(Path(pipeline), overrides, None, store)
        if self._embedded and not (before and before.place.exists()):
            self._start()

    def run(self, job: Job, say: Say | None = None) -> RunSummary:
        """Run a job.

        Where there is no server but the embedded one and every stage is reused, it is answered
        without Prefect.

        Args:
            job: What to run.
            say: Called with what is being waited for. Whoever gives it shows the run as well:
                Prefect's own lines stay off the terminal.

        Raises:
            RunFailed: A stage failed.
            EmbeddedServerError: The embedded server did not start.
        """
        from prefect_torch.tasks.chain import run_chain, without_prefect
        from prefect_torch.tasks.plan import make_plan

        if self._embedded:
            plan = make_plan(job.declaration, job.store, job.force, job.until)
            if all(decision.decision == "reuse" for decision in plan.values()):
                return run_chain(job, without_prefect)
            self._start()
        return self._run_flow(job, say)

    def _start(self) -> None:
        if self._server is None:
            self._server = EmbeddedServer()
            self._stack.callback(_let_prefect_forget_the_server)
            self._stack.enter_context(use(self._server.api_url))
            self._stack.callback(_outside_of_event_loops, self._server.stop)

    def _run_flow(self, job: Job, say: Say | None) -> RunSummary:
        from prefect_torch.flows.retrain import given, retrain

        flow: Any = retrain
        with ExitStack() as stack:
            if self._server is not None:
                if say and not self._server.is_ready():
                    say("Prefect's embedded server is starting (the first time takes longest) …")
                self._server.wait_until_ready()
                stack.enter_context(without_heartbeats())
            elif say:
                flow = flow.with_options(on_running=[_telling_where_to_look(say)])
            if say or self._server is not None:
                stack.enter_context(quiet_console())
                stack.enter_context(_without_engine_errors())
            stack.enter_context(given(job))
            self.flow_began = True
            summary: RunSummary = flow(**self._parameters(job))
        return summary

    def _parameters(self, job: Job) -> dict[str, Any]:
        """Return the job as the flow's parameters, which the flow run shows."""
        return {
            "pipeline": self._pipeline,
            "overrides": self._overrides,
            "force": sorted(job.force),
            "until": job.until,
            "store": str(job.store.root),
        }


def _has_api() -> bool:
    """Say whether there is a Prefect API to use: configured, set in Python, or a flow's around."""
    if is_server_configured():
        return True
    if "prefect.context" not in sys.modules:
        return False
    from prefect.context import FlowRunContext
    from prefect.settings import get_current_settings

    return FlowRunContext.get() is not None or get_current_settings().api.url is not None


def _let_prefect_forget_the_server() -> None:
    """Let Prefect read its settings anew: imported during a run, it has kept that run's server."""
    if "prefect.context" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def _telling_where_to_look(say: Say) -> Callable[[Any, Any, Any], None]:
    """Return a hook that says where the run is to be seen, as soon as it runs."""

    def tell(flow: Any, flow_run: Any, state: Any) -> None:
        from prefect.utilities.urls import url_for

        say(f"flow run: {url_for(flow_run) or flow_run.id}")

    return tell


@contextmanager
def _without_engine_errors() -> Iterator[None]:
    """Keep tracebacks of the flow and task engines off the terminal; the API still gets them.

    The error itself is raised to whoever started the run, who would see it three times.
    """
    from prefect.logging.handlers import PrefectConsoleHandler

    def is_not_the_engines(record: logging.LogRecord) -> bool:
        return record.module not in ("flow_engine", "task_engine")

    found = [
        handler for handler in logging.root.handlers if isinstance(handler, PrefectConsoleHandler)
    ]
    for handler in found:
        handler.addFilter(is_not_the_engines)
    try:
        yield
    finally:
        for handler in found:
            handler.removeFilter(is_not_the_engines)


def _outside_of_event_loops(function: Callable[[], None]) -> None:
    """Call a function in a thread of its own: in a notebook, this one runs an event loop."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()
