"""The plan says what the next run then does."""

import shutil
from pathlib import Path
from typing import Any

import pytest


def _decisions(plan: dict[str, Any]) -> list[str]:
    return [name for name, decision in plan.items() if decision.decision == "run"]


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("optimizer.lr=0.2",),
        ("metrics.f1={class: MulticlassF1Score}",),
        ("promote.at_least=0.2",),
        ("seed=3",),
        ("loader.workers=1",),
    ],
)
def test_what_the_plan_says_is_what_the_run_does(done: Any, overrides: tuple[str, ...]) -> None:
    planned = done.plan(*overrides)
    assert _decisions(planned) == done.ran(*overrides)


def test_before_the_first_run_every_stage_is_planned_to_run(project: Any) -> None:
    planned = project.plan()
    assert _decisions(planned) == list(planned)
    assert planned["ingest"].reasons == ("no earlier result",)
    assert planned["evaluate"].reasons == ("after prepare and train",)
    assert not (project.store.root / "objects").exists()


def test_a_stage_below_another_tells_its_own_change_too(done: Any) -> None:
    planned = done.plan("seed=3", "optimizer.lr=0.2")
    assert planned["train"].reasons == ("optimizer.lr 0.1 → 0.2", "seed 0 → 3", "after prepare")


def test_force_and_until_are_in_the_plan(done: Any) -> None:
    planned = done.plan(force=["train"], until="evaluate")
    assert _decisions(planned) == ["train", "evaluate"]
    assert planned["train"].reasons == ("forced",)
    assert "promote" not in planned


def test_a_deleted_artifact_is_in_the_plan_by_name(done: Any) -> None:
    path = Path(done.run().stages["train"].path)
    shutil.rmtree(path)
    assert str(path) in done.plan()["train"].reasons[0]


def test_a_plan_writes_nothing(done: Any) -> None:
    before = sorted(done.store.root.rglob("*"))
    done.plan("optimizer.lr=0.2")
    assert sorted(done.store.root.rglob("*")) == before
