"""The flow as Prefect's UI shows it: names, states, edges, artifacts, and what a form may say."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.embedded_server import EmbeddedServer
from prefect_torch.errors import RunFailed, SpecError
from prefect_torch.prefect_settings import use, without_heartbeats

pytestmark = pytest.mark.slow
STAGES = ["ingest", "prepare", "train", "evaluate", "promote"]
SPEC = """
name: tiny_form
data:
  source: {class: CsvSource, path: rows.csv}
  target: {label: {kind: category}}
  split: {train: 0.6, validation: 0.2, test: 0.2}
model: {class: MLP, hidden: [4]}
train: {epochs: 2, device: cpu}
loader: {batch_size: 16}
metrics: {accuracy: {class: MulticlassAccuracy, average: micro}}
promote: {metric: accuracy, at_least: 0.01}
"""
NETS = """
from torch import nn

class OwnNet(nn.Module):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_features, num_classes)

    def forward(self, x):
        return self.layer(x)
"""


@pytest.fixture(scope="module", autouse=True)
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("home")))
        server = EmbeddedServer()
    with use(server.api_url), server:
        server.wait_until_ready()
        with without_heartbeats():
            yield server.api_url


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment's working directory."""
    draw = random.Random(0)
    rows = [(draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(80)]
    lines = [f"{x:.4f},{y:.4f},{'up' if x + y > 0 else 'down'}" for x, y in rows]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y,label", *lines]) + "\n")
    (tmp_path / "pipeline.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_INTEGRATIONS_TORCH_STORE", str(tmp_path / "store"))
    return tmp_path


class Recorded:
    """What the API knows of the flow run that began last."""

    def __init__(self, api_url: str) -> None:
        self._api_url = api_url
        [self.run] = self._read("flow_runs", sort="START_TIME_DESC", limit=1)

    def _read(self, path: str, **where: Any) -> list[Any]:
        import httpx

        answer = httpx.post(f"{self._api_url}/{path}/filter", json=where)
        answer.raise_for_status()
        found: list[Any] = answer.json()
        return found

    def _of_run(self, path: str) -> list[Any]:
        return self._read(path, flow_runs={"id": {"any_": [self.run["id"]]}})

    def tasks(self) -> dict[str, Any]:
        """Task runs by name, in the order in which they began."""
        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=20)
        found = sorted(self._of_run("task_runs"), key=lambda task: task["start_time"])
        return {task["name"]: task for task in found}

    def states(self) -> dict[str, str]:
        return {name: task["state_name"] for name, task in self.tasks().items()}

    def edges(self) -> dict[str, set[str]]:
        """Which tasks each task's inputs come from."""
        tasks = self.tasks()
        names = {task["id"]: name for name, task in tasks.items()}
        return {
            name: {names[i["id"]] for inputs in task["task_inputs"].values() for i in inputs}
            for name, task in tasks.items()
        }

    def artifacts(self) -> dict[str, Any]:
        return {found["key"]: found for found in self._of_run("artifacts")}


def _retrain(**parameters: Any) -> Any:
    """Run as a deployment does, and return the final state."""
    from prefect_torch.flows.retrain import retrain

    return retrain(**parameters, return_state=True)


@pytest.fixture
def recorded(api: str, project: Path) -> Recorded:
    assert _retrain().is_completed()
    return Recorded(api)


def test_the_run_graph_reads_like_the_pipeline(recorded: Recorded) -> None:
    assert recorded.edges() == {
        "ingest": set(),
        "prepare": {"ingest"},
        "train": {"prepare"},
        "evaluate": {"prepare", "train"},
        "promote": {"ingest", "prepare", "train", "evaluate"},
    }
    assert recorded.states() == dict.fromkeys(STAGES, "Completed")


def test_a_run_from_a_form_is_named_after_its_file(recorded: Recorded) -> None:
    assert recorded.run["name"] == "pipeline"


def test_a_run_of_a_job_is_named_after_its_pipeline(api: str, project: Path) -> None:
    from prefect_torch.pipeline import Pipeline

    Pipeline.load("pipeline.yaml").run(until="ingest")
    assert Recorded(api).run["name"] == "tiny_form"


def test_reused_stages_read_cached(recorded: Recorded, api: str) -> None:
    _retrain(force=["train"])
    assert Recorded(api).states() == {**dict.fromkeys(STAGES, "Cached"), "train": "Completed"}


def test_until_leaves_the_later_tasks_out(api: str, project: Path) -> None:
    _retrain(until="prepare")
    found = Recorded(api)
    assert list(found.states()) == ["ingest", "prepare"]
    assert {key for key in found.artifacts() if not key.startswith("progress-")} == set()


def test_the_figures_are_a_table(recorded: Recorded) -> None:
    rows = json.loads(recorded.artifacts()["tiny-form-metrics"]["data"])
    assert [row["metric"] for row in rows] == ["accuracy", "loss"]
    assert 0 <= rows[0]["test"] <= 1


