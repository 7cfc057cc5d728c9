"""Which server a run uses, if any, and what of it is left afterwards."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.embedded_server import EmbeddedServer
from prefect_torch.launch import Launcher
from prefect_torch.pipeline import Pipeline
from prefect_torch.prefect_settings import use

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server as a person has configured it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("server")))
        server = EmbeddedServer()
    with use(server.api_url), server:
        yield server.wait_until_ready()


def _read(path: str, api_url: str) -> list[Any]:
    import httpx

    answer = httpx.post(f"{api_url}/{path}/filter", json={})
    answer.raise_for_status()
    found: list[Any] = answer.json()
    return found


def _no_server_was_started(folder: Path) -> bool:
    return not (folder / "home" / "prefect-torch" / "embedded-server.log").exists()


def test_the_configured_server_gets_the_run(tiny: Path, api: str) -> None:
    said: list[str] = []
    job = Pipeline.load("tiny.yaml").job()
    with ExitStack() as stack:
        summary = Launcher(stack, "tiny.yaml", [], None).run(job, said.append)

    assert summary.run_id in [run["id"] for run in _read("flow_runs", api)]
    assert [text.rpartition("/")[2] for text in said] == [summary.run_id]
    assert said[0].startswith("flow run: http")
    assert _no_server_was_started(tiny.parent)


def test_with_a_configured_server_a_fully_reused_run_is_recorded_too(tiny: Path, api: str) -> None:
    Pipeline.load("tiny.yaml").run(local=True)
    run = Pipeline.load("tiny.yaml").run()

    assert {stage.outcome for stage in run.stages.values()} == {"reused"}
    assert run.run_id in [found["id"] for found in _read("flow_runs", api)]


def test_the_flow_run_shows_all_overrides_also_those_of_load(tiny: Path, api: str) -> None:
    pipeline = Pipeline.load("tiny.yaml", ["train.epochs=1"])
    run = pipeline.run(overrides=["seed=5"], until="ingest")

    [found] = [found for found in _read("flow_runs", api) if found["id"] == run.run_id]
    assert found["parameters"]["overrides"] == ["train.epochs=1", "seed=5"]
    assert found["parameters"]["until"] == "ingest"
    assert found["parameters"]["pipeline"] == "tiny.yaml"


def test_inside_a_flow_of_ones_own_it_becomes_a_subflow_of_the_same_server(
    tiny: Path, api: str
) -> None:
    from prefect import flow, runtime

    @flow(name="mine")
    def mine() -> tuple[str, str]:
        return str(runtime.flow_run.id), Pipeline.load("tiny.yaml").run(until="ingest").run_id

    own, inner = mine()
    parents = {task["id"]: task["flow_run_id"] for task in _read("task_runs", api)}
    [found] = [found for found in _read("flow_runs", api) if found["id"] == inner]
    assert parents[found["parent_task_run_id"]] == own
    assert _no_server_was_started(tiny.parent)


def test_a_server_that_is_set_in_python_alone_is_used(
    tiny: Path, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL
    from prefect.settings.context import temporary_settings

    monkeypatch.delenv("PREFECT_API_URL")
    with temporary_settings({PREFECT_API_URL: api}):
        run = Pipeline.load("tiny.yaml").run(until="ingest")

    assert run.run_id in [found["id"] for found in _read("flow_runs", api)]
    assert _no_server_was_started(tiny.parent)


def test_it_runs_where_an_event_loop_runs(tiny: Path, api: str) -> None:
    async def cell() -> Any:
        return Pipeline.load("tiny.yaml").run()

    run = asyncio.run(cell())
    keys = {found["key"] for found in _read("artifacts", api)}
    assert {"tiny-metrics", "tiny-learning-curves", "tiny-report"} <= keys
    assert run.metrics


NOTEBOOK = """
import asyncio, warnings
warnings.simplefilter("error")
from prefect_torch import Pipeline

async def cell():
    return Pipeline.load("tiny.yaml").run()

print(asyncio.run(cell()).run_id)
print({s.outcome for s in asyncio.run(cell()).stages.values()})
print(Pipeline.load("tiny.yaml").run(force=["ingest"]).stages["ingest"].outcome)

from prefect.settings import get_current_settings
print(get_current_settings().api.url)
"""


def _python(code: str) -> "subprocess.Popen[str]":
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_notebook_without_a_server_gets_an_embedded_one_and_no_noise(tiny: Path) -> None:
    out, err = _python(NOTEBOOK).communicate(timeout=240)

    assert err == ""
    # The last line: flows of one's own afterwards do not look for a server that has ended.
    assert out.splitlines()[1:] == ["{'reused'}", "ran", "None"]


def test_where_everything_is_reused_no_server_is_started(tiny: Path) -> None:
    from prefect_torch.fingerprint import digest_json
    from prefect_torch.store import write_json

    Pipeline.load("tiny.yaml").run(local=True)
    memo = tiny.parent / "store/latest/documents" / f"{digest_json([tiny.read_text(), []])}.json"
    write_json(memo, {})
    code = "from prefect_torch import Pipeline; print(Pipeline.load('tiny.yaml').run().metrics)"
    out, err = _python(code).communicate(timeout=120)

    assert "accuracy" in out, err
    assert _no_server_was_started(tiny.parent)


def test_when_the_command_is_killed_the_server_ends_and_the_next_run_is_fine(tiny: Path) -> None:
    command = "import sys; from prefect_torch.cli import main; main(['run', 'tiny.yaml', '--json'"
    killed = _python(command + ", '--set', 'train.epochs=1000000'])")
    prepared = tiny.parent / "store" / "latest" / "tiny" / "prepare.json"
    for _ in range(1200):
        if prepared.exists() or killed.poll() is not None:
            break
        time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    out, err = _python(command + "])").communicate(timeout=240)

    assert '"train": {"outcome": "ran"' in out, err
    assert '"prepare": {"outcome": "reused"' in out


def test_a_wrong_spec_does_not_wait_for_the_server_that_was_started(tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("epochs: 2", "epochs: 0"))
    process = _python("from prefect_torch.cli import main; main(['run', 'tiny.yaml'])")
    _, err = process.communicate(timeout=120)

    assert process.returncode == 2
    assert err.startswith("tiny.yaml:9:")
    assert len(err.splitlines()) == 1
