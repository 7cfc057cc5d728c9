"""Which stages run again after a change: the rows of the design's table, with real runs."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.errors import ArtifactError, RunFailed
from prefect_torch.tasks.stage import STAGES

ALL = ["ingest", "prepare", "train", "evaluate", "promote"]


def _artifact(run: Any, stage: str) -> Path:
    return Path(run.stages[stage].path)


def _verify_everything(project: Any) -> None:
    for path in (project.store.root / "objects").iterdir():
        project.store.get(path.name).verify()


def test_nothing_runs_when_nothing_changed(done: Any) -> None:
    assert done.ran() == []


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ("optimizer.lr=0.2", "train"),
        ("train.epochs=3", "train"),
        ("loss=torch.nn.MultiMarginLoss", "train"),
        ("model.hidden=[4]", "train"),
        ("loader.batch_size=16", "train"),
        ("metrics.f1={class: MulticlassF1Score}", "evaluate"),
        ("promote.at_least=0.1", "promote"),
        ("seed=1", "prepare"),
        ("train.device=auto", None),
        ("loader.workers=1", None),
    ],
)
def test_a_changed_field_runs_the_stages_it_decides(
    done: Any, change: str, first: str | None
) -> None:
    ran = done.ran(change)
    assert ran == (ALL[ALL.index(first) :] if first else [])


def test_a_changed_split_runs_prepare_and_what_follows(done: Any) -> None:
    done.declare("train: 0.6, validation: 0.2", "train: 0.7, validation: 0.1")
    assert done.ran() == ["prepare", "train", "evaluate", "promote"]


def test_a_metric_that_early_stopping_watches_decides_training(done: Any) -> None:
    watched = "train.early_stopping={metric: accuracy}"
    done.run(watched)
    changed = "metrics.accuracy={class: MulticlassAccuracy, average: micro}"
    assert done.ran(changed)[0] == "evaluate"
    assert done.ran(watched, changed)[0] == "train"


def test_the_modification_time_of_the_source_decides_nothing(done: Any) -> None:
    os.utime(done.data, (1, 1))
    assert done.ran() == []


def test_one_value_in_the_source_runs_ingest_and_what_its_digest_moves(done: Any) -> None:
    lines = done.data.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace(lines[1].split(",")[0], "0.1234", 1)
    done.data.write_text("".join(lines))
    assert done.ran() == ALL


def test_stages_are_cut_off_where_an_upstream_gives_the_same_bytes(done: Any) -> None:
    done.data.write_text(done.data.read_text().replace("\n", "\r\n"))
    assert done.ran() == ["ingest"]


def test_a_field_back_to_an_old_value_is_answered_by_the_old_artifacts(done: Any) -> None:
    old = done.run()
    done.run("optimizer.lr=0.2")
    again = done.run()
    assert [result.outcome for result in again.stages.values()] == ["reused"] * 5
    assert again.metrics == old.metrics
    assert again.report is not None
    assert again.report.exists()


@pytest.mark.parametrize("stage", ALL)
def test_a_forced_stage_is_computed_and_later_ones_are_reused(done: Any, stage: str) -> None:
    run = done.run(force=[stage])
    assert [name for name, r in run.stages.items() if r.outcome == "ran"] == [stage]
    assert run.stages[stage].reasons == ("forced",)


def test_until_leaves_the_stages_behind_it_alone(project: Any) -> None:
    assert project.ran(until="prepare") == ["ingest", "prepare"]
    assert project.ran() == ["train", "evaluate", "promote"]


@pytest.mark.parametrize("stage", ALL)
def test_a_deleted_artifact_is_computed_again_and_named(done: Any, stage: str) -> None:
    path = _artifact(done.run(), stage)
    shutil.rmtree(path)
    run = done.run()
    assert [name for name, r in run.stages.items() if r.outcome == "ran"] == [stage]
    assert str(path) in run.stages[stage].reasons[0]


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("ingest", "data/part-00000.parquet"),
        ("prepare", "train.parquet"),
        ("train", "model.safetensors"),
        ("evaluate", "metrics.json"),
        ("promote", "decision.json"),
    ],
)
def test_a_flipped_byte_is_noticed_named_and_mended(
    done: Any, stage: str, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = _artifact(done.run(), stage) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    run = done.run()
    assert [name for name, r in run.stages.items() if r.outcome == "ran"] == [stage]
    assert file in run.stages[stage].reasons[0]
    assert file in caplog.text
    _verify_everything(done)
    assert done.ran() == []


SOURCE = """
import pyarrow.csv as csv
from pathlib import Path

class Rows:
    def batches(self):
        yield csv.read_csv(Path(__file__).with_name("rows.csv"))
    def identity(self):
        return None
