"""The Python way: load or build a pipeline, run it, and look at what came of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_torch.declaration import Declaration
from prefect_torch.documents import Document, document_from, read_document
from prefect_torch.errors import ArtifactError
from prefect_torch.results import RunSummary, StageResult
from prefect_torch.spec import PipelineSpec
from prefect_torch.store import Artifact, Store
from prefect_torch.tasks.chain import run_chain, without_prefect
from prefect_torch.tasks.job import Job, load_job
from prefect_torch.tasks.plan import Decision, make_plan

if TYPE_CHECKING:
    import pandas as pd


class Pipeline:
    """A declared pipeline.

    ```python
    run = Pipeline.load("pipelines/digits.yaml").run()
    run.metrics["accuracy"]
    ```
    """

    def __init__(self, spec: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        """Build a pipeline in Python: the fields of a pipeline file, as a mapping or by name.

        Classes may be given as they are: `model={"class": MyNet, "width": 64}`. They must live in
        an importable module (or in the running script) for a run in another process.

        Raises:
            SpecError: Every problem of the spec.
        """
        self._document = document_from(_by_path({**(spec or {}), **fields}))
        self._origin: Any = "python"
        self._job()

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Pipeline:
        """Read and check a pipeline file (YAML, TOML or JSON).

        Args:
            path: The file.
            overrides: Fields to set anew, such as `optimizer.lr=0.001`.

        Raises:
            SpecError: Every problem of the file, each with line and column.
        """
        pipeline = cls.__new__(cls)
        pipeline._document = read_document(path).with_overrides(overrides)
        pipeline._origin = "file"
        pipeline._job()
        return pipeline

    @property
    def spec(self) -> PipelineSpec:
        """The checked spec."""
        return self.declaration.spec

    @property
    def declaration(self) -> Declaration:
        """The checked spec with its project folder and trust."""
        return self._job().declaration

    def job(
        self,
        *,
        overrides: Sequence[str] = (),
        force: Sequence[str] = (),
        until: str | None = None,
        store: str | Path | None = None,
    ) -> Job:
        """Return what the stages' tasks take, to call them one by one in a flow of your own.

        ```python
        from prefect_torch.tasks.prefect_tasks import ingest, prepare

        job = Pipeline.load("pipelines/digits.yaml").job()
        prepared = prepare(job, ingest(job)).result()
        ```
        """
        document = self._document.with_overrides(overrides)
        return self._job(document, force=force, until=until, store=store)

    def plan(
        self,
        *,
        overrides: Sequence[str] = (),
        force: Sequence[str] = (),
        until: str | None = None,
        store: str | Path | None = None,
    ) -> dict[str, Decision]:
        """Return what would run, and why, without running anything."""
        job = self.job(overrides=overrides, force=force, until=until, store=store)
        return make_plan(job.declaration, job.store, job.force, job.until)

    def run(
        self,
        *,
        local: bool = False,
        overrides: Sequence[str] = (),
        force: Sequence[str] = (),
        until: str | None = None,
        store: str | Path | None = None,
    ) -> Run:
        """Run the stages, reusing what is still true.

        Args:
            local: Without Prefect. Otherwise as a flow run: on the configured server, in the flow
                that is running, or else on an embedded server.
            overrides: Fields to set anew, such as `optimizer.lr=0.001`.
            force: Stages to compute again whatever the store holds.
            until: The last stage to run.
            store: Root of the store; None for the installation's.

        Raises:
            SpecError: An override is wrong.
            RunFailed: A stage failed.
        """
        document = self._document.with_overrides(overrides)
        job = self._job(document, force=force, until=until, store=store)
        if local:
            return Run(run_chain(job, without_prefect), job.store)
        from prefect_torch.launch import Launcher

        name = str(document.path or job.declaration.spec.name)
        with ExitStack() as stack:
            launcher = Launcher(stack, name, list(document.overridden.values()), job.store.root)
            summary = launcher.run(job)
        return Run(summary, job.store)

    def _job(self, document: Document | None = None, **options: Any) -> Job:
        return load_job(document or self._document, self._origin, **options)


class Run:
    """What came of a run; tables are pandas DataFrames."""

    def __init__(self, summary: RunSummary, store: Store) -> None:
        self._summary = summary
        self._store = store

    def __repr__(self) -> str:
        stages = ", ".join(f"{s.stage} {s.outcome}" for s in self.stages.values())
        return f"Run({self._summary.pipeline!r}: {stages})"

    @property
    def run_id(self) -> str:
        """The flow run's id, or one of our own without Prefect."""
        return self._summary.run_id

    @property
    def stages(self) -> Mapping[str, StageResult]:
        """Result of each stage, in order."""
        return self._summary.stages

    @property
    def metrics(self) -> Mapping[str, float]:
        """Figures on the test split."""
        return self._summary.metrics

    @property
    def promoted(self) -> bool | None:
        """Whether the gate let the model through; None if the run ended before."""
        return self._summary.promoted

    @property
    def report(self) -> Path | None:
        """The HTML report; None if the run ended before evaluate."""
        return Path(self._summary.report) if self._summary.report else None

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: losses, the watched metric, learning rate."""
        return self.artifact("train").to_pandas("history")

    @property
    def predictions(self) -> pd.DataFrame:
        """One row a test sample: row, target, prediction, and confidence or error."""
        return self.artifact("evaluate").to_pandas("predictions")

    def artifact(self, stage: str) -> RunArtifact:
        """Return a stage's artifact.

        Raises:
            ArtifactError: The run has no such stage.
        """
        if stage not in self.stages:
            raise ArtifactError(f"{self!r} has no stage {stage!r}; it has {', '.join(self.stages)}")
        return RunArtifact(self._store.get(self.stages[stage].artifact))


class RunArtifact:
    """An artifact of a run, with its tables as DataFrames."""

    def __init__(self, artifact: Artifact) -> None:
        self.files = sorted(artifact.files)
        """Names of its files."""
        self.path = artifact.path
        """Its folder in the store; not to be written to."""
        self._artifact = artifact

    def to_pandas(self, table: str | None = None) -> pd.DataFrame:
        """Return one of its Parquet files; None for all that ingest wrote, in order.

        Args:
            table: `train`, `validation` or `test` of prepare, `history` of train, `predictions`
                of evaluate.
        """
        import pandas as pd

        if self._artifact.kind == "ingest" and table is None:
            parts = [n for n in self.files if n.endswith(".parquet")]
            return pd.concat([pd.read_parquet(self.path / n) for n in parts], ignore_index=True)
        path = self._artifact.file(f"{table}.parquet")
        if self._artifact.kind == "prepare":
            from prefect_torch.datasets.layout import layout_to_pandas

            return layout_to_pandas(path)
        return pd.read_parquet(path)


def _by_path(value: Any) -> Any:
    """Replace classes and functions by their import paths, wherever they stand."""
    if inspect.isclass(value) or inspect.isfunction(value):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return {key: _by_path(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_by_path(item) for item in value]
    return value
