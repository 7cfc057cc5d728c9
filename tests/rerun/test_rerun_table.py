"""The table of what runs again after which change, row by row, each with its reason.

Every run is a process of its own.
"""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

ALL = ["ingest", "prepare", "train", "evaluate", "promote"]


def _from(stage: str | None) -> list[str]:
    return ALL[ALL.index(stage) :] if stage else []


def _ran(run: Any) -> list[str]:
    return [name for name, result in run["stages"].items() if result["outcome"] == "ran"]


def _reasons(run: Any, stage: str) -> list[str]:
    found: list[str] = run["stages"][stage]["reasons"]
    return found


def _digests(run: Any) -> dict[str, str]:
    return {name: result["artifact"] for name, result in run["stages"].items()}


def test_nothing_changed_and_nothing_runs(done: Any, finished: Any) -> None:
    run = done.run()
    assert _ran(run) == []
    assert _digests(run) == _digests(finished[1])
    assert _reasons(run, "train") == ["same inputs"]


@pytest.mark.parametrize(
    ("change", "first", "reason"),
    [
        ("optimizer.lr=0.2", "train", "optimizer.lr 0.1 → 0.2"),
        ("train.epochs=3", "train", "train.epochs 2 → 3"),
        (
            "loss=torch.nn.MultiMarginLoss",
            "train",
            'loss (none) → {"class": "torch.nn.MultiMarginLoss"}',
        ),
        ("model.width=4", "train", "model.width 8 → 4"),
        (
            "metrics.accuracy={class: MulticlassAccuracy, average: micro}",
            "evaluate",
            "metrics.accuracy.average (none) → micro",
        ),
        (
            "data.split={train: 0.7, validation: 0.1, test: 0.2}",
            "prepare",
            "data.split.train 0.6 → 0.7",
        ),
        ("promote.at_least=0.01", "promote", "promote.at_least (none) → 0.01"),
        ("loader.workers=1", None, ""),
        ("train.device=auto", None, ""),
    ],
)
def test_a_changed_field_runs_what_it_decides_and_is_told_as_old_and_new(
    done: Any, change: str, first: str | None, reason: str
) -> None:
    plan, run = done.plan(change), done.run(change)
    assert _ran(run) == _from(first)
    assert [name for name, found in plan.items() if found[0] == "run"] == _from(first)
    if first:
        assert reason in _reasons(run, first)
        assert plan[first][1] == _reasons(run, first)


@pytest.mark.parametrize(
    ("old", "new", "first", "reason"),
    [
        ("strength: 0.01", "strength: 0.5", "train", "transforms.train"),
        ("[augment.brighten]", "[]", "prepare", "transforms.prepare"),
    ],
)
def test_a_changed_transform_runs_the_stage_that_applies_it(
    done: Any, old: str, new: str, first: str, reason: str
) -> None:
    done.edit("shades.yaml", old, new)
    run = done.run()
    assert _ran(run) == _from(first)
    assert any(each.startswith(reason) for each in _reasons(run, first))


def test_the_number_of_workers_changes_no_byte_of_the_model(done: Any, finished: Any) -> None:
    run = done.run("loader.workers=1", force=["train"])
    assert _ran(run) == ["train"]
    assert _digests(run) == _digests(finished[1])


@pytest.mark.parametrize(
    ("file", "old", "new", "first", "unit"),
    [
        ("pictures.py", "int(number)", "int(number) // 2", "ingest", "Pictures.batches"),
        ("augment.py", "+ 3", "+ 5", "prepare", "brighten"),
        ("shapes.py", "250", "200", "prepare", "clipped"),
        ("augment.py", "+ self.strength", "- self.strength", "train", "Jitter.__call__"),
        ("nets.py", "x + SLOPE", "x - SLOPE", "train", "Net.forward"),
        ("nets.py", "SLOPE = 0.25", "SLOPE = 0.5", "train", "SLOPE"),
        ("nets.py", "x * 0.5", "x * 0.7", "train", "halved"),
        ("nets.py", "low=-4.0", "low=0.1", "train", "narrowed"),
        ("limits.py", "x.clamp(low, high)", "x.clamp(low, high) * 2", "train", "bounded"),
        ("limits.py", "high=4.0", "high=0.3", "train", "bounded"),
        ("blocks.py", "image.flatten(1)", "image.flatten(1) * 0.5", "train", "Base.flat"),
        ("blocks.py", "mixed(self.layer(x))", "mixed(-self.layer(x))", "train", "Block.forward"),
        ("mixing.py", "0.1 * x", "0.3 * x", "train", "mixed"),
        ("tracing.py", "* 1.0", "* 0.9", "train", "counted"),
        ("judges.py", "self.right / self.all", "self.right", "evaluate", "Share.compute"),
    ],
)
def test_an_edited_body_runs_the_first_stage_that_reaches_it_and_is_named(
    done: Any, file: str, old: str, new: str, first: str, unit: str
) -> None:
    done.edit(file, old, new)
    plan, run = done.plan(), done.run()
    assert _ran(run) == _from(first)
    assert _reasons(run, first) == [f"{file}: {unit} changed"]
    assert [name for name, found in plan.items() if found[0] == "run"] == _from(first)
    assert plan[first][1] == _reasons(run, first)


