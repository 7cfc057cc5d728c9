"""A run is found by what a person knows of it."""

import os
from pathlib import Path

import pytest

from prefect_torch.errors import ArtifactError, PrefectTorchError
from prefect_torch.store import Store, write_json
from prefect_torch.tasks.runs import find_run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    for number, (run_id, pipeline) in enumerate(
        [("aa11", "digits"), ("aa22", "digits"), ("bb33", "wine"), ("cc44", "digits")]
    ):
        path = store.run_folder(run_id) / "run.json"
        write_json(path, {"pipeline": pipeline, "stages": {}})
        _age(path, number)
    return store


def _age(path: Path, seconds: int) -> None:
    os.utime(path, (1_000_000 + seconds, 1_000_000 + seconds))


@pytest.mark.parametrize(
    ("text", "run_id"),
    [
        ("digits", "cc44"),
        ("digits~0", "cc44"),
        ("digits~1", "aa22"),
        ("digits~2", "aa11"),
        ("wine", "bb33"),
        ("aa1", "aa11"),
        ("b", "bb33"),
    ],
)
def test_a_run_is_found_by_pipeline_and_by_the_beginning_of_its_id(
    store: Store, text: str, run_id: str
) -> None:
    assert find_run(store, text).run_id == run_id


def test_a_pipeline_may_be_named_by_its_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "any.yaml").write_text("name: digits\n")
    assert find_run(store, f"{tmp_path}/any.yaml").run_id == "cc44"
    assert find_run(store, f"{tmp_path}/any.yaml~1").run_id == "aa22"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("aa", r'several runs begin with "aa": aa22 \(digits\), aa11 \(digits\)'),
        ("digits~3", "keeps 3 runs of digits: cc44"),
        ("digit", r'no run "digit": it is neither a pipeline \(did you mean "digits"\?\) nor the'),
    ],
)
def test_what_names_no_run_is_told_with_candidates(store: Store, text: str, told: str) -> None:
    with pytest.raises(PrefectTorchError, match=told):
        find_run(store, text)


def test_an_empty_store_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(PrefectTorchError, match="no runs yet; start with: prefect-torch run"):
        find_run(Store(tmp_path), "digits")


def test_an_unreadable_summary_is_told_with_its_place(store: Store) -> None:
    (store.run_folder("aa11") / "run.json").write_text('{"pipeline": "digits", "stages": 3}')
    with pytest.raises(ArtifactError, match=r"aa11/run\.json: not the summary of a run"):
        find_run(store, "digits")


def test_the_folder_of_a_run_that_was_killed_is_no_run(store: Store) -> None:
    (store.run_folder("dd55") / ".run.json.1.tmp").write_text("{")
    assert find_run(store, "digits").run_id == "cc44"
