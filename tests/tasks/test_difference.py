"""What differs between two runs is told down to the field, with what it did to the metrics."""

import shutil
from typing import Any

import pytest

from prefect_torch.tasks.difference import GONE, OTHER_ROWS, RunDifference, difference
from prefect_torch.tasks.runs import find_run


def _diff(project: Any, a: str = "tiny~1", b: str = "tiny") -> RunDifference:
    return difference(project.store, find_run(project.store, a), find_run(project.store, b))


def test_two_equal_runs_do_not_differ(done: Any) -> None:
    done.run()
    found = _diff(done)
    assert all(stage.a == stage.b and not stage.differences for stage in found.stages.values())
    assert {metric.change for metric in found.metrics.values()} == {0.0}
    assert {metric.better for metric in found.metrics.values()} == {None}
    assert found.remarks == ()


def test_a_changed_field_is_told_with_what_it_did(done: Any) -> None:
    first, second = find_run(done.store, "tiny"), done.run("optimizer.lr=0.3", "train.epochs=4")
    found = _diff(done)
    assert found.stages["prepare"].differences == ()
    assert found.stages["train"].differences == ("optimizer.lr 0.1 → 0.3", "train.epochs 2 → 4")
    assert found.stages["evaluate"].differences == ("the result of train changed",)
    loss = found.metrics["loss"]
    assert (loss.a, loss.b) == (first.summary["metrics"]["loss"], second.metrics["loss"])
    assert loss.change == loss.b - loss.a
    assert loss.better is (loss.change < 0)
    assert found.metrics["accuracy"].better is (found.metrics["accuracy"].change > 0)
    assert found.training.epochs == (2, 4)
    assert found.training.chosen == (2, 4)


def test_the_order_of_the_runs_is_the_direction_of_the_change(done: Any) -> None:
    done.run("optimizer.lr=0.3")
    there, back = _diff(done), _diff(done, "tiny", "tiny~1")
    assert back.stages["train"].differences == ("optimizer.lr 0.3 → 0.1",)
    assert back.metrics["loss"].change == -there.metrics["loss"].change
    assert back.metrics["loss"].better is not there.metrics["loss"].better


def test_metrics_of_other_test_rows_are_told_to_be_so(done: Any) -> None:
    done.bring_rows(seed=3)
    done.run()
    found = _diff(done)
    assert found.remarks == (OTHER_ROWS,)
    assert found.stages["ingest"].differences[0].startswith("source ")


def test_a_run_that_ended_early_is_compared_as_far_as_it_came(done: Any) -> None:
    done.run(until="train")
    found = _diff(done)
    assert found.stages["evaluate"].differences == ("only the first run came so far",)
    assert found.metrics["loss"].b is None
    assert found.metrics["loss"].change is None


def test_what_the_store_no_longer_remembers_is_told(done: Any) -> None:
    done.run("optimizer.lr=0.3")
    shutil.rmtree(done.store.root / "objects")
    shutil.rmtree(done.store.root / "stages")
    found = _diff(done)
    assert found.stages["train"].differences == (GONE,)
    assert found.training.epochs == (None, None)
    assert found.metrics["loss"].change is not None
    assert found.metrics["loss"].better is None


@pytest.mark.parametrize("known", [True, False])
def test_changed_code_is_told_by_its_units_where_they_are_remembered(
    done: Any, known: bool
) -> None:
    nets = done.folder / "diff_nets.py"
    code = "from prefect_torch.models.mlp import MLP\n\n\nclass Net(MLP):\n    SCALE = 1\n"
    nets.write_text(code)
    done.declare("{class: MLP, hidden", "{class: diff_nets.Net, hidden")
    done.run()
    nets.write_text(code.replace("SCALE = 1", "SCALE = 2"))
    done.run()
    if not known:
        shutil.rmtree(done.store.root / "code")
    told = _diff(done).stages["train"].differences
    assert told[0].startswith("diff_nets.py: Net" if known else "code ")
