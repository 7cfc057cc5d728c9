"""Figures are those of the checkpoint on the test split, in the units of the data."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_torch.errors import ArtifactError, RunFailed


def _details(run: Any) -> Any:
    return json.loads((Path(run.stages["evaluate"].path) / "details.json").read_text())


def test_predictions_are_of_the_test_rows_and_figures_agree_with_them(done: Any) -> None:
    run = done.run("metrics.accuracy={class: MulticlassAccuracy, average: micro}")
    predictions = run.predictions
    test = run.artifact("prepare").to_pandas("test")
    assert predictions["row"].tolist() == test["row"].tolist()
    assert run.metrics["accuracy"] == pytest.approx(predictions["correct"].mean())
    rows = run.artifact("ingest").to_pandas()
    assert predictions["target"].tolist() == rows["grown"].iloc[predictions["row"]].tolist()


def test_a_number_is_predicted_in_its_own_unit(project: Any) -> None:
    project.declare("{grown: {kind: category}}", "{height: {kind: number}}")
    project.declare(", stratify: grown", "")
    project.declare("MulticlassAccuracy", "MeanAbsoluteError")
    run = project.run("promote=null")
    predictions = run.predictions
    rows = run.artifact("ingest").to_pandas()
    assert predictions["target"].tolist() == pytest.approx(
        rows["height"].iloc[predictions["row"]].tolist(), abs=1e-5
    )
    assert run.metrics["accuracy"] == pytest.approx(predictions["error"].abs().mean(), rel=1e-5)
    assert set(_details(run)["plots"]) == {"plots/learning_curves.svg", "plots/residuals.svg"}


def test_two_classes_may_be_measured_by_binary_metrics(done: Any) -> None:
    run = done.run("metrics.area={class: BinaryAUROC}", "metrics.recall={class: BinaryRecall}")
    assert set(run.metrics) == {"accuracy", "area", "recall", "loss"}


def test_the_direction_of_a_figure_is_that_of_the_metric_as_built(done: Any) -> None:
    accuracy = "{class: torchmetrics.Accuracy, task: multiclass, num_classes: 2}"
    run = done.run(f"metrics.accuracy={accuracy}")
    assert _details(run)["higher_is_better"] == {"accuracy": True, "loss": False}


def test_a_metric_that_does_not_fit_fails_evaluate_and_keeps_the_checkpoint(done: Any) -> None:
    change = ("metrics.wrong={class: MeanAbsoluteError}", "optimizer.lr=0.3")
    with pytest.raises(RunFailed, match=r"evaluate failed: metrics\.wrong: MeanAbsoluteError"):
        done.run(*change)
    assert done.ran("optimizer.lr=0.3")[0] == "evaluate"


def test_weights_that_do_not_fit_the_model_are_told_with_the_way_out(done: Any) -> None:
    import torch

    from prefect_torch.pipeline import Pipeline
    from prefect_torch.tasks.model import load_trained

    trained = done.store.get(done.run().stages["train"].artifact)
    with done.store.staging("other") as folder:
        shutil.copytree(trained.path, folder, dirs_exist_ok=True)
        described = trained.json("model.json")
        described["component"]["hidden"] = [9]
        (folder / "model.json").write_text(json.dumps(described))
        other = done.store.commit(folder, "train")
    declaration = Pipeline.load(done.file).declaration
    with pytest.raises(ArtifactError, match=r"(?s)does not fit MLP as it is now.*--force train"):
        load_trained(declaration, other, torch.device("cpu"))


def test_every_file_of_the_details_is_in_the_artifact(done: Any) -> None:
    run = done.run()
    details = _details(run)
    folder = Path(run.stages["evaluate"].path)
    for name in details["plots"]:
        assert (folder / name).read_text().lstrip().startswith("<")
    wrong = int((~run.predictions["correct"]).sum())
    assert len(details["mistakes"]) == min(24, wrong)
    assert set(details["mistakes"][0]["values"]) == {"width", "height", "colour"}
    assert pq.read_table(folder / "predictions.parquet").num_rows == 40
