"""The short way of a run of which nothing has changed: taken when it is, and only then."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_torch import Pipeline
from prefect_torch.pipeline import Run
from prefect_torch.results import RunSummary
from prefect_torch.unchanged import answer, ask

HEAVY = ("torch", "pandas", "pyarrow", "prefect", "matplotlib", "ruamel", "jinja2")


@pytest.fixture
def run(tiny: Path) -> Run:
    return Pipeline.load(tiny).run(local=True, store=tiny.parent / "store")


def _answer(file: Path, *overrides: str, until: str | None = None) -> RunSummary | None:
    question = ask(file, overrides, until, file.parent / "store")
    assert question is not None
    return answer(question)


def test_nothing_changed_is_answered_with_the_same_figures_and_artifacts(
    tiny: Path, run: Run
) -> None:
    again = _answer(tiny)

    assert again is not None
    assert again.metrics == dict(run.metrics)
    assert list(again.stages) == list(run.stages)
    for name, stage in again.stages.items():
        assert (stage.outcome, stage.artifact) == ("reused", run.stages[name].artifact)
    assert again.run_id != run.run_id
    assert (tiny.parent / "store" / "runs" / again.run_id / "run.json").is_file()
    assert again.report == str(run.report)


def test_the_answer_imports_nothing_heavy(tiny: Path, run: Run) -> None:
    arguments = ["run", str(tiny), "--local", "--json", "--store", str(tiny.parent / "store")]
    script = (
        "import sys\n"
        "from prefect_torch.cli import main\n"
        "try:\n"
        f"    main({arguments})\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    line, heavy = done.stdout.splitlines()[-2:]
    assert {s["outcome"] for s in json.loads(line)["stages"].values()} == {"reused"}, done.stderr
    assert heavy == "[]"


def _edit_source(tiny: Path, run: Run) -> None:
    rows = tiny.parent / "rows.csv"
    rows.write_text(rows.read_text().replace("1", "2", 1))


def _edit_pipeline(tiny: Path, run: Run) -> None:
    tiny.write_text(tiny.read_text() + "\n# a comment\n")


def _flip_a_byte(tiny: Path, run: Run) -> None:
    path = Path(run.stages["train"].path) / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _delete_report(tiny: Path, run: Run) -> None:
    assert run.report is not None
    run.report.unlink()


def _move_champion(tiny: Path, run: Run) -> None:
    [pointer] = (tiny.parent / "store" / "registry").glob("*/champion.json")
    pointer.write_text(pointer.read_text().replace('"train": "', '"train": "0'))


def _run_something_else(tiny: Path, run: Run) -> None:
    Pipeline.load(tiny, ["train.epochs=1", "seed=5"]).run(local=True, store=tiny.parent / "store")


@pytest.mark.parametrize(
    "change",
    [
        _edit_source,
        _edit_pipeline,
        _flip_a_byte,
        _delete_report,
        _move_champion,
        _run_something_else,
    ],
)
def test_any_change_takes_the_long_way(
    change: Callable[[Path, Run], None], tiny: Path, run: Run
) -> None:
    assert _answer(tiny) is not None
    change(tiny, run)

    assert _answer(tiny) is None


def test_other_overrides_another_end_and_other_settings_are_other_questions(
    tiny: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _answer(tiny, "train.epochs=2") is None
    assert _answer(tiny, until="train") is None
    monkeypatch.setenv("PREFECT_INTEGRATIONS_TORCH_TRUSTED_MODULES", "mine")
    assert _answer(tiny) is None


def test_another_version_of_a_package_that_counts_takes_the_long_way(
    tiny: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_torch.unchanged.minor_version", lambda package: "99.0")

    assert _answer(tiny) is None


def test_a_touched_source_is_still_the_same(tiny: Path, run: Run) -> None:
    (tiny.parent / "rows.csv").touch()

    assert _answer(tiny) is not None