@pytest.mark.parametrize("plot", ["learning-curves", "confusion-matrix"])
def test_the_plots_are_pictures_inside_markdown(recorded: Recorded, plot: str) -> None:
    import base64

    text = recorded.artifacts()[f"tiny-form-{plot}"]["data"]
    head, _, picture = text.partition("](data:image/svg+xml;base64,")
    assert head == f"# tiny_form: {plot.replace('-', ' ')}\n\n![{plot.replace('-', ' ')}"
    assert b"<svg" in base64.b64decode(picture.rstrip(")\n"))


def test_the_report_is_linked(recorded: Recorded) -> None:
    link = recorded.artifacts()["tiny-form-report"]
    report = Path(link["description"].rpartition(" ")[2])
    assert report.is_file()
    assert report.parent.name == recorded.run["id"]
    assert report.as_uri() in link["data"]


def test_training_shows_its_progress(recorded: Recorded) -> None:
    progress = recorded.artifacts()["progress-train"]
    assert progress["data"] == 100.0
    assert progress["description"].startswith("train: 2 of 2 epochs")


def test_only_small_references_pass_between_tasks(project: Path) -> None:
    summary = _retrain().result()
    assert all(len(result.model_dump_json()) < 1000 for result in summary.stages.values())


def test_a_gate_that_says_no_ends_in_a_state_of_its_own(api: str, project: Path) -> None:
    state = _retrain(overrides=["promote.at_least=1.1"])
    assert (state.type.value, state.name) == ("COMPLETED", "NotPromoted")
    assert state.message.startswith("Not promoted: accuracy ")
    assert state.result().promoted is False
    assert Recorded(api).run["state_name"] == "NotPromoted"


FLAKY = """
from pathlib import Path

from prefect_torch.training.figures import Accuracy


class Flaky(Accuracy):
    def update(self, preds, target):
        if not Path("mended").exists():
            Path("mended").touch()
            raise ConnectionError("the judge is away")
        super().update(preds, target)
"""


def test_a_retry_runs_what_failed_and_reuses_the_rest(api: str, project: Path) -> None:
    from prefect_torch.flows.retrain import retrain

    (project / "flaky.py").write_text(FLAKY)
    spec = SPEC.replace("{class: MulticlassAccuracy, average: micro}", "{class: flaky.Flaky}")
    (project / "pipeline.yaml").write_text(spec)

    state = retrain.with_options(retries=1)(return_state=True)

    found = Recorded(api)
    assert (state.name, found.run["run_count"]) == ("Completed", 2)
    assert found.states() == {
        **dict.fromkeys(["ingest", "prepare", "train"], "Cached"),
        **dict.fromkeys(["evaluate", "promote"], "Completed"),
    }


def test_a_failed_stage_fails_the_run_with_its_reason_and_keeps_the_summary(
    api: str, project: Path
) -> None:
    state = _retrain(overrides=["loader.batch_size=4000"])
    found = Recorded(api)

    assert state.is_failed()
    assert "train failed: loader.batch_size: 4000 is above the 48 rows" in state.message
    assert found.states() == {"ingest": "Completed", "prepare": "Completed", "train": "Failed"}
    summary = json.loads((project / "store/runs" / found.run["id"] / "run.json").read_text())
    assert (summary["failed"], list(summary["stages"])) == ("train", ["ingest", "prepare"])
    with pytest.raises(RunFailed):
        state.result()


def test_a_wrong_override_in_the_form_gives_the_located_message(api: str, project: Path) -> None:
    state = _retrain(overrides=["train.epochs=0"])
    assert state.is_failed()
    assert "SpecError" in state.message
    assert "--set train.epochs=0: " in state.message
    assert Recorded(api).tasks() == {}


def test_a_stage_that_does_not_exist_is_refused_by_the_form(project: Path) -> None:
    state = _retrain(force=["trian"])
    assert state.is_failed()
    assert "'ingest', 'prepare', 'train', 'evaluate' or 'promote'" in state.message


def test_a_missing_pipeline_file_is_named(project: Path) -> None:
    with pytest.raises(SpecError, match=r"pipelin\.yaml: there is no such file"):
        _retrain(pipeline="pipelin.yaml").result()


def _with_own_module(folder: Path, module: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(NETS)
    own = SPEC.replace("MLP, hidden: [4]", f"{module}.OwnNet")
    path = folder / "own.yaml"
    path.write_text(own.replace("path: rows.csv", f"path: {folder.parent}/rows.csv"))
    return path


def test_a_pipeline_below_the_working_directory_may_import_its_project(project: Path) -> None:
    path = _with_own_module(project / "inside", "nets_inside")
    assert _retrain(pipeline=str(path), until="train").is_completed()


def test_a_pipeline_outside_the_working_directory_may_not(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _with_own_module(project / "outside", "nets_outside")
    (project / "deployed").mkdir()
    monkeypatch.chdir(project / "deployed")
    with pytest.raises(SpecError, match=r"own\.yaml:7:\d+: model.*nets_outside"):
        _retrain(pipeline=str(path)).result()


def test_a_form_may_not_name_the_projects_modules_in_an_override(project: Path) -> None:
    _with_own_module(project, "nets_typed")
    state = _retrain(overrides=["model={class: nets_typed.OwnNet}"])
    assert state.is_failed()
    assert "nets_typed" in state.message
