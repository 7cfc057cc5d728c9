"""The first minute: a run with no server configured, from nothing to recorded runs."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from prefect_torch.embedded_server import EmbeddedServer, EmbeddedServerError
from prefect_torch.prefect_settings import use

FLOW = """
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact

@task
def stage(number):
    get_run_logger().info("stage %d", number)
    if number == 2:
        create_markdown_artifact("# done", key="report")

@task
def tick():
    pass

@flow
def pipeline():
    for _ in range(150):
        tick()
    for number in range(3):
        stage.with_options(task_run_name=f"stage-{number}")(number)
"""
RUN = """
from prefect_torch.embedded_server import EmbeddedServer
from prefect_torch.prefect_settings import (
    is_server_configured, quiet_console, use, without_heartbeats
)
assert not is_server_configured()
server = EmbeddedServer()
with use(server.api_url), server:
    from pipeline import pipeline
    server.wait_until_ready()
    with quiet_console(), without_heartbeats():
        pipeline()
"""
STAGES = "SELECT name, state_type FROM task_run WHERE name LIKE 'stage-%' ORDER BY name"
pytestmark = pytest.mark.slow


class Run(NamedTuple):
    home: Path
    output: str
    """Both streams, as a terminal shows them."""


def _start(home: Path, code: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=_environment(home),
        cwd=home.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _environment(home: Path) -> dict[str, str]:
    own = {"PREFECT_HOME": str(home), "PYTHONPATH": str(home.parent)}
    # As a newcomer has it, who has not said anything about analytics.
    quiet = ("PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK", "PREFECT_API_URL")
    return {name: value for name, value in os.environ.items() if name not in quiet} | own


def _project(folder: Path) -> Path:
    (folder / "pipeline.py").write_text(FLOW)
    return folder / "home"


def _query(home: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(home / "prefect.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # a zombie of a foster parent that reaps late
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def _wait_until_gone(pid: int) -> bool:
    for _ in range(300):
        if not _is_alive(pid):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two runs at once on one fresh home: both upgrade the database, both record."""
    home = _project(tmp_path_factory.mktemp("newcomer"))
    processes = [_start(home, RUN) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        outputs = list(pool.map(lambda process: process.communicate(timeout=240)[0], processes))
    codes = [process.returncode for process in processes]
    assert codes == [0, 0], outputs
    return Run(home, "".join(outputs))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def recorded(two_runs: Run) -> Iterator[str]:
    """A later server on the same home, which reads what the runs have left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(two_runs.home))
        server = EmbeddedServer()
    with server:
        yield server.wait_until_ready()


def test_a_newcomer_sees_nothing_of_the_server(two_runs: Run) -> None:
    assert two_runs.output == ""


def test_the_server_log_of_a_good_run_is_empty(two_runs: Run) -> None:
    assert (two_runs.home / "prefect-torch" / "embedded-server.log").read_text() == ""


def test_two_runs_at_once_on_a_fresh_home_both_complete(two_runs: Run) -> None:
    assert _query(two_runs.home, "SELECT state_type FROM flow_run") == [("COMPLETED",)] * 2


def test_each_task_run_is_recorded_with_its_name_and_state(two_runs: Run) -> None:
    found = _query(two_runs.home, STAGES)

    assert found == [(f"stage-{i}", "COMPLETED") for i in range(3) for _ in range(2)]


def test_no_task_run_is_lost_when_the_server_stops_at_once(two_runs: Run) -> None:
    sql = "SELECT state_type, count(*) FROM task_run GROUP BY state_type"

    assert _query(two_runs.home, sql) == [("COMPLETED", 306)]


def test_log_lines_reach_the_api_although_the_terminal_is_quiet(two_runs: Run) -> None:
    found = _query(two_runs.home, "SELECT message FROM log WHERE message LIKE 'stage %'")

    assert sorted(found) == [(f"stage {i}",) for i in range(3) for _ in range(2)]


def test_artifacts_and_events_are_recorded(two_runs: Run) -> None:
    assert _query(two_runs.home, "SELECT count(*) FROM artifact WHERE key = 'report'") == [(2,)]
    sql = "SELECT count(*) FROM events WHERE event = 'prefect.task-run.Completed'"
    assert _query(two_runs.home, sql) == [(306,)]


def test_the_next_full_server_still_registers_the_block_types(two_runs: Run) -> None:
    assert not (two_runs.home / "memo_store.toml").exists()


def test_no_analytics_unless_asked_for(two_runs: Run) -> None:
    assert _query(two_runs.home, "SELECT * FROM configuration WHERE key LIKE 'TELEM%'") == []


def test_the_profiles_are_left_alone(two_runs: Run) -> None:
    assert not (two_runs.home / "profiles.toml").exists()


def test_a_later_server_shows_the_runs(recorded: str) -> None:
    from prefect.client.orchestration import get_client

    with use(recorded), get_client(sync_client=True) as client:
        names = {run.state_name for run in client.read_flow_runs()}

    assert names == {"Completed"}


def test_the_server_ends_when_its_parent_is_killed(two_runs: Run) -> None:
    code = (
        "import time; from prefect_torch.embedded_server import EmbeddedServer\n"
        "server = EmbeddedServer(); server.wait_until_ready()\n"
        "print(server._process.pid, flush=True); time.sleep(600)"
    )
    parent = _start(two_runs.home, code)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    assert _wait_until_gone(pid)


def test_servers_that_start_at_once_upgrade_a_fresh_database_once(home: Path) -> None:
    servers = [EmbeddedServer() for _ in range(4)]
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(server)

        assert [server.wait_until_ready() for server in servers] == [s.api_url for s in servers]


def test_a_server_that_nobody_needed_is_gone_after_stop(home: Path) -> None:
    with EmbeddedServer() as server:
        server.stop()  # leaving the block stops it once more

    assert not _is_alive(server._process.pid)


def test_a_server_that_cannot_start_says_why_and_what_to_do(home: Path) -> None:
    home.mkdir()
    (home / "prefect.db").write_text("not a database, " * 1000)

    with EmbeddedServer() as server, pytest.raises(EmbeddedServerError) as caught:
        server.wait_until_ready()

    assert str(caught.value).startswith(f"{home}/prefect-torch/embedded-server.log: ")
    assert "file is not a database" in str(caught.value)
    assert "`prefect server start`" in str(caught.value)


def test_a_server_that_takes_too_long_is_an_error(home: Path) -> None:
    message = r"was not ready within 0\.01 seconds"
    with EmbeddedServer() as server, pytest.raises(EmbeddedServerError, match=message):
        server.wait_until_ready(timeout_seconds=0.01)


def test_files_of_the_working_directory_do_not_shadow_what_the_server_imports(home: Path) -> None:
    (home.parent / "uvicorn.py").write_text("raise SystemExit('shadowed')")

    with EmbeddedServer() as server:
        url = server.wait_until_ready()
        assert urllib.request.urlopen(f"{url}/health").read() == b"true"


def test_waiting_again_answers_at_once(home: Path) -> None:
    with EmbeddedServer() as server:
        assert server.wait_until_ready() == server.wait_until_ready(timeout_seconds=0)