def test_comments_docstrings_and_formatting_run_nothing(done: Any) -> None:
    done.edit("nets.py", "# a comment", "# another one")
    done.edit("nets.py", '"""A block, and what is done around it."""', '"""Anything."""')
    done.edit("nets.py", "self.block = Block(16, width)", "self.block = Block(\n  16,\n\n  width)")
    done.edit("shapes.py", "def clipped(picture):", "def clipped( picture ):\n    # clipped")
    done.edit("pictures.py", '"""Lines of a shade and 16 numbers."""', "")
    done.edit("mixing.py", "def mixed", "\n\n\ndef mixed")
    assert _ran(done.run()) == []


def test_code_that_no_stage_reaches_runs_nothing(done: Any) -> None:
    for file in ("nets.py", "shapes.py", "unused.py"):
        done.edit(file, "return 1", "return 2")
    (done.folder / "new.py").write_text("raise RuntimeError\n")
    assert _ran(done.run()) == []


def test_modification_times_run_nothing(done: Any) -> None:
    for path in done.folder.iterdir():
        os.utime(path, (1, 1))
    assert _ran(done.run()) == []


def test_an_edit_that_keeps_size_and_modification_time_is_seen(done: Any) -> None:
    path = done.folder / "mixing.py"
    os.utime(path, (1, 1))
    done.run()
    time.sleep(2.1)  # so old is what is read that it is remembered
    done.run()
    done.edit("mixing.py", "0.1 * x", "0.3 * x")
    os.utime(path, (1, 1))
    assert _reasons(done.run(), "train") == ["mixing.py: mixed changed"]


def test_one_value_in_the_source_runs_ingest_and_what_follows_it(done: Any) -> None:
    lines = done.data.read_text().splitlines()
    shade, first, *rest = lines[0].split()
    lines[0] = " ".join([shade, str(int(first) + 1), *rest])
    done.data.write_text("\n".join(lines) + "\n")
    run = done.run()
    assert _ran(run) == ALL
    assert _reasons(run, "ingest")[0].startswith("source pictures.txt ")
    assert _reasons(run, "prepare") == ["the result of ingest changed"]


def test_other_bytes_of_the_same_rows_run_ingest_alone(done: Any) -> None:
    done.data.write_text(done.data.read_text().replace(" ", "  "))
    assert _ran(done.run()) == ["ingest"]


def test_an_upstream_that_ran_again_and_gave_the_same_bytes_runs_nothing_further(
    done: Any, finished: Any
) -> None:
    done.edit("pictures.py", "int(number)", "int(number) + 0")
    run = done.run()
    assert _ran(run) == ["ingest"]
    assert _digests(run) == _digests(finished[1])


@pytest.mark.parametrize("stage", ALL)
def test_a_deleted_artifact_is_computed_again_with_a_warning_that_names_it(
    done: Any, finished: Any, stage: str
) -> None:
    path = done.store.root / "objects" / _digests(finished[1])[stage]
    shutil.rmtree(path)
    run = done.run()
    assert _ran(run) == [stage]
    assert str(path) in _reasons(run, stage)[0]
    assert str(path) in run["log"]
    assert _digests(run) == _digests(finished[1])


@pytest.mark.parametrize(
    ("package", "expected"),
    [("torch", ["train", "evaluate", "promote"]), ("torchvision", ["train"])],
)
def test_another_minor_version_runs_train_and_what_reaches_the_package(
    example: Any, tmp_path: Path, package: str, expected: list[str]
) -> None:
    # brighten reaches torch, and so prepare would run as well.
    example.edit("shades.yaml", "[augment.brighten]", "[]")
    before = example.run()
    # What is remembered of installed packages is not to be shared with other tests.
    home = {"PREFECT_HOME": str(tmp_path / "home")}
    run = example.run(versions={package: "2.99.1"}, environment=home)
    assert _ran(run) == expected
    told = [reason for reason in _reasons(run, "train") if reason.startswith(f"{package} ")]
    assert len(told) == 1
    assert told[0].endswith(" → 2.99")
    assert _digests(run) == _digests(before)
    assert _ran(example.run(versions={package: "2.99.7"}, environment=home)) == []


def test_a_deleted_report_is_restored_and_nothing_runs(done: Any, finished: Any) -> None:
    shutil.rmtree(done.store.root / "runs")
    run = done.run()
    assert _ran(run) == []
    assert Path(run["report"]).is_file()
    assert run["metrics"] == finished[1]["metrics"]


def test_a_field_back_to_an_old_value_is_answered_by_the_old_artifacts(
    done: Any, finished: Any
) -> None:
    other = done.run("optimizer.lr=5.0")
    assert _digests(other)["train"] != _digests(finished[1])["train"]
    champion = done.store.root / "registry" / "shades" / "champion.json"
    assert _digests(other)["train"] in champion.read_text()
    again = done.run()
    assert _ran(again) == []
    assert _digests(again) == _digests(finished[1])
    assert again["metrics"] == finished[1]["metrics"]
    assert _digests(again)["train"][:12] in Path(again["report"]).read_text()
    assert _digests(again)["train"] in champion.read_text()


def test_code_back_to_what_it_was_is_answered_by_the_old_artifacts(
    done: Any, finished: Any
) -> None:
    done.edit("mixing.py", "0.1 * x", "0.3 * x")
    done.run()
    done.edit("mixing.py", "0.3 * x", "0.1 * x")
    run = done.run()
    assert _ran(run) == []
    assert _digests(run) == _digests(finished[1])


@pytest.mark.parametrize("stage", ALL)
def test_a_forced_stage_is_computed_and_the_same_bytes_run_nothing_further(
    done: Any, finished: Any, stage: str
) -> None:
    run = done.run(force=[stage])
    assert _ran(run) == [stage]
    assert _reasons(run, stage) == ["forced"]
    assert _digests(run) == _digests(finished[1])
