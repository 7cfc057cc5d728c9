"""What a run leaves for people is there after every run, reused or not."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.errors import RunFailed


def _summary(project: Any, run_id: str) -> Any:
    return json.loads((project.store.root / "runs" / run_id / "run.json").read_text())


def test_the_summary_says_stages_figures_and_the_gate(done: Any) -> None:
    run = done.run()
    summary = _summary(done, run.run_id)
    assert summary["pipeline"] == "tiny"
    assert list(summary["stages"]) == ["ingest", "prepare", "train", "evaluate", "promote"]
    assert summary["metrics"] == dict(run.metrics)
    assert (summary["promoted"], summary["failed"], summary["error"]) == (True, None, None)


def test_each_run_has_a_report_of_its_own_that_is_restored_when_all_is_reused(done: Any) -> None:
    first, second = done.run(), done.run()
    assert first.report != second.report
    first.report.unlink()
    assert "tiny" in second.report.read_text(encoding="utf-8")


def test_a_run_that_ends_before_evaluate_has_no_report(done: Any) -> None:
    run = done.run(until="train")
    assert run.report is None
    assert run.promoted is None
    assert _summary(done, run.run_id)["metrics"] == {}


def test_a_failed_promote_leaves_the_report_of_what_was_done(done: Any) -> None:
    (done.store.root / "registry" / "tiny" / "champion.json").write_text("{")
    with pytest.raises(RunFailed) as failed:
        done.run("promote.not_worse_than_champion=true")
    report = Path(failed.value.summary.report).read_text(encoding="utf-8")
    assert "champion.json: unreadable" in report
    assert _summary(done, failed.value.summary.run_id)["failed"] == "promote"
