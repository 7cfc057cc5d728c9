import dataclasses
import json
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from PIL import Image

from prefect_torch.errors import ArtifactError
from prefect_torch.plots import confusion_matrix
from prefect_torch.report import (
    ReportData,
    ReportGate,
    ReportMetric,
    ReportStage,
    render_report,
    write_report,
)
from prefect_torch.store import Store

VOID = {"meta", "img", "br", "hr", "link", "input"}
EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Collects texts, tags and attributes, and checks that every tag is closed in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.texts, self.tags = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def evaluate(tmp_path):
    """Commit an evaluate artifact with these changes to its details."""

    def commit(**changes):
        details = {
            "kind": "classification",
            "labels": ["cat", EVIL],
            "confusion": [[8, 3], [0, 9]],
            "per_class": [
                {"label": "cat", "precision": 1.0, "recall": 8 / 11, "f1": 16 / 19, "support": 11},
                {"label": EVIL, "precision": 0.75, "recall": 1.0, "f1": 6 / 7, "support": 9},
            ],
            "mistakes": [
                {
                    "row": 1234,
                    "target": "cat",
                    "prediction": EVIL,
                    "confidence": 0.9996,
                    "image": "mistakes/000.png",
                    "values": None,
                }
            ],
            "plots": ["plots/confusion_matrix.svg"],
            "model": {"class": "my.Net", "parameters": 12345, "text": "Net(<b>)"},
        } | changes
        store = Store(tmp_path / "store")
        with store.staging("evaluate") as folder:
            (folder / "plots").mkdir()
            (folder / "mistakes").mkdir()
            plot = confusion_matrix([[8, 3], [0, 9]], ["cat", EVIL])
            (folder / "plots/confusion_matrix.svg").write_text(plot, encoding="utf-8")
            Image.new("L", (8, 8), 128).save(folder / "mistakes/000.png")
            (folder / "details.json").write_text(json.dumps(details), encoding="utf-8")
            return store.commit(folder, "evaluate")

    return commit


def run_of(evaluation=None, **changes):
    run = ReportData(
        pipeline="pets",
        run_id="run-7",
        started="2025-03-04T03:00:12.345+00:00",
        seconds=754,
        spec=f"name: pets\n# {EVIL}\n",
        environment={"device": "cpu", "torch": "2.11.0"},
        stages=[
            ReportStage("ingest", "reused", ["nothing changed"], 0.01, "a" * 64, "b" * 64),
            ReportStage("train", "ran", ["optimizer.lr 0.1 → 0.2"], 65, "c" * 64, "d" * 64),
        ],
        metrics=[ReportMetric("accuracy", 0.95, 0.90, True)],
        gate=ReportGate(True, ["accuracy 0.95 is at least 0.9"]),
        rows={"train": 2000, "test": 20},
        columns={"label": {"type": "string", "nulls": 0, "distinct": 2}},
        evaluation=evaluation,
    )
    return dataclasses.replace(run, **changes)


def page_of(*args, **changes):
    return Page(render_report(run_of(*args, **changes)))


def test_the_headline_says_promoted_and_why():
    assert "pets Promoted accuracy 0.95 is at least 0.9" in page_of().text


def test_the_headline_says_not_promoted_and_why():
    page = page_of(gate=ReportGate(False, ["accuracy 0.95 is below at_least 0.97"]))
    assert "pets Not promoted accuracy 0.95 is below at_least 0.97" in page.text


def test_the_headline_names_the_stage_that_failed():
    stages = [ReportStage("train", "failed", ["loss is NaN"]), ReportStage("evaluate", "skipped")]
    page = page_of(stages=stages, metrics=(), gate=None)
    assert "pets Failed in train loss is NaN" in page.text


def test_a_run_that_did_not_reach_promote_says_so():
    assert "Not judged This run did not reach promote." in page_of(gate=None).text


@pytest.mark.parametrize(
    ("metric", "comparison"),
    [
        (ReportMetric("accuracy", 0.95, 0.90, True), "▲ 0.05 better than champion 0.9"),
        (ReportMetric("accuracy", 0.85, 0.90, True), "▼ 0.05 worse than champion 0.9"),
        (ReportMetric("loss", 0.25, 0.5, False), "▼ 0.25 better than champion 0.5"),
        (ReportMetric("loss", 0.75, 0.5, False), "▲ 0.25 worse than champion 0.5"),
        (ReportMetric("bias", 0.75, 0.5), "▲ 0.25 from champion 0.5"),
        (ReportMetric("loss", 0.5, 0.5, False), "as the champion 0.5"),
        (ReportMetric("loss", 0.5), "no champion to compare with"),
    ],
)
def test_a_metric_is_compared_with_the_champions(metric, comparison):
    assert comparison in page_of(metrics=[metric]).text


