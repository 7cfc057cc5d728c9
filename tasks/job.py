"""One run's circumstances: what is declared, where artifacts live, what is forced, its id."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

from prefect_torch.checked import Checked
from prefect_torch.checking import Origin, load_spec
from prefect_torch.components import Component, Kind
from prefect_torch.declaration import Declaration
from prefect_torch.documents import Document
from prefect_torch.errors import PrefectTorchError, Problem, SpecError, did_you_mean
from prefect_torch.interpolation import redact
from prefect_torch.project_modules import forget_changed
from prefect_torch.resolve import Trust, resolve
from prefect_torch.results import StageResult
from prefect_torch.settings import load_settings
from prefect_torch.stage_code import read_code
from prefect_torch.store import Store
from prefect_torch.tasks.code import component_roots
from prefect_torch.tasks.execute import run_stage
from prefect_torch.tasks.stage import STAGES


class Job:
    """A run that is about to happen, or happening; handed to every stage's task.

    Not a dataclass: Prefect looks into those for the results of other tasks, and would draw an
    edge of the run graph wherever it came upon the name of a stage.
    """

    def __init__(
        self,
        declaration: Declaration,
        store: Store,
        force: frozenset[str] = frozenset(),
        until: str | None = None,
        *,
        document: Document | None = None,
        origin: Origin = "file",
    ) -> None:
        """Put together what a run needs; `load_job` does it from a document.

        Args:
            declaration: The checked spec.
            store: Where artifacts live.
            force: Stages to compute whatever the store holds.
            until: The last stage to run; None for all.
            document: What it was declared by, for whoever wants to run it again.
            origin: Where the document came from.
        """
        self.declaration = declaration
        self.store = store
        self.force = force
        self.until = until
        self.document = document
        self.origin: Origin = origin
        self.run_id = str(uuid4())
        self.started = datetime.now(timezone.utc)

    def with_run_id(self, run_id: str) -> Job:
        """Return the same job as the run of an id."""
        job = copy.copy(self)
        job.run_id = run_id
        return job

    def run(self, name: str, upstream: Mapping[str, StageResult]) -> StageResult:
        """Run one stage, or answer from the store.

        Args:
            name: Of the stage.
            upstream: Results of the stages it reads, by name.

        Raises:
            PrefectTorchError: A result it reads is missing, or the stage failed.
        """
        stage = STAGES[name]
        absent = [other for other in stage.inputs if other not in upstream]
        if absent:
            raise PrefectTorchError(f"{name} reads the results of {', '.join(absent)}: give them")
        try:
            with self.store.in_use(self.run_id):
                return run_stage(
                    stage,
                    self.declaration,
                    upstream,
                    self.store,
                    force=name in self.force,
                    run_id=self.run_id,
                )
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            if redact(told) == told:
                raise
            # The original goes no further: it would carry the secret into logs and reports.
            raise PrefectTorchError(redact(told)) from None


def load_job(
    document: Document,
    origin: Origin,
    *,
    force: Collection[str] = (),
    until: str | None = None,
    store: str | Path | None = None,
    project: Path | None = None,
    verify: bool = False,
) -> Job:
    """Check a document and return the job that runs it.

    Args:
        document: What the pipeline file says, overrides applied.
        origin: Whether it came from a `file`, through a `form`, or was built in `python`.
        force: Stages to compute whatever the store holds.
        until: The last stage to run.
        store: Root of the store; None for the installation's.
        project: The folder of a document that is not a file's; None for the working folder.
        verify: Check large artifacts by content too, whatever is remembered of them.

    Raises:
        SpecError: Every problem of the document, or a stage that does not exist.
    """
    for option, names in (("force", force), ("until", [until] if until else [])):
        for name in names:
            if name not in STAGES:
                message = f'found "{name}", expected a stage; {did_you_mean(name, STAGES)}'
                raise SpecError([Problem(f"--{option}", "", message)])
    settings = load_settings()
    folder = document.project or project or Path.cwd()
    forget_changed(folder)
    spec = load_spec(document, settings, origin=origin)
    trust = Trust(settings.trusted_modules, origin == "file", origin == "python")
    checked = Checked(settings.cache, document.project)

    def path_of(component: Component, kind: Kind | None) -> str:
        if "." in component.class_:
            return component.class_
        known = checked.path(component, kind, trust)
        if known is not None:
            return known
        found = resolve(component, kind, trust, folder)
        return f"{found.__module__}.{found.__qualname__}"

    roots = component_roots(spec, path_of)
    code = read_code(roots, folder, settings.cache / "code")
    declaration = Declaration(spec, folder, trust, code, roots)
    kept = Store(store or settings.store, verify_all=verify)
    return Job(declaration, kept, frozenset(force), until, document=document, origin=origin)
