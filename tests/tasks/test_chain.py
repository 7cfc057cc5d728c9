"""A run ends with a summary, well or not."""

from typing import Any

import pytest

from prefect_torch.errors import RunFailed
from prefect_torch.progress import Finished, Progress, Started, listening


def test_stages_come_in_order_and_stop_after_the_last_one_wanted(project: Any) -> None:
    assert list(project.run(until="evaluate").stages) == ["ingest", "prepare", "train", "evaluate"]


def test_a_failure_keeps_its_cause_and_what_was_done_before(project: Any) -> None:
    with pytest.raises(RunFailed, match="train failed: loader") as failed:
        project.run("loader.batch_size=1000")
    assert type(failed.value.__cause__).__name__ == "DataError"
    summary = failed.value.summary
    assert list(summary.stages) == ["ingest", "prepare"]
    assert (summary.failed, summary.report) == ("train", None)
    assert summary.error.startswith("DataError: loader.batch_size: 1000")


def test_listeners_hear_of_every_stage_and_of_its_progress(project: Any) -> None:
    heard: list[Any] = []
    with listening(heard.append):
        project.run(until="train")
    told = [(type(event), event.stage) for event in heard if not isinstance(event, Progress)]
    expected = [(t, s) for s in ("ingest", "prepare", "train") for t in (Started, Finished)]
    assert told == expected
    epochs = [e.done for e in heard if isinstance(e, Progress) and e.stage == "train"]
    assert epochs == [1, 2]


def test_a_reused_stage_is_finished_without_having_started(done: Any) -> None:
    heard: list[Any] = []
    with listening(heard.append):
        done.run()
    assert [(type(event), event.outcome) for event in heard] == [(Finished, "reused")] * 5