def test_each_stage_shows_its_outcome_time_reason_and_digests():
    text = page_of().text
    assert "ingest reused 0.01 s nothing changed" in text
    assert "train ran 1 min 5 s optimizer.lr 0.1 → 0.2" in text
    assert f"train {'d' * 16} {'c' * 16}" in text


def test_start_and_duration_are_shown_for_reading():
    assert "started 2025-03-04 03:00:12 UTC took 12 min 34 s run run-7" in page_of().text


def test_a_confident_mistake_is_shown_with_its_picture_and_never_as_certain(evaluate):
    page = page_of(evaluate())
    assert f"was cat , said {EVIL} (99.9 %) row 1,234" in page.text
    assert [i["alt"] for i in page.all("img") if i["src"].startswith("data:image/png")] == [
        "Row 1234"
    ]


def test_the_pairs_mistaken_most_often_are_named(evaluate):
    text = page_of(evaluate()).text
    assert f"Most often: cat taken for {EVIL} (3\N{MULTIPLICATION SIGN})." in text


def test_a_plot_is_described_for_those_who_do_not_see_it(evaluate):
    plots = [i for i in page_of(evaluate()).all("img") if i["src"].startswith("data:image/svg")]
    assert plots[0]["alt"] == "Confusion matrix: 17 of 20 samples on the diagonal of 2 classes"


def test_what_looks_like_markup_is_shown_as_text_everywhere(evaluate):
    page = page_of(
        evaluate(),
        pipeline=EVIL,
        run_id=EVIL,
        started=EVIL,
        environment={EVIL: EVIL},
        stages=[ReportStage(EVIL, "ran", [EVIL], 1.0, EVIL, EVIL)],
        metrics=[ReportMetric(EVIL, 1.0)],
        gate=ReportGate(True, [EVIL]),
        rows={EVIL: 1},
        columns={EVIL: {"type": EVIL, "min": EVIL}},
    )
    assert not page.all("script")
    assert "Net(<b>)" in page.text
    assert page.text.count(EVIL) >= 12


def test_nothing_is_loaded_from_outside_and_a_policy_forbids_it(evaluate):
    page = page_of(evaluate())
    sources = [attrs[name] for _, attrs in page.tags for name in ("src", "href") if name in attrs]
    assert sources
    assert all(source.startswith("data:") for source in sources)
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_a_regression_has_no_section_of_classes_and_shows_how_far_off_it_was(evaluate):
    mistake = {
        "row": 3,
        "target": "10.5",
        "prediction": "-2.0000000001",
        "confidence": None,
        "image": None,
        "values": {"age": 61, "name": EVIL},
    }
    artifact = evaluate(
        kind="regression", labels=[], confusion=[], per_class=[], plots=[], mistakes=[mistake]
    )
    page = page_of(artifact)
    assert "Largest errors was 10.5 , said -2 (off by 12.5)" in page.text
    assert "age 61" in page.text
    for absent in ("Confusion", "Per class", "confidently"):
        assert absent not in page.text


def test_a_run_without_evaluation_has_no_section_about_the_model():
    text = page_of(metrics=(), rows={}, columns={}, environment={}).text
    for absent in ("Model", "confidently", "Per class", "Data", "Environment"):
        assert absent not in text


@pytest.mark.parametrize("name", ["mistakes/404.png", "../../../secret.png"])
def test_a_picture_that_is_not_in_the_artifact_is_refused(evaluate, name):
    artifact = evaluate(plots=[], mistakes=[{"row": 1, "image": name}])
    with pytest.raises(ArtifactError, match="no file"):
        render_report(run_of(artifact))


def test_a_picture_of_an_unknown_type_is_refused(evaluate):
    artifact = evaluate(mistakes=[{"row": 1, "image": "details.json"}])
    with pytest.raises(ArtifactError, match=r"expected one of \.svg, \.png"):
        render_report(run_of(artifact))


def test_the_file_is_written_whole_and_replaces_the_one_before(tmp_path, evaluate):
    path = tmp_path / "runs" / "report.html"
    write_report(path, run_of())
    write_report(path, run_of(evaluate()))
    assert path.read_text(encoding="utf-8") == render_report(run_of(evaluate()))
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_rendering_imports_no_heavy_library():
    command = "import sys, prefect_torch.report; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    heavy = {"matplotlib", "numpy", "torch", "pandas", "pyarrow", "prefect", "sklearn"}
    assert heavy.isdisjoint(done.stdout.split())
