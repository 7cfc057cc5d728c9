"""What nobody reaches goes, and nothing else does."""

import json
import os
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.errors import ArtifactError
from prefect_torch.pipeline import Pipeline
from prefect_torch.registry import champion_of
from prefect_torch.results import StageResult
from prefect_torch.store import Store
from prefect_torch.tasks.chain import run_chain, without_prefect
from prefect_torch.tasks.garbage import KINDS, RESUMABLE_SECONDS, Findings, find_garbage, free
from prefect_torch.tasks.job import Job
from prefect_torch.tasks.lineage import lineage, stage_records
from prefect_torch.tasks.runs import find_run, past_runs


def _names(found: Findings) -> dict[str, set[str]]:
    return {kind: {each.name for each in found.of(kind)} for kind in KINDS}


def _artifacts(project: Any, *stages: str, run: str = "tiny") -> set[str]:
    results = find_run(project.store, run).stages
    return {str(results[stage]["artifact"]) for stage in stages or results}


def _free(project: Any, keep: int = 1) -> Findings:
    found = find_garbage(project.store, keep)
    freed, stays = free(project.store, found)
    assert len(freed) == len(found.garbage)
    assert stays == []
    return found


def _content(root: Path) -> dict[str, bytes]:
    ignored = ("locks", "live")
    files = (path for path in root.rglob("*") if path.is_file())
    found = {path.relative_to(root): path.read_bytes() for path in files}
    return {str(name): content for name, content in found.items() if name.parts[0] not in ignored}


def _fingerprint(store: Store, artifact: str) -> str:
    return next(
        record.fingerprint for record in stage_records(store) if record.artifact == artifact
    )


@pytest.fixture
def thrice(done: Any) -> Any:
    """Three runs of one pipeline; the champion is the last one's."""
    done.run("optimizer.lr=0.2")
    done.run("optimizer.lr=0.3")
    return done


def test_finding_changes_nothing(thrice: Any) -> None:
    before = _content(thrice.store.root)
    assert find_garbage(thrice.store, 1).garbage
    assert _content(thrice.store.root) == before


def test_the_last_runs_keep_what_they_reach_and_the_others_go(thrice: Any) -> None:
    old, kept = (
        _artifacts(thrice, run="tiny~2"),
        _artifacts(thrice) | _artifacts(thrice, run="tiny~1"),
    )
    found = _free(thrice, keep=2)
    assert _names(found)["objects"] == old - kept
    assert len(found.of("records")) >= len(old - kept)
    assert len(found.of("runs")) == 1
    assert {path.name for path in (thrice.store.root / "objects").iterdir()} == kept
    assert (found.artifacts_kept, found.runs_kept) == (len(kept), 2)


def test_afterwards_the_store_is_whole_and_there_is_no_more_to_free(thrice: Any) -> None:
    _free(thrice)
    assert find_garbage(thrice.store, 1).garbage == ()
    for path in (thrice.store.root / "objects").iterdir():
        thrice.store.get(path.name).verify()
        assert all(step.bytes for step in lineage(thrice.store, path.name).values())
    assert thrice.ran("optimizer.lr=0.3") == []
    assert thrice.ran("optimizer.lr=0.2")[0] == "train"


def test_a_champion_keeps_its_lineage_when_no_run_does(thrice: Any) -> None:
    _free(thrice, keep=0)
    champion = champion_of(thrice.store, "tiny")
    assert champion is not None
    steps = lineage(thrice.store, champion.evaluate)
    assert [step.stage for step in steps.values()] == ["evaluate", "train", "prepare", "ingest"]
    for digest in steps:
        thrice.store.get(digest).verify()
    assert past_runs(thrice.store) == []


def test_every_pipeline_keeps_runs_of_its_own(done: Any) -> None:
    done.run("name=other", "optimizer.lr=0.2")
    done.run("name=other", "optimizer.lr=0.3")
    assert len(_free(done, keep=1).of("runs")) == 1
    assert [run.pipeline for run in past_runs(done.store)] == ["tiny", "other"]


def test_what_a_live_run_holds_stays(thrice: Any) -> None:
    [held] = _artifacts(thrice, "train", run="tiny~2")
    fingerprint = _fingerprint(thrice.store, held)
    with thrice.store.in_use("a-live-run"):
        thrice.store.hold(held)
        _free(thrice)
        thrice.store.get(held).verify()
        assert thrice.store.record(fingerprint) is not None
    assert held in _names(find_garbage(thrice.store, 1))["objects"]


def test_what_a_live_run_takes_up_after_the_search_stays_and_is_told(thrice: Any) -> None:
    found = find_garbage(thrice.store, 1)
    [held] = _artifacts(thrice, "train", run="tiny~2")
    fingerprint = _fingerprint(thrice.store, held)
    with thrice.store.in_use("a-live-run"):
        thrice.store.hold(held)
        freed, stays = free(thrice.store, found)
    assert held not in {each.name for each in freed}
    assert len(stays) == 1
    assert "a live run uses it" in stays[0]
    thrice.store.get(held).verify()
    assert thrice.store.record(fingerprint) is not None


def test_what_a_live_run_has_computed_stays(thrice: Any) -> None:
    run_id = find_run(thrice.store, "tiny~2").run_id
    with thrice.store.in_use(run_id):
        names = _names(find_garbage(thrice.store, 1))
    assert not names["objects"] & _artifacts(thrice, run="tiny~2")
    assert run_id not in names["runs"]


