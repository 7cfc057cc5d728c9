"""The Python way, as in a script or a notebook."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from torch import nn

from prefect_torch.errors import ArtifactError, DataError, RunFailed, SpecError
from prefect_torch.pipeline import Pipeline, Run
from prefect_torch.tasks.stage import STAGES


@pytest.fixture
def run(tiny: Path) -> Run:
    return Pipeline.load("tiny.yaml").run(local=True)


def test_a_run_tells_figures_report_and_stages(run: Run) -> None:
    assert 0 <= run.metrics["accuracy"] <= 1
    assert run.promoted is True
    assert run.report is not None
    assert run.report.is_file()
    assert list(run.stages) == list(STAGES)
    assert repr(run).startswith("Run('tiny': ingest ran, prepare ran, train ran")


def test_tables_come_as_data_frames(run: Run) -> None:
    assert list(run.history["epoch"]) == [1, 2]
    assert {"target", "prediction", "confidence", "correct"} <= set(run.predictions.columns)
    assert len(run.artifact("ingest").to_pandas()) == 80
    test = run.artifact("prepare").to_pandas("test")
    assert len(test) == len(run.predictions) == 16
    assert list(test["row"]) == list(run.predictions["row"])


def test_the_test_table_holds_the_targets_of_the_predictions(run: Run) -> None:
    source = run.artifact("ingest").to_pandas()
    predictions: Any = run.predictions
    expected = source["label"].iloc[predictions["row"]].reset_index(drop=True)
    pd.testing.assert_series_equal(
        predictions["target"], expected, check_names=False, check_dtype=False
    )


def test_a_stage_or_table_that_is_not_there_is_named_with_those_that_are(run: Run) -> None:
    with pytest.raises(ArtifactError, match="has no stage 'export'; it has ingest, prepare"):
        run.artifact("export")
    with pytest.raises(ArtifactError, match=r"no file 'tset.parquet' in this prepare artifact"):
        run.artifact("prepare").to_pandas("tset")


def test_a_second_run_reuses_and_a_forced_stage_is_computed(run: Run) -> None:
    again = Pipeline.load("tiny.yaml").run(local=True, force=["train"])
    outcomes = {name: stage.outcome for name, stage in again.stages.items()}
    assert outcomes == {**dict.fromkeys(STAGES, "reused"), "train": "ran"}


def test_overrides_hold_for_one_run_and_those_of_load_for_all(tiny: Path) -> None:
    pipeline = Pipeline.load("tiny.yaml", ["train.epochs=1"])
    assert len(pipeline.run(local=True).history) == 1
    assert len(pipeline.run(local=True, overrides=["train.epochs=3"]).history) == 3
    assert pipeline.spec.train.epochs == 1


def test_a_wrong_override_is_named(tiny: Path) -> None:
    with pytest.raises(SpecError, match=r"^--set train\.epochs=0: "):
        Pipeline.load("tiny.yaml").run(local=True, overrides=["train.epochs=0"])
    with pytest.raises(SpecError, match=r'--until: found "trian".*did you mean "train"'):
        Pipeline.load("tiny.yaml").run(local=True, until="trian")


def test_a_failed_run_raises_with_its_cause_and_what_was_done(tiny: Path) -> None:
    Pipeline.load("tiny.yaml").run(local=True, until="ingest")
    (tiny.parent / "rows.csv").unlink()
    with pytest.raises(RunFailed, match=r"^ingest failed: rows\.csv: no such file") as caught:
        Pipeline.load("tiny.yaml").run(local=True)
    assert isinstance(caught.value.__cause__, DataError)
    assert caught.value.summary.failed == "ingest"


def test_plan_runs_nothing(tiny: Path) -> None:
    assert {d.decision for d in Pipeline.load("tiny.yaml").plan().values()} == {"run"}
    assert not (tiny.parent / "store" / "objects").exists()


class Net(nn.Module):
    """A Module that is given as it is."""

    def __init__(self, in_features: int, num_classes: int, width: int = 2) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, width), nn.Linear(width, num_classes))

    def forward(self, x: Any) -> Any:
        return self.layers(x)


def test_a_pipeline_is_built_in_python_with_classes_as_they_are(tiny: Path) -> None:
    pipeline = Pipeline(
        name="mine",
        data={
            "source": {"class": "CsvSource", "path": "rows.csv"},
            "target": {"label": {"kind": "category"}},
        },
        model={"class": Net, "width": 3},
        train={"epochs": 1, "device": "cpu"},
        loader={"batch_size": 16},
    )
    run = pipeline.run(local=True)

    assert run.artifact("train").path.joinpath("model.json").read_text().count("Net") >= 1
    assert run.metrics


def test_a_pipeline_built_in_python_tells_every_problem() -> None:
    with pytest.raises(SpecError) as caught:
        Pipeline(name="Not A Name", model={"class": Net, "width": "wide"}, data={})
    fields = {problem.field for problem in caught.value.problems}
    assert {"name", "data.source", "data.target", "model.width"} <= fields


def test_a_local_run_works_where_an_event_loop_runs(tiny: Path) -> None:
    async def cell() -> Run:
        return Pipeline.load("tiny.yaml").run(local=True)

    assert asyncio.run(cell()).metrics


def test_loading_a_pipeline_leaves_prefect_alone(tiny: Path) -> None:
    import subprocess

    code = (
        "import sys; from prefect_torch import Pipeline\n"
        "Pipeline.load('tiny.yaml').run(local=True)\n"
        "print('prefect' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