"""


def test_a_source_that_cannot_be_known_is_read_each_time_and_later_stages_are_reused(
    project: Any,
) -> None:
    (project.folder / "tiny_rows_source.py").write_text(SOURCE)
    project.declare("{class: CsvSource, path: rows.csv}", "tiny_rows_source.Rows")
    project.run()
    run = project.run()
    assert [name for name, r in run.stages.items() if r.outcome == "ran"] == ["ingest"]
    assert "fingerprint" in run.stages["ingest"].reasons[0]


def test_a_source_that_changes_while_it_is_read_is_refused(project: Any) -> None:
    (project.folder / "tiny_growing_source.py").write_text(
        SOURCE.replace("return None", 'return {"size": len(Path(self.path).read_text())}').replace(
            "    def batches(self):",
            '    path = Path(__file__).with_name("rows.csv")\n    def batches(self):\n'
            '        self.path.write_text(self.path.read_text() + "1,2,red,yes\\n")',
        )
    )
    project.declare("{class: CsvSource, path: rows.csv}", "tiny_growing_source.Rows")
    with pytest.raises(RunFailed, match="changed while it was read"):
        project.run()
    assert not (project.store.root / "objects").exists()


@pytest.mark.parametrize("stage", ALL)
def test_a_stage_that_fails_in_the_middle_leaves_nothing_behind(
    project: Any, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = type(STAGES[stage]).compute

    def compute_then_fail(self: Any, context: Any) -> None:
        compute(self, context)
        if self.name == stage:
            raise ZeroDivisionError("after the last file")

    with monkeypatch.context() as patch:
        patch.setattr(type(STAGES[stage]), "compute", compute_then_fail)
        with pytest.raises(RunFailed, match=f"{stage} failed: after the last file") as failed:
            project.run()
    assert list((project.store.root / "partial").iterdir()) == []
    assert list(failed.value.summary.stages) == ALL[: ALL.index(stage)]
    assert project.ran() == ALL[ALL.index(stage) :]


def test_a_missing_upstream_artifact_is_an_error_that_names_it(done: Any) -> None:
    from prefect_torch.pipeline import Pipeline
    from prefect_torch.tasks.execute import run_stage

    declaration = Pipeline.load(done.file).declaration
    results = dict(done.run().stages)
    gone = results["prepare"].model_copy(update={"artifact": "0" * 64})
    with pytest.raises(ArtifactError, match="no complete artifact"):
        run_stage(STAGES["train"], declaration, {"prepare": gone}, done.store)


CHILD = """
import os, signal, sys
from prefect_torch.pipeline import Pipeline
from prefect_torch.tasks.stage import Stage
from prefect_torch.store import Store

point, file, store = sys.argv[1:]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
compute = Stage.compute

def compute_and_die(self, context):
    compute(self, context)
    if self.name == point:
        die()

Stage.compute = compute_and_die
if point == "publish":
    Store._publish = die
if point == "record":
    Store.write_record = die
Pipeline.load(file).run(local=True, store=store)
"""


@pytest.mark.parametrize("point", ["ingest", "train", "publish", "record"])
def test_after_a_kill_the_next_run_succeeds_and_everything_verifies(
    project: Any, point: str
) -> None:
    command = [sys.executable, "-c", CHILD, point, project.file, project.store.root]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert "promote" in project.ran()
    _verify_everything(project)
    assert list((project.store.root / "partial").iterdir()) == []


def test_two_runs_that_want_the_same_fingerprint_compute_it_once(project: Any) -> None:
    (project.folder / "tiny_counted_source.py").write_text(
        textwrap.dedent("""
        import time
        import pyarrow.csv as csv
        from pathlib import Path

        class Rows:
            def batches(self):
                with Path(__file__).with_name("reads").open("a") as reads:
                    reads.write("read\\n")
                time.sleep(3)
                yield csv.read_csv(Path(__file__).with_name("rows.csv"))
            def identity(self):
                return {"version": 1}
        """)
    )
    project.declare("{class: CsvSource, path: rows.csv}", "tiny_counted_source.Rows")
    code = (
        "import sys; from prefect_torch.pipeline import Pipeline;"
        "print(Pipeline.load(sys.argv[1]).run(local=True, store=sys.argv[2], until='prepare'))"
    )
    command = [sys.executable, "-c", code, project.file, project.store.root]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = sorted(run.communicate()[0] for run in runs)
    assert (project.folder / "reads").read_text() == "read\n"
    assert "ingest ran" in told[0]
    assert "ingest reused" in told[1]


def test_promotions_of_one_pipeline_happen_one_after_the_other(
    done: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each compares with the champion that the one before left."""
    inside: list[int] = []
    most: list[int] = []

    def slowly(context: Any, champion: Any) -> dict[str, float]:
        inside.append(1)
        most.append(len(inside))
        time.sleep(2)
        inside.pop()
        return {"accuracy": 0.0}

    monkeypatch.setattr("prefect_torch.tasks.promote.champion_metrics", slowly)
    changes = [("promote.not_worse_than_champion=true", f"optimizer.lr={lr}") for lr in (0.3, 0.4)]
    threads = [threading.Thread(target=done.run, args=change) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1]
