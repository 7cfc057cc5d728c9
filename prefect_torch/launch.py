"""Running a job through Prefect from this process: the configured server, else an embedded one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_torch.embedded_server import EmbeddedServer
from prefect_torch.fingerprint import digest_json
from prefect_torch.prefect_settings import (
    is_server_configured,
    quiet_console,
    use,
    without_heartbeats,
)
from prefect_torch.settings import load_settings
from prefect_torch.store import Store, write_json

if TYPE_CHECKING:
    from prefect_torch.tasks.job import Job
    from prefect_torch.tasks.summary import RunSummary


class Launcher:
    """Runs jobs as flow runs; with `stack`, what it started ends."""

    def __init__(
        self, stack: ExitStack, pipeline: str, overrides: Sequence[str], store: Path | None
    ) -> None:
        """Start an embedded server in the background if one is needed, likely or for sure.

        To be made before Prefect and torch are imported, so that the server starts while they are.
        A pipeline file that has been run before as it stands is likely to be reused as a whole,
        so that its server can wait until that has turned out otherwise.
        """
        self._stack = stack
        self._pipeline = pipeline
        self._overrides = list(overrides)
        self._server: EmbeddedServer | None = None
        self._embedded = not is_server_configured()
        self._memo = _memo(Store(store or load_settings().store), pipeline, self._overrides)
        if self._embedded and not (self._memo and self._memo.exists()):
            self._start()

    def run(self, job: Job, say: Callable[[str], None] = lambda text: None) -> RunSummary:
        """Run a job.

        Where no server is configured and every stage is reused, it is answered without Prefect.

        Args:
            job: What to run.
            say: Called with what is being waited for.

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
        summary = self._run_flow(job, say)
        if self._memo:
            write_json(self._memo, {"run_id": summary.run_id})
        return summary

    def _start(self) -> None:
        if self._server is None:
            self._server = EmbeddedServer()
            self._stack.enter_context(use(self._server.api_url))
            self._stack.enter_context(self._server)

    def _run_flow(self, job: Job, say: Callable[[str], None]) -> RunSummary:
        from prefect_torch.flows.retrain import given, retrain

        with ExitStack() as stack:
            if self._server is not None:
                if not self._server.is_ready():
                    say("Prefect's embedded server is starting (the first time takes longest) …")
                self._server.wait_until_ready()
                stack.enter_context(quiet_console())
                stack.enter_context(without_heartbeats())
            stack.enter_context(given(job))
            summary: RunSummary = retrain(**self._parameters(job))
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


def _memo(store: Store, pipeline: str, overrides: list[str]) -> Path | None:
    """Return the file that exists if this pipeline file has been run before as it stands."""
    try:
        text = Path(pipeline).read_text(encoding="utf-8")
    except (OSError, ValueError):  # built in Python, or reported by whoever reads it for real
        return None
    return store.root / "latest" / "documents" / f"{digest_json([text, overrides])}.json"

