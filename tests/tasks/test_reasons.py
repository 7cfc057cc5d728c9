"""Why a stage runs, told down to the field, the file or the version that moved."""

from typing import Any

import pytest

from prefect_torch.tasks.reasons import differences


def _reasons(project: Any, *overrides: str) -> dict[str, tuple[str, ...]]:
    stages = project.run(*overrides).stages
    return {name: result.reasons for name, result in stages.items()}


def test_a_first_run_has_no_earlier_result(project: Any) -> None:
    assert set(_reasons(project).values()) == {("no earlier result",)}


@pytest.mark.parametrize(
    ("change", "stage", "reason"),
    [
        ("optimizer.lr=0.2", "train", "optimizer.lr 0.1 → 0.2"),
        ("model.hidden=[4, 4]", "train", "model.hidden [8] → [4, 4]"),
        ("model.dropout=0.5", "train", "model.dropout (none) → 0.5"),
        ("train.epochs=3", "train", "train.epochs 2 → 3"),
        ("data.split.stratify=null", "prepare", "data.split.stratify grown → (none)"),
        (
            "metrics.accuracy={class: MulticlassF1Score}",
            "evaluate",
            "metrics.accuracy.class MulticlassAccuracy → MulticlassF1Score",
        ),
        ("promote.at_least=0.25", "promote", "promote.at_least (none) → 0.25"),
    ],
)
def test_a_changed_field_is_told_as_old_and_new(
    done: Any, change: str, stage: str, reason: str
) -> None:
    assert _reasons(done, change)[stage] == (reason,)


def test_a_changed_file_is_told_by_its_name_and_a_changed_upstream_by_its_stage(done: Any) -> None:
    done.bring_rows(seed=3)
    reasons = _reasons(done)
    assert reasons["ingest"][0].startswith("source files.rows.csv ")
    assert reasons["prepare"] == ("the result of ingest changed",)


def test_a_lost_stage_record_is_told(done: Any) -> None:
    (done.store.root / "stages" / f"{done.run().stages['train'].fingerprint}.json").unlink()
    assert _reasons(done)["train"] == ("its earlier result is no longer in the store",)


def test_versions_champions_and_long_values_are_told_in_short() -> None:
    before = {"spec": {"a": "x" * 100}, "versions": {"torch": "2.14"}, "champion": None}
    after = {"spec": {"a": "f" * 64}, "versions": {"torch": "2.15"}, "champion": "0" * 64}
    assert list(differences(before, after)) == [
        f"a {'x' * 59}… → {'f' * 12}",
        "torch 2.14 → 2.15",
        "the champion changed",
    ]


def test_files_that_come_and_go_are_told() -> None:
    before = {"source": {"files": [{"name": "a.csv", "blake3": "0" * 64}]}}
    after = {"source": {"files": [{"name": "b.csv", "blake3": "1" * 64}]}}
    assert list(differences(before, after)) == [
        f"source files.a.csv {'0' * 12} → (none)",
        f"source files.b.csv (none) → {'1' * 12}",
    ]
