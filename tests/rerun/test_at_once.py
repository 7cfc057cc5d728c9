"""Of runs that want the same at once, one computes and the others wait; the dead hold nothing."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STAGES = ("ingest", "prepare", "train", "evaluate", "promote")
PATIENCE_SECONDS = 120

MARKED = """
import os
import time
from pathlib import Path

HERE = Path(__file__).parent


def mark():
    with (HERE / "training").open("a") as marks:
        marks.write(f"{os.getpid()}\\n")


def wait_for_word():
    mark()
    while (HERE / "wait").exists():
        time.sleep(0.02)
"""


def _marked(example: Any, call: str) -> Path:
    """Let training, and only training, leave its process's id in a file; return the file."""
    (example.folder / "marks.py").write_text(MARKED)
    example.edit("augment.py", "import shapes", "import marks\nimport shapes")
    old = "self.strength = strength"
    example.edit("augment.py", old, f"{old}\n        {call}")
    found: Path = example.folder / "training"
    return found


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.02)


@pytest.fixture
def waiting(example: Any) -> Any:
    """A project whose training waits until a file is gone."""
    _marked(example, "marks.wait_for_word()")
    (example.folder / "wait").touch()
    return example


def test_of_eight_identical_runs_one_computes_and_the_others_reuse(example: Any) -> None:
    training = _marked(example, "marks.mark()")
    children = [example.start() for _ in range(8)]
    runs = [child.result() for child in children]
    for stage in STAGES:
        results = [run["stages"][stage] for run in runs]
        assert sorted(result["outcome"] for result in results) == ["ran", *["reused"] * 7]
        assert len({result["artifact"] for result in results}) == 1
    assert len(training.read_text().split()) == 1
    assert len({str(run["metrics"]) for run in runs}) == 1
    example.verify()
    assert example.store.leftovers() == []


def test_a_killed_holder_frees_the_lock_at_once(waiting: Any) -> None:
    training = waiting.folder / "training"
    holder = waiting.start()
    _until(training.exists)
    other = waiting.start()
    time.sleep(1.5)
    assert training.read_text().split() == [str(holder.pid)]
    assert holder.kill()
    _until(lambda: str(other.pid) in training.read_text())
    (waiting.folder / "wait").unlink()
    run = other.result()
    assert run["stages"]["train"]["outcome"] == "ran"
    assert run["stages"]["prepare"]["outcome"] == "reused"


def test_different_pipelines_do_not_wait_for_each_other(waiting: Any, finished: Any) -> None:
    holder = waiting.start()
    _until((waiting.folder / "training").exists)
    other = finished[0].run("name=other", "optimizer.lr=0.3", store=str(waiting.store.root))
    assert other["stages"]["train"]["outcome"] == "ran"
    assert not holder.has_ended()
    (waiting.folder / "wait").unlink()
    assert holder.result()["stages"]["train"]["outcome"] == "ran"
