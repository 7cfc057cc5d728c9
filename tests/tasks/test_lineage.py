"""From any artifact back to the source, the spec, the code and the versions."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.errors import PrefectTorchError
from prefect_torch.lineage_views import mermaid
from prefect_torch.registry import champion_of
from prefect_torch.store import StageRecord, Store
from prefect_torch.tasks.lineage import find_artifact, lineage, lineage_json
from prefect_torch.tasks.runs import find_run


def _artifact(project: Any, stage: str) -> str:
    return str(find_run(project.store, "tiny").stages[stage]["artifact"])


def test_a_prediction_leads_back_to_the_source(done: Any) -> None:
    steps = lineage(done.store, _artifact(done, "evaluate"))
    assert [step.stage for step in steps.values()] == ["evaluate", "train", "prepare", "ingest"]
    ingest = list(steps.values())[-1]
    assert ingest.record is not None
    assert "rows.csv" in json.dumps(ingest.record.document["source"])
    assert list(next(iter(steps.values())).upstream) == ["train", "prepare"]
    assert all(step.bytes and step.code for step in steps.values())


def test_a_lineage_as_json_has_spec_code_versions_and_source(done: Any) -> None:
    found = lineage_json(lineage(done.store, _artifact(done, "train")))
    train, _prepare, ingest = json.loads(json.dumps(found))["steps"]
    assert found["artifact"] == train["artifact"] == _artifact(done, "train")
    assert train["spec"]["optimizer"] == {"class": "SGD", "lr": 0.1}
    assert train["versions"]["torch"]
    assert train["code"]["units"]
    assert train["upstream"] == {"prepare": _artifact(done, "prepare")}
    assert ingest["source"]


def test_a_deleted_artifact_is_still_traced(done: Any) -> None:
    digest = _artifact(done, "train")
    shutil.rmtree(done.store.root / "objects" / digest)
    step = lineage(done.store, find_artifact(done.store, digest[:12]))[digest]
    assert (step.stage, step.bytes) == ("train", None)


def test_an_artifact_without_a_record_is_all_there_is_to_tell(done: Any) -> None:
    shutil.rmtree(done.store.root / "stages")
    digest = _artifact(done, "train")
    [step] = lineage(done.store, digest).values()
    assert (step.stage, step.record) == ("train", None)
    assert "nothing in the store says how" in mermaid({digest: step})


def test_of_two_ways_to_the_same_bytes_one_is_told_and_the_other_counted(done: Any) -> None:
    done.data.write_text(done.data.read_text() + "\n")  # ingest gives the same from other bytes
    done.run()
    digest = _artifact(done, "ingest")
    [step] = lineage(done.store, digest).values()
    assert step.record is not None
    assert step.others == 1


def test_a_later_way_whose_inputs_are_gone_is_not_told(done: Any) -> None:
    digest = _artifact(done, "prepare")
    gone = {"upstream": {"ingest": "0" * 64}}
    done.store.write_record(StageRecord("prepare", "1" * 64, digest, gone, {"finished": "9999"}))
    step = lineage(done.store, digest)[digest]
    assert (dict(step.upstream), step.others) == ({"ingest": _artifact(done, "ingest")}, 1)


def test_an_artifact_is_found_by_pipeline_stage_digits_and_path(done: Any) -> None:
    champion = champion_of(done.store, "tiny")
    assert champion is not None
    evaluation = _artifact(done, "evaluate")
    predictions = done.store.root / "objects" / evaluation / "predictions.parquet"
    for text, digest in [
        ("tiny", champion.train),
        ("tiny:evaluate", evaluation),
        (str(done.file), champion.train),
        (evaluation[:6], evaluation),
        (str(predictions), evaluation),
        (str(predictions.parent), evaluation),
    ]:
        assert find_artifact(done.store, text) == digest


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tiny:trian", r'its last run gave nothing at "trian"; did you mean "train"\?'),
        ("tinny", r'no artifact "tinny"; expected a pipeline \(did you mean "tiny"\?\)'),
        ("000000", r"the beginning of a digest: [0-9a-f]{12} \(\w+\)"),
        ("/elsewhere/model.safetensors", "no artifact: expected a path below"),
    ],
)
def test_what_names_no_artifact_is_told_with_candidates(done: Any, text: str, told: str) -> None:
    with pytest.raises(PrefectTorchError, match=told):
        find_artifact(done.store, text)


def test_too_few_digits_are_refused_with_what_they_begin(done: Any) -> None:
    digest = _artifact(done, "train")
    with pytest.raises(PrefectTorchError, match=rf"at least 6 digits .* {digest[:12]} \(train\)"):
        find_artifact(done.store, digest[:3])


def test_digits_that_begin_several_digests_are_told_with_all_of_them(done: Any) -> None:
    digest = _artifact(done, "train")
    twin = digest[:10] + ("0" if digest[10] != "0" else "1") + digest[11:]
    shutil.copytree(done.store.root / "objects" / digest, done.store.root / "objects" / twin)
    with pytest.raises(PrefectTorchError, match="several artifacts begin with") as told:
        find_artifact(done.store, digest[:8])
    assert digest[:12] in str(told.value)
    assert twin[:12] in str(told.value)


def test_a_pipeline_without_a_champion_says_what_to_ask_for(done: Any) -> None:
    shutil.rmtree(done.store.root / "registry")
    with pytest.raises(PrefectTorchError, match=r"no champion yet; .* say tiny:train"):
        find_artifact(done.store, "tiny")


def test_an_empty_store_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(PrefectTorchError, match="no artifacts yet; start with: prefect-torch run"):
        find_artifact(Store(tmp_path), "tiny")


def test_mermaid_has_a_node_a_step_and_no_bare_quotes(done: Any) -> None:
    steps = lineage(done.store, _artifact(done, "evaluate"))
    lines = mermaid(steps).splitlines()
    assert lines[0] == "flowchart TD"
    for digest, step in steps.items():
        [node] = [line for line in lines if line.startswith(f"    a{digest[:12]}[")]
        assert node.count('"') == 2
        assert step.stage in node
    assert sum(" --> " in line for line in lines) == 5
