from pathlib import Path

import pytest

from prefect_torch.errors import ArtifactError, PrefectTorchError
from prefect_torch.overview import overview
from prefect_torch.pipeline import Pipeline, Run
from prefect_torch.store import Store
from prefect_torch.tasks.stage import STAGES


@pytest.fixture
def store(tiny: Path) -> Store:
    return Store(tiny.parent / "store")


@pytest.fixture
def last(tiny: Path) -> Run:
    Pipeline.load(tiny).run(local=True)
    return Pipeline.load(tiny).run(local=True)


def test_the_last_run_of_each_pipeline_is_shown(last: Run, store: Store) -> None:
    found = overview(store)["pipelines"]["tiny"]

    assert found["last_run"]["run_id"] == last.run_id
    assert found["champion"]["train"] == last.stages["train"].artifact


def test_stages_stand_in_the_order_in_which_they_run(last: Run, store: Store) -> None:
    assert list(overview(store)["pipelines"]["tiny"]["last_run"]["stages"]) == list(STAGES)


def test_a_pipeline_is_found_by_its_name_and_by_its_file(
    last: Run, store: Store, tiny: Path
) -> None:
    assert overview(store, "tiny") == overview(store, str(tiny)) == overview(store)


def test_a_name_that_is_not_there_is_compared_with_those_that_are(last: Run, store: Store) -> None:
    with pytest.raises(PrefectTorchError, match='no run of a pipeline "tinny"; did you mean "tin'):
        overview(store, "tinny")


def test_an_empty_store_says_how_to_start(store: Store) -> None:
    assert overview(store)["pipelines"] == {}
    with pytest.raises(PrefectTorchError, match=r"no runs yet; start with: prefect-torch run"):
        overview(store, "tiny")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pipeline": "tiny"}', '{"stages": 1}'])
def test_an_unreadable_summary_is_named_with_the_way_out(
    last: Run, store: Store, text: str
) -> None:
    path = store.root / "runs" / last.run_id / "run.json"
    path.write_text(text)

    with pytest.raises(ArtifactError, match=f"^{path}: not the summary of a run .* delete"):
        overview(store)
