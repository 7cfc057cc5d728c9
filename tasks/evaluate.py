"""Evaluate: a checkpoint on the test split becomes metrics, predictions, tables and plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_torch.datasets.decode import picture, readable
from prefect_torch.datasets.parquet_dataset import ParquetDataset
from prefect_torch.declaration import Declaration
from prefect_torch.plots import confusion_matrix, learning_curves, residuals
from prefect_torch.store import Artifact
from prefect_torch.tasks.context import StageContext
from prefect_torch.tasks.model import declared_metrics, load_trained, objective_for, split_batches
from prefect_torch.training.device import choose_device
from prefect_torch.training.findings import Findings, classification, regression
from prefect_torch.training.metrics import measure
from prefect_torch.training.objectives import Outputs

MOST_MISTAKES = 24


def evaluate(context: StageContext) -> None:
    """Write `metrics.json`, `predictions.parquet`, `details.json`, `plots/` and `mistakes/`."""
    prepared, trained = context.inputs["prepare"], context.inputs["train"]
    outputs = outputs_on_test(context.declaration, prepared, trained)
    metrics = test_metrics(context.declaration, prepared, outputs)
    _write_json(context.output / "metrics.json", metrics)
    target = prepared.json("fitted.json")["target"]
    if target["kind"] == "category":
        findings = classification(outputs, target["values"], MOST_MISTAKES)
    else:
        findings = regression(outputs, MOST_MISTAKES)
    pq.write_table(pa.table(findings.predictions), context.output / "predictions.parquet")
    model = trained.json("model.json")
    details = {
        **findings.details,
        "higher_is_better": directions(context.declaration, prepared),
        "mistakes": _mistakes(findings, prepared, context.output),
        "plots": _plots(findings, trained, target, context.output),
        "model": {
            "class": model["component"]["class"],
            "parameters": model["parameters"],
            "text": model["text"],
        },
    }
    _write_json(context.output / "details.json", details)


def outputs_on_test(declaration: Declaration, prepared: Artifact, trained: Artifact) -> Outputs:
    """Load a checkpoint and return what it says about the test split."""
    device = choose_device(declaration.spec.train.device)
    model = load_trained(declaration, trained, device)
    objective = objective_for(declaration, model, prepared.json("fitted.json"), device)
    return objective.evaluate(model, split_batches(prepared, "test", device))


def test_metrics(
    declaration: Declaration, prepared: Artifact, outputs: Outputs
) -> dict[str, float]:
    """Return `loss` and every declared metric."""
    fitted = prepared.json("fitted.json")
    metrics = declared_metrics(declaration, fitted, list(declaration.spec.metrics))
    measured = {name: measure(name, metric, outputs) for name, metric in metrics.items()}
    return {**measured, "loss": outputs.loss}


def directions(declaration: Declaration, prepared: Artifact) -> dict[str, bool | None]:
    """Return whether each figure is better higher; None where its metric does not say."""
    fitted = prepared.json("fitted.json")
    metrics = declared_metrics(declaration, fitted, list(declaration.spec.metrics))
    return {**{name: metric.higher_is_better for name, metric in metrics.items()}, "loss": False}


def _mistakes(findings: Findings, prepared: Artifact, output: Path) -> list[dict[str, Any]]:
    """Write a picture of each mistake, and return what there is to say about it."""
    dataset = ParquetDataset(prepared.file("test.parquet"))
    fitted = prepared.json("fitted.json")
    told = []
    for number, position in enumerate(findings.mistakes):
        sample = dataset[position]
        shown = picture(sample, fitted)
        name = None
        if shown is not None:
            name = f"mistakes/{number:03d}.png"
            (output / "mistakes").mkdir(exist_ok=True)
            shown.save(output / name)
        columns = {column: values[position] for column, values in findings.predictions.items()}
        told.append(
            {
                "row": columns["row"],
                "target": str(columns["target"]),
                "prediction": str(columns["prediction"]),
                "confidence": columns.get("confidence"),
                "error": columns.get("error"),
                "image": name,
                "values": readable(sample, fitted) or None,
            }
        )
    return told


def _plots(
    findings: Findings, trained: Artifact, target: dict[str, Any], output: Path
) -> list[str]:
    """Write the plots as SVG and return their names."""
    epoch = trained.json("model.json")["epoch"]
    plots = {"learning_curves": learning_curves(trained.json("history.json"), epoch)}
    if target["kind"] == "category":
        details = findings.details
        plots["confusion_matrix"] = confusion_matrix(details["confusion"], details["labels"])
    else:
        columns = findings.predictions
        plots["residuals"] = residuals(columns["target"], columns["prediction"], target["column"])
    (output / "plots").mkdir()
    for name, svg in plots.items():
        (output / "plots" / f"{name}.svg").write_text(svg, encoding="utf-8")
    return [f"plots/{name}.svg" for name in plots]


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