def test_a_run_loses_nothing_to_a_collection_between_its_stages(project: Any) -> None:
    def collected(job: Job) -> Iterator[StageResult]:
        for result in without_prefect(job):
            freed, _ = free(job.store, find_garbage(job.store, 0))
            assert not {each.name for each in freed if each.kind == "objects"}
            yield result

    job = Pipeline.load(project.file).job(store=project.store.root)
    summary = run_chain(job, collected)
    for result in summary.stages.values():
        project.store.get(result.artifact).verify()
    assert find_garbage(project.store, 0).of("runs")


def _unfinished(project: Any, fingerprint: str, age: float = 0) -> Path:
    path = project.store.root / "partial" / fingerprint
    path.mkdir(parents=True)
    file = path / "checkpoint-7.pt"
    file.write_bytes(b"state")
    os.utime(file, (time.time() - age, time.time() - age))
    return path


def test_unfinished_training_stays_with_what_it_waits_for(done: Any) -> None:
    path = _unfinished(done, "a" * 64)
    shutil.rmtree(done.store.root / "registry")
    found = _free(done, keep=0)
    assert found.resumable == ("a" * 64,)
    assert path.exists()
    assert done.ran("optimizer.lr=0.7")[0] == "train"


def test_unfinished_training_goes_when_nobody_has_gone_on_with_it(done: Any) -> None:
    path = _unfinished(done, "a" * 64, RESUMABLE_SECONDS + 60)
    assert _names(_free(done))["leftovers"] == {f"partial/{path.name}"}
    assert not path.exists()


def test_unfinished_training_goes_when_its_stage_has_completed(done: Any) -> None:
    path = _unfinished(done, find_run(done.store, "tiny").stages["train"]["fingerprint"])
    assert _names(_free(done))["leftovers"] == {f"partial/{path.name}"}
    assert not path.exists()


def test_what_a_killed_run_had_finished_stays_for_the_next_one(project: Any) -> None:
    project.run(until="prepare")
    shutil.rmtree(project.store.root / "runs")
    _free(project, keep=1)
    assert project.ran() == ["train", "evaluate", "promote"]


def test_what_a_killed_run_left_goes(done: Any) -> None:
    root = done.store.root
    (root / "partial" / ("b" * 64)).mkdir(parents=True)
    (root / "partial" / ("b" * 64) / "half.parquet").write_bytes(b"half")
    (root / "stages" / ("c" * 64 + ".json")).write_text("{")
    (root / "live").mkdir(exist_ok=True)
    (root / "live" / "dead.1234").write_text("")
    (root / "runs" / "dead").mkdir()
    (root / "runs" / "dead" / ".run.json.1234.tmp").write_text("{")
    assert _names(_free(done))["leftovers"] == {
        f"partial/{'b' * 64}",
        f"stages/{'c' * 64}.json",
        "runs/dead/.run.json.1234.tmp",
    }
    assert find_garbage(done.store, 1).garbage == ()


def test_records_of_artifacts_that_are_gone_go(done: Any) -> None:
    [train] = _artifacts(done, "train")
    fingerprint = _fingerprint(done.store, train)
    shutil.rmtree(done.store.root / "objects" / train)
    assert _names(_free(done))["records"] == {fingerprint}
    assert done.ran() == ["train"]


def test_a_damaged_artifact_that_is_needed_stays_to_be_rebuilt(done: Any) -> None:
    [train] = _artifacts(done, "train")
    (done.store.root / "objects" / train / "history.json").unlink()
    assert find_garbage(done.store, 1).garbage == ()


def test_lists_of_code_that_nothing_names_go(done: Any) -> None:
    stray = done.store.root / "code" / ("d" * 64 + ".json")
    stray.write_text("{}")
    before = set((done.store.root / "code").iterdir())
    assert _names(_free(done))["code"] == {"d" * 64}
    assert set((done.store.root / "code").iterdir()) == before - {stray}


def test_the_run_whose_report_a_kept_run_shows_stays(done: Any) -> None:
    report = str(done.run().report)
    done.run()
    path = find_run(done.store, "tiny").folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "report": report}))
    _free(done, keep=1)
    assert Path(report).is_file()


def test_links_are_not_followed_out_of_the_store(thrice: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    run = find_run(thrice.store, "tiny~2")
    (run.folder / "link").symlink_to(outside)
    [train] = _artifacts(thrice, "train", run="tiny~2")
    (thrice.store.root / "objects" / train / "link").symlink_to(outside)
    (thrice.store.root / "objects" / ("e" * 64)).symlink_to(outside)
    (thrice.store.root / "partial" / ("f" * 64)).symlink_to(outside)
    free(thrice.store, find_garbage(thrice.store, 1))
    assert not run.folder.exists()
    assert (outside / "precious").read_text() == "mine"


def test_what_vanishes_meanwhile_is_no_trouble(thrice: Any) -> None:
    found = find_garbage(thrice.store, 1)
    for each in found.garbage:
        if each.path.is_dir():
            shutil.rmtree(each.path)
        else:
            each.path.unlink()
    free(thrice.store, found)
    assert find_garbage(thrice.store, 1).garbage == ()


def test_an_unreadable_champion_stops_it(thrice: Any) -> None:
    (thrice.store.root / "registry" / "tiny" / "champion.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"champion\.json: unreadable"):
        find_garbage(thrice.store, 0)


@pytest.mark.parametrize("made", [(), ("objects", "stages")])
def test_an_empty_store_has_no_garbage(tmp_path: Path, made: Collection[str]) -> None:
    for name in made:
        (tmp_path / name).mkdir()
    assert find_garbage(Store(tmp_path), 5).garbage == ()
