"""The gate, the champion it guards, and what happens when the data is new every night."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.errors import RunFailed
from prefect_torch.registry import champion_of
from prefect_torch.tasks.promote import check_bounds, compare
from prefect_torch.training.spec import PromoteSpec

GUARDED = "promote.not_worse_than_champion=true"
NOTHING_LEARNED = "optimizer.lr=0.00000001"


def _champion(project: Any) -> Any:
    return champion_of(project.store, "tiny")


def _moves(project: Any) -> list[Any]:
    path = project.store.root / "registry" / "tiny" / "history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("bounds", "value", "refused", "told"),
    [
        ({"at_least": 0.9}, 0.9, False, "a 0.9 is at least 0.9"),
        ({"at_least": 0.9}, 0.8, True, "a 0.8 is below 0.9"),
        ({"at_most": 0.1}, 0.1, False, "a 0.1 is at most 0.1"),
        ({"at_most": 0.1}, 0.2, True, "a 0.2 is above 0.1"),
        ({"at_least": 0.9}, float("nan"), True, "a nan is below 0.9"),
    ],
)
def test_a_bound_is_allowed_and_beyond_it_is_refused(
    bounds: dict[str, float], value: float, refused: bool, told: str
) -> None:
    assert check_bounds(PromoteSpec(metric="a", **bounds), value) == (refused, [told])


@pytest.mark.parametrize(
    ("value", "champion", "higher", "worse"),
    [
        (0.9, 0.8, True, False),
        (0.7, 0.8, True, True),
        (0.8, 0.8, True, False),
        (0.7, 0.8, False, False),
        (0.9, 0.8, False, True),
        (float("nan"), 0.8, True, True),
        (0.1, float("nan"), True, False),
    ],
)
def test_better_and_equal_pass_and_worse_does_not(
    value: float, champion: float, higher: bool, worse: bool
) -> None:
    assert compare("a", value, {"a": champion}, higher)[0] is worse


def test_a_model_below_the_bound_is_not_promoted_and_the_run_succeeds(project: Any) -> None:
    run = project.run("promote.at_least=1.0")
    assert run.promoted is False
    assert _champion(project) is None


def test_without_a_gate_every_model_becomes_the_champion(project: Any) -> None:
    text = project.file.read_text()
    project.file.write_text("\n".join(x for x in text.splitlines() if "promote" not in x))
    run = project.run()
    assert run.promoted is True
    assert _champion(project).train == run.stages["train"].artifact


def test_a_worse_model_leaves_the_champion_where_it_is(done: Any) -> None:
    good = done.run("train.epochs=20", GUARDED)
    bad = done.run(NOTHING_LEARNED, GUARDED)
    assert good.metrics["accuracy"] > bad.metrics["accuracy"]
    assert bad.promoted is False
    assert _champion(done).train == good.stages["train"].artifact


def test_an_equal_model_is_promoted(done: Any) -> None:
    """Two epochs or a different declaration of the same: the figures are what counts."""
    first = done.run("train.epochs=20", GUARDED)
    second = done.run("train.epochs=20", "optimizer.lr=0.1000001", GUARDED)
    assert second.metrics["accuracy"] == first.metrics["accuracy"]
    assert second.promoted is True
    assert _champion(done).train == second.stages["train"].artifact


def test_a_promoted_model_is_reused_though_the_champion_is_itself_now(done: Any) -> None:
    done.run("train.epochs=20", GUARDED)
    assert done.ran("train.epochs=20", GUARDED) == []


def test_back_to_an_old_value_moves_the_pointer_back_without_a_guard(done: Any) -> None:
    first = _champion(done)
    done.run("optimizer.lr=0.2")
    assert _champion(done) != first
    assert done.ran() == []
    assert _champion(done) == first
    assert [move["train"] for move in _moves(done)][::2] == [first.train, first.train]


def test_back_to_a_worse_value_is_refused_with_a_guard(done: Any) -> None:
    bad = done.run(NOTHING_LEARNED, GUARDED, force=[])
    good = done.run("train.epochs=20", GUARDED)
    assert good.promoted is True
    again = done.run(NOTHING_LEARNED, GUARDED)
    assert (bad.metrics, again.promoted) == (again.metrics, False)
    assert _champion(done).train == good.stages["train"].artifact


def test_the_history_has_a_line_for_each_move_and_no_more(done: Any) -> None:
    done.run()
    done.run(force=["promote"])
    assert len(_moves(done)) == 1
    done.run("optimizer.lr=0.2")
    assert len(_moves(done)) == 2
    assert {"run_id", "time", "train", "prepare", "evaluate", "metrics"} == set(_moves(done)[1])


def test_with_new_data_the_champion_is_measured_on_todays_test_rows(done: Any) -> None:
    done.run("train.epochs=20", GUARDED)
    done.bring_rows(seed=7, count=260, shift=0.5)
    run = done.run(NOTHING_LEARNED, GUARDED)
    decision = json.loads((Path(run.stages["promote"].path) / "decision.json").read_text())
    assert run.promoted is False
    assert "on the same test rows" in decision["reasons"][0]
    assert decision["champion"]["accuracy"] > 0.8


def test_on_its_own_data_a_champion_measured_again_has_the_figures_it_had(done: Any) -> None:
    """The way through ingest and the checkpoint's fitted state gives prepare's own bytes."""
    champion = _champion(done)
    run = done.run("optimizer.lr=0.2", GUARDED)
    decision = json.loads((Path(run.stages["promote"].path) / "decision.json").read_text())
    assert decision["champion"] == champion.metrics


def test_a_regression_champion_is_measured_in_todays_unit(project: Any) -> None:
    project.declare("{grown: {kind: category}}", "{height: {kind: number}}")
    project.declare(", stratify: grown", "")
    project.declare("MulticlassAccuracy", "MeanAbsoluteError")
    project.declare("metric: accuracy", "metric: loss")
    champion = project.run("train.epochs=20").metrics
    same = project.run(NOTHING_LEARNED, GUARDED)
    told = json.loads((Path(same.stages["promote"].path) / "decision.json").read_text())
    assert told["champion"] == pytest.approx(champion, rel=1e-6)
    text = project.data.read_text().splitlines()
    scaled = [x.split(",") for x in text[1:]]
    lines = [f"{w},{float(h) * 1000 + 9000},{c},{g}" for w, h, c, g in scaled]
    project.data.write_text("\n".join([text[0], *lines]))
    moved = project.run(NOTHING_LEARNED, GUARDED)
    told = json.loads((Path(moved.stages["promote"].path) / "decision.json").read_text())
    assert told["champion"]["accuracy"] == pytest.approx(9000, abs=1500)


def test_a_champion_that_knows_other_classes_keeps_its_place_until_told(done: Any) -> None:
    done.data.write_text(done.data.read_text().replace("no\n", "never\n"))
    run = done.run(GUARDED)
    assert run.promoted is False
    decision = json.loads((Path(run.stages["promote"].path) / "decision.json").read_text())
    assert decision["reasons"] == [
        "the champion cannot be compared: it learned other classes: ['no', 'yes'], today "
        "['never', 'yes']; to promote all the same, say promote.not_worse_than_champion: false"
    ]
    assert done.run("promote.not_worse_than_champion=false").promoted is True


def test_a_column_the_champion_needs_and_the_data_lacks_is_told(done: Any) -> None:
    done.data.write_text(done.data.read_text().replace("colour", "paint"))
    run = done.run(GUARDED)
    decision = json.loads((Path(run.stages["promote"].path) / "decision.json").read_text())
    assert "the data has no column 'colour' any more" in decision["reasons"][0]


def test_a_champion_whose_checkpoint_is_gone_keeps_its_place(done: Any) -> None:
    shutil.rmtree(done.store.root / "objects" / _champion(done).train)
    run = done.run("optimizer.lr=0.2", GUARDED)
    assert run.promoted is False
    decision = json.loads((Path(run.stages["promote"].path) / "decision.json").read_text())
    assert "the champion cannot be compared" in decision["reasons"][0]
    assert "no complete artifact" in decision["reasons"][0]


def test_an_unreadable_champion_pointer_stops_promote_and_says_the_way_out(done: Any) -> None:
    pointer = done.store.root / "registry" / "tiny" / "champion.json"
    pointer.write_text("{")
    with pytest.raises(RunFailed, match=r"champion\.json: unreadable .* history\.jsonl"):
        done.run("optimizer.lr=0.2", GUARDED)
    pointer.unlink()
    assert done.run("optimizer.lr=0.2", GUARDED).promoted is True


def test_the_champion_is_judged_by_the_metric_as_it_is_declared_now(done: Any) -> None:
    f1 = "metrics.accuracy={class: MulticlassF1Score, average: macro}"
    run = done.run(f1, "optimizer.lr=0.2", GUARDED)
    decision = json.loads((Path(run.stages["promote"].path) / "decision.json").read_text())
    assert decision["champion"]["accuracy"] != _moves(done)[0]["metrics"]["accuracy"]


PICTURES = """
name: pictures
data:
  source: {class: ParquetSource, path: pictures.parquet}
  features:
    image: {kind: image, shape: [1, 8, 8], scale: 0.1}
    words: {kind: text, max_length: 4}
    size: {kind: number}
    colour: {kind: category}
  target: {label: {kind: category}}
  split: {train: 0.6, validation: 0.2, test: 0.2, stratify: label}
