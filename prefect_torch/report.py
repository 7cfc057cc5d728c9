"""The page a person opens after a run: one HTML file that loads nothing and runs no script.

What a section shows is taken from the evaluate artifact; what is not there has no section.
The page itself is `templates/report.html.j2`.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from prefect_torch.errors import ArtifactError
from prefect_torch.store import Artifact, write_text

IMAGE_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
MISSING = "\N{EN DASH}"


@dataclass(frozen=True)
class ReportStage:
    """What became of one stage in this run."""

    name: str
    outcome: Literal["ran", "reused", "failed", "skipped"]
    reasons: Sequence[str] = ()
    """Why it ran, was reused, failed or was skipped; one sentence each."""
    seconds: float | None = None
    artifact: str | None = None
    """Digest of what it left in the store."""
    fingerprint: str | None = None


@dataclass(frozen=True)
class ReportMetric:
    """One figure measured on the test split."""

    name: str
    value: float
    champion: float | None = None
    """The same figure of the champion before this run, on the same test split."""
    higher_is_better: bool | None = None
    """None where neither direction is better, or where it is not known."""


@dataclass(frozen=True)
class ReportGate:
    """What the promotion gate decided."""

    promoted: bool
    reasons: Sequence[str] = ()


@dataclass(frozen=True)
class ReportData:
    """Everything the page of one run shows."""

    pipeline: str
    run_id: str
    started: str
    """ISO 8601, with the offset from UTC."""
    seconds: float
    spec: str
    """The resolved spec as YAML text."""
    environment: Mapping[str, str]
    """Host, device and versions, by the name they are shown under."""
    stages: Sequence[ReportStage]
    metrics: Sequence[ReportMetric] = ()
    gate: ReportGate | None = None
    """None where the run did not reach promote."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Rows per split."""
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The `columns` of the ingest artifact's `statistics.json`."""
    evaluation: Artifact | None = None
    """The evaluate artifact; None where the run did not reach it."""


def write_report(path: Path, run: ReportData) -> None:
    """Write the page of a run, atomically.

    Args:
        path: The HTML file to write.
        run: What to show.

    Raises:
        ArtifactError: A picture that `details.json` names is not in the evaluate artifact.
    """
    write_text(path, render_report(run))


def render_report(run: ReportData) -> str:
    """Return the page of a run as HTML text; raises what `write_report` raises."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, duration=_duration, percent=_percent, moment=_moment)
    details = run.evaluation.json("details.json") if run.evaluation else {}
    template = environment.get_template("report.html.j2")
    return template.render(
        run=run,
        verdict=_verdict(run),
        tiles=[_tile(metric) for metric in run.metrics],
        slowest=max((stage.seconds or 0 for stage in run.stages), default=0),
        kind=details.get("kind"),
        model=details.get("model"),
        per_class=details.get("per_class"),
        figures=_figures(run.evaluation, details),
        mistakes=_mistakes(run.evaluation, details),
        confused=_most_confused(details),
    )


def _verdict(run: ReportData) -> dict[str, Any]:
    """Return the headline: a tone (which decides the colour), a few words, and the reasons."""
    failed = [stage for stage in run.stages if stage.outcome == "failed"]
    if failed:
        return {"tone": "bad", "text": f"Failed in {failed[0].name}", "reasons": failed[0].reasons}
    if run.gate is None:
        return {
            "tone": "plain",
            "text": "Not judged",
            "reasons": ["This run did not reach promote."],
        }
    if run.gate.promoted:
        return {"tone": "good", "text": "Promoted", "reasons": run.gate.reasons}
    return {"tone": "bad", "text": "Not promoted", "reasons": run.gate.reasons}


def _tile(metric: ReportMetric) -> dict[str, Any]:
    """Return a metric with its comparison: the sign of the change, and whether that is good."""
    if metric.champion is None:
        return {"metric": metric, "tone": "plain", "comparison": "no champion to compare with"}
    change = metric.value - metric.champion
    champion = f"champion {_number(metric.champion)}"
    if change == 0:
        return {"metric": metric, "tone": "plain", "comparison": f"as the {champion}"}
    arrow = f"{'▲' if change > 0 else '▼'} {abs(change):.2g}"
    if metric.higher_is_better is None:
        return {"metric": metric, "tone": "plain", "comparison": f"{arrow} from {champion}"}
    better = (change > 0) == metric.higher_is_better
    word = "better" if better else "worse"
    tone = "good" if better else "bad"
    return {"metric": metric, "tone": tone, "comparison": f"{arrow} {word} than {champion}"}


def _figures(artifact: Artifact | None, details: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return heading, description and data URI of every plot."""
    figures = []
    for name in details.get("plots", []) if artifact else []:
        described = re.search(r"<desc>([^<]*)</desc>", _read(artifact, name).decode())
        figures.append(
            {
                "name": Path(name).stem,
                "heading": Path(name).stem.replace("_", " ").capitalize(),
                "description": html.unescape(described[1]) if described else "",
                "uri": _data_uri(artifact, name),
            }
        )
    return figures


def _mistakes(artifact: Artifact | None, details: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the worst predictions, pictures inlined; numbers rounded, with their distance."""
    mistakes = []
    for mistake in details.get("mistakes", []):
        image = mistake["image"]
        shown = mistake | {"off": None, "uri": _data_uri(artifact, image) if image else None}
        if details["kind"] == "regression":
            true, said = float(mistake["target"]), float(mistake["prediction"])
            shown |= {"target": _number(true), "prediction": _number(said), "off": abs(said - true)}
        mistakes.append(shown)
    return mistakes


def _most_confused(details: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return up to three pairs of classes that were mistaken most often."""
    labels = details.get("labels", [])
    pairs = [
        {"count": count, "target": labels[row], "prediction": labels[column]}
        for row, counts in enumerate(details.get("confusion", []))
        for column, count in enumerate(counts)
        if row != column and count > 1
    ]
    return sorted(pairs, key=lambda pair: -pair["count"])[:3]


def _data_uri(artifact: Artifact | None, name: str) -> str:
    kind = IMAGE_TYPES.get(Path(name).suffix)
    if kind is None:
        known = ", ".join(IMAGE_TYPES)
        raise ArtifactError(f"details.json names the picture {name!r}; expected one of {known}")
    return f"data:{kind};base64,{base64.b64encode(_read(artifact, name)).decode('ascii')}"


def _read(artifact: Artifact | None, name: str) -> bytes:
    assert artifact is not None, "details come from an artifact"
    return artifact.file(name).read_bytes()


def _number(value: Any) -> str:
    """Format a number for reading: four significant digits, thousands apart; others as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return MISSING if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def _moment(iso: str) -> str:
    """Shorten an ISO 8601 time for reading: whole seconds, `UTC` for a zero offset."""
    return re.sub(r"\.\d+", "", iso).replace("T", " ").replace("+00:00", " UTC")


def _percent(share: float) -> str:
    """Format a share of one; never rounds up to a certainty that was not there."""
    percent = f"{min(share * 100, 99.9):.1f}" if 0.985 <= share < 1 else f"{share * 100:.0f}"
    return f"{percent}\N{NO-BREAK SPACE}%"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
