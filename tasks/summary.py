"""What a run leaves for people: a summary, and a report restored from the artifacts every time."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from prefect_torch.report import ReportData, ReportGate, ReportMetric, ReportStage, write_report
from prefect_torch.results import RunSummary, StageResult
from prefect_torch.store import Artifact, write_text
from prefect_torch.tasks.job import Job
from prefect_torch.tasks.plan import stages_until
from prefect_torch.tasks.rerun import remember_document

PACKAGES = ("prefect-torch", "prefect", "torch", "torchvision", "torchmetrics", "pyarrow")


def summarize(
    job: Job, results: Sequence[StageResult], error: BaseException | None = None
) -> RunSummary:
    """Write the run's summary and report into the store and return the summary.

    Args:
        job: The run.
        results: Of the stages that ended well, in order.
        error: What the next stage failed with, if it did.
    """
    stages = {result.stage: result for result in results}
    metrics: dict[str, float] = {}
    decision: dict[str, Any] = {}
    if "evaluate" in stages:
        metrics = job.store.get(stages["evaluate"].artifact).json("metrics.json")
    if "promote" in stages:
        decision = job.store.get(stages["promote"].artifact).json("decision.json")
    folder = job.store.run_folder(job.run_id)
    ahead = [stage.name for stage in stages_until(job.until) if stage.name not in stages]
    report = folder / "report.html"
    summary = RunSummary(
        run_id=job.run_id,
        pipeline=job.declaration.spec.name,
        stages=stages,
        metrics=metrics,
        promoted=decision.get("promoted"),
        gate=tuple(decision.get("reasons", ())),
        report=str(report) if "evaluate" in stages else None,
        failed=ahead[0] if error is not None and ahead else None,
        error=f"{type(error).__name__}: {error}" if error is not None else None,
    )
    remember_document(job, folder)
    write_text(folder / "run.json", summary.model_dump_json(indent=1) + "\n")
    if summary.report:
        write_report(report, _report_data(job, summary, decision, ahead))
    return summary


def _report_data(
    job: Job, summary: RunSummary, decision: Mapping[str, Any], ahead: Sequence[str]
) -> ReportData:
    artifact = {name: job.store.get(r.artifact) for name, r in summary.stages.items()}
    evaluation = artifact["evaluate"]
    better = evaluation.json("details.json")["higher_is_better"]
    champion = decision.get("champion") or {}
    return ReportData(
        pipeline=summary.pipeline,
        run_id=summary.run_id,
        started=job.started.isoformat(timespec="seconds"),
        seconds=(datetime.now(timezone.utc) - job.started).total_seconds(),
        spec=_yaml(_resolved_spec(job, artifact["train"])),
        environment=_environment(job, summary),
        stages=[
            *(
                ReportStage(r.stage, r.outcome, r.reasons, r.seconds, r.artifact, r.fingerprint)
                for r in summary.stages.values()
            ),
            *(_not_done(name, summary) for name in ahead),
        ],
        metrics=[
            ReportMetric(name, value, champion.get(name), better.get(name))
            for name, value in summary.metrics.items()
        ],
        gate=None if summary.promoted is None else ReportGate(summary.promoted, summary.gate),
        rows=artifact["prepare"].json("fitted.json")["rows"],
        columns=artifact["ingest"].json("statistics.json")["columns"],
        evaluation=evaluation,
    )


def _resolved_spec(job: Job, trained: Artifact) -> dict[str, Any]:
    """Return the spec with its defaults, and with the sizes that the data decided."""
    spec = job.declaration.spec.model_dump(mode="json", exclude_none=True)
    return {**spec, "model": trained.json("model.json")["component"]}


def _not_done(name: str, summary: RunSummary) -> ReportStage:
    if name == summary.failed:
        return ReportStage(name, "failed", (summary.error or "",))
    return ReportStage(name, "skipped")


def _environment(job: Job, summary: RunSummary) -> dict[str, str]:
    record = job.store.record(summary.stages["train"].fingerprint)
    trained = dict(record.provenance) if record else {}
    return {
        "host": platform.node(),
        "python": platform.python_version(),
        "trained on": f"{trained.get('device', 'unknown')}, {trained.get('host', '')}".strip(", "),
        **{package: version(package) for package in PACKAGES},
    }


def _yaml(value: Any) -> str:
    text = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(value, text)
    return text.getvalue()