transforms: {prepare: [{class: torchvision.transforms.v2.CenterCrop, size: 6}]}
model: {class: prefect_torch_every_kind.Net}
optimizer: {class: SGD, lr: 0.1}
train: {epochs: 1, device: cpu}
loader: {batch_size: 16}
promote: {metric: loss}
"""

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, vocabulary_size, cardinalities):
        super().__init__()
        self.words = nn.Embedding(vocabulary_size, 4)
        self.colours = nn.Embedding(cardinalities[0], 4)
        self.last = nn.Linear(36 + 4 + 4 + 1, num_classes)

    def forward(self, image, words, numbers, categories):
        parts = [image.flatten(1), self.words(words).mean(1), self.colours(categories[:, 0])]
        return self.last(torch.cat([*parts, numbers], 1))
"""


def test_every_kind_of_feature_is_encoded_again_as_prepare_did(tmp_path: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from prefect_torch.pipeline import Pipeline

    draw = np.random.default_rng(0)
    table = {
        "image": list(draw.random((60, 64), np.float32)),
        "words": [f"a b{i % 7} c" for i in range(60)],
        "size": draw.normal(size=60),
        "colour": ["red", "blue", "green"] * 20,
        "label": [0, 1] * 30,
    }
    pq.write_table(pa.table(table), tmp_path / "pictures.parquet")
    (tmp_path / "prefect_torch_every_kind.py").write_text(NET)
    (tmp_path / "pictures.yaml").write_text(PICTURES)
    pipeline = Pipeline.load(tmp_path / "pictures.yaml")
    first = pipeline.run(local=True, store=tmp_path / "store")
    second = pipeline.run(
        local=True, store=tmp_path / "store", overrides=["optimizer.lr=0.2", GUARDED]
    )
    decision = json.loads((Path(second.stages["promote"].path) / "decision.json").read_text())
    assert decision["champion"] == pytest.approx(dict(first.metrics), rel=1e-6)
