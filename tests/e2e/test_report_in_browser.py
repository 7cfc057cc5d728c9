"""The report as a person sees it: opened in Chromium, looked at, and caught loading nothing."""

import json
import os
import re
import shutil
import subprocess

import pytest
from PIL import Image

from prefect_torch.plots import confusion_matrix, learning_curves
from prefect_torch.report import ReportData, ReportGate, ReportMetric, ReportStage, write_report
from prefect_torch.store import Store

pytestmark = pytest.mark.slow

QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=2000",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
DARK = "--blink-settings=preferredColorScheme=0"
EVIL = "<script>document.title='broken into'</script>"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """Run Chromium with a fresh profile and return what it prints."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    binary = next((path for name in names if name and (path := shutil.which(name))), None)
    if binary is None:
        pytest.fail("no Chromium found; install it, or name its binary in the variable CHROMIUM")

    def browse(path, *flags):
        profile = tmp_path_factory.mktemp("profile")
        command = [binary, *QUIET, f"--user-data-dir={profile}", *flags, path.as_uri()]
        done = subprocess.run(command, capture_output=True, timeout=120, check=True)
        return done.stdout.decode()

    return browse


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a classifier trained on scikit-learn's digits; one class has an evil name."""
    folder = tmp_path_factory.mktemp("report")
    write_report(folder / "report.html", _run(_evaluation(Store(folder / "store"))))
    return folder / "report.html"


def _evaluation(store):
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import confusion_matrix as count

    digits = load_digits()
    model = LogisticRegression(max_iter=20, tol=0.1).fit(digits.data[:500], digits.target[:500])
    shares = model.predict_proba(digits.data[1000:])
    target, prediction = digits.target[1000:], shares.argmax(axis=1)
    labels = [EVIL, *map(str, range(1, 10))]
    counts = count(target, prediction).tolist()
    wrong = [row for row in shares.max(axis=1).argsort()[::-1] if target[row] != prediction[row]]
    history = {"epoch": [1, 2, 3], "train_loss": [2.0, 0.9, 0.5], "accuracy": [0.5, 0.8, 0.9]}
    with store.staging("evaluate") as folder:
        (folder / "mistakes").mkdir()
        (folder / "plots").mkdir()
        plots = {
            "plots/learning_curves.svg": learning_curves(history, 3),
            "plots/confusion_matrix.svg": confusion_matrix(counts, labels),
        }
        for name, svg in plots.items():
            (folder / name).write_text(svg, encoding="utf-8")
        mistakes = []
        for place, row in enumerate(wrong[:6]):
            image = f"mistakes/{place:03}.png"
            pixels = (digits.images[1000 + row] * 15.9).astype("uint8")
            Image.fromarray(pixels).save(folder / image)
            said = {"target": labels[target[row]], "prediction": labels[prediction[row]]}
            share = float(shares[row].max())
            facts = {"row": int(row), "confidence": share, "image": image, "values": None}
            mistakes.append(said | facts)
        details = {
            "kind": "classification",
            "labels": labels,
            "confusion": counts,
            "per_class": [{"label": EVIL, "precision": 1, "recall": 1, "f1": 1, "support": 9}],
            "mistakes": mistakes,
            "plots": list(plots),
            "model": {"class": "LogisticRegression", "parameters": 650, "text": str(model)},
        }
        (folder / "details.json").write_text(json.dumps(details), encoding="utf-8")
        return store.commit(folder, "evaluate")


def _run(evaluation):
    return ReportData(
        pipeline="digits",
        run_id="run-1",
        started="2025-03-04T03:00:12+00:00",
        seconds=12.5,
        spec="name: digits\n",
        environment={"device": "cpu"},
        stages=[ReportStage("train", "ran", ["optimizer.lr 0.1 → 0.2"], 9.5, "a" * 64, "b" * 64)],
        metrics=[ReportMetric("accuracy", 0.93, 0.92, True)],
        gate=ReportGate(True, ["accuracy 0.93 is at least 0.9"]),
        rows={"train": 500, "test": 797},
        columns={"sepal_length": {"type": "double", "min": 1234.5, "mean": 2345.6, "max": 3456.7}},
        evaluation=evaluation,
    )


