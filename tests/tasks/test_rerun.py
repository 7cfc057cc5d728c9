"""A run remembers what it ran, so that it can be run again as it was."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.errors import PrefectTorchError
from prefect_torch.pipeline import Pipeline
from prefect_torch.tasks.rerun import FILE, Remembered, recall
from prefect_torch.tasks.runs import find_run


def _last(project: Any) -> Remembered:
    return recall(find_run(project.store, "tiny"))


def test_a_run_remembers_file_overrides_origin_and_where_it_stopped(project: Any) -> None:
    project.run("optimizer.lr=0.2", until="prepare")
    found = _last(project)
    assert found.document.path == project.file
    assert found.document.tree["optimizer"]["lr"] == 0.2
    assert (found.overrides, found.origin, found.until) == (["optimizer.lr=0.2"], "file", "prepare")
    assert found.project == project.folder
    assert found.remark == ""


def test_an_unchanged_file_still_knows_the_places_of_its_fields(done: Any) -> None:
    done.run()
    assert _last(done).document.place(("optimizer",)).endswith("tiny.yaml:8:1")


@pytest.mark.parametrize("became", ["changed", "broken", "gone"])
def test_what_a_file_said_then_is_remembered(done: Any, became: str) -> None:
    done.run("train.epochs=3")
    if became == "changed":
        done.declare("lr: 0.1", "lr: 0.9")
    elif became == "broken":
        done.file.write_text("a: [")
    else:
        done.file.unlink()
    found = _last(done)
    assert found.document.tree["optimizer"]["lr"] == 0.1
    assert found.document.tree["train"]["epochs"] == 3
    assert "running what it said then" in found.remark
    assert found.project == done.folder


def test_an_override_stays_one_that_may_not_name_what_a_file_may(done: Any) -> None:
    done.run("train.epochs=3")
    done.file.unlink()
    assert _last(done).document.override_of(("train", "epochs")) == "train.epochs=3"


def test_a_reference_to_a_secret_stays_one(done: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERUN_TEST_FILE", "rows.csv")
    done.declare("path: rows.csv", "path: '${env:RERUN_TEST_FILE}'")
    done.run(until="ingest")
    kept = find_run(done.store, "tiny").folder / FILE
    assert "${env:RERUN_TEST_FILE}" in kept.read_text()
    assert "rows.csv" not in kept.read_text()


def test_a_pipeline_built_in_python_is_remembered_as_it_was_built(
    done: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = _last(done).document.tree
    monkeypatch.chdir(done.folder)
    Pipeline({**tree, "seed": 4}).run(local=True, until="ingest", store=done.store.root)
    found = _last(done)
    assert (found.origin, found.document.path) == ("python", None)
    assert found.document.tree == {**tree, "seed": 4}
    assert found.project == Path.cwd()


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_a_run_that_remembers_nothing_says_the_way_out(done: Any, content: str | None) -> None:
    path = find_run(done.store, "tiny").folder / FILE
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(PrefectTorchError, match=r"document\.json: not .* --force STAGE"):
        _last(done)


def test_stopping_early_leaves_out_no_stage_that_is_asked_for(project: Any) -> None:
    project.run(until="prepare")
    found = _last(project)
    assert found.until_at_least(("ingest",)) == "prepare"
    assert found.until_at_least(("ingest", "train")) == "train"
    assert json.loads((find_run(project.store, "tiny").folder / FILE).read_text())["until"]