def _colors(picture):
    """Return how many pixels of a picture have each colour, and the most frequent colour."""
    counts = Image.open(picture).convert("RGB").getcolors(maxcolors=1 << 24)
    return len(counts), max(counts)[1]


def test_a_person_reads_the_verdict_the_metrics_and_the_mistakes(chromium, report):
    dom = chromium(report, "--dump-dom")
    for text in ("Promoted", "0.93", "better than champion", "Confusion matrix", "said <b>"):
        assert text in dom
    assert "<title>digits: Promoted</title>" in dom


def test_a_class_with_a_script_for_a_name_stays_a_name(chromium, report):
    dom = chromium(report, "--dump-dom")
    assert "&lt;script&gt;document.title" in dom
    assert "<script" not in dom


@pytest.mark.parametrize(("flags", "light"), [((), True), ((DARK,), False)])
def test_the_page_is_drawn_in_the_readers_colours(chromium, report, tmp_path, flags, light):
    picture = tmp_path / "page.png"
    chromium(report, f"--screenshot={picture}", "--window-size=1200,2400", *flags)
    different, background = _colors(picture)
    assert different > 200
    assert (min(background) > 200) if light else (max(background) < 60)


def test_the_plots_are_drawn_inside_the_page(chromium, report, tmp_path):
    """Blue of the diagonal is nowhere else on the page, so it proves that the SVG was drawn."""
    picture = tmp_path / "page.png"
    chromium(report, f"--screenshot={picture}", "--window-size=1200,2400")
    image = Image.open(picture).convert("RGB")
    blue = sum(n for n, color in image.getcolors(maxcolors=1 << 24) if color == (0, 114, 178))
    assert blue > 500


def test_a_narrow_screen_does_not_scroll_sideways(chromium, report, tmp_path):
    """The wrapper measures the page in a frame as wide as a telephone."""
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    probe = (
        "<script>document.title = document.documentElement.scrollWidth"
        " <= document.documentElement.clientWidth ? 'fits' : 'too wide';"
        "parent.postMessage(document.title, '*')</script></body>"
    )
    page = policy.sub("", report.read_text(encoding="utf-8")).replace("</body>", probe)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(
        "<p id=answer>none</p><script>onmessage = e => answer.textContent = e.data</script>"
        "<iframe src=page.html width=380 height=900></iframe>"
    )
    assert "fits</p>" in chromium(wrapper, "--dump-dom")


def test_nothing_is_named_that_lies_outside_the_file(report):
    page = report.read_text(encoding="utf-8")
    named = re.findall(
        r"""(?:\s(?:src|href|srcset|poster|action)\s*=\s*|url\()["']?([^"')\s]+)""", page
    )
    assert named
    assert [name for name in named if not name.startswith(("data:", "#"))] == []
    assert "@import" not in page


@pytest.fixture
def requested(chromium, tmp_path):
    """Open a page and return the addresses that it, not the browser itself, asked for."""

    def requested_by(page):
        log = tmp_path / "net.json"
        chromium(page, f"--log-net-log={log}", "--dump-dom")
        events = json.loads(log.read_text(encoding="utf-8"))["events"]
        facts = [event["params"] for event in events if "initiator" in event.get("params", {})]
        # Requests that Chromium makes for its own sake have no origin.
        return [fact["url"] for fact in facts if fact["initiator"] != "not an origin"]

    return requested_by


def test_the_browser_asks_the_network_for_nothing(requested, report):
    assert [url for url in requested(report) if url.startswith("http")] == []


def test_a_page_that_does_ask_is_caught(requested, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<img src=http://outside.invalid/x.png>")
    assert requested(page) == ["http://outside.invalid/x.png"]


def test_the_policy_stops_what_would_be_loaded_from_outside(requested, report, tmp_path):
    page = tmp_path / "page.html"
    image = "<img src=http://outside.invalid/x.png></body>"
    page.write_text(report.read_text(encoding="utf-8").replace("</body>", image))
    assert [url for url in requested(page) if url.startswith("http")] == []
