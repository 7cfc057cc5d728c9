"""What a person who watches a run in the Prefect UI sees of a stage's progress."""

from collections.abc import Iterator
from typing import Any

import pytest

from prefect_torch.embedded_server import EmbeddedServer
from prefect_torch.prefect_settings import use, without_heartbeats
from prefect_torch.progress import listening, report_progress
from prefect_torch.tasks.prefect_progress import PrefectProgress

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("home")))
        server = EmbeddedServer()
    with use(server.api_url), server:
        server.wait_until_ready()
        with without_heartbeats():
            yield server.api_url


def _artifacts(stage: str) -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    where = ArtifactFilter(key=ArtifactFilterKey(any_=[f"progress-{stage}"]))
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=where)


def _run(body: Any) -> Any:
    from prefect import flow

    return flow(body, name="progress")()


def test_reports_are_sent_at_once_then_once_a_second_and_the_last_one_on_leaving() -> None:
    now, shown = [0.0], []

    def body() -> None:
        with PrefectProgress(clock=lambda: now[0]) as listener, listening(listener):
            for done, at in ((1, 0.0), (2, 0.5), (3, 0.99), (4, 1.0), (5, 1.5)):
                now[0] = at
                report_progress("train", done, 10, "epochs", {"loss": 0.31})
                shown.append(_artifacts("train")[0].data)
        shown.append(_artifacts("train")[0].data)

    _run(body)
    assert shown == [10.0, 10.0, 10.0, 40.0, 40.0, 50.0]


def test_one_artifact_says_in_words_how_far_the_stage_is() -> None:
    def body() -> None:
        with PrefectProgress(clock=lambda: 0.0) as listener, listening(listener):
            report_progress("prepare", 1, 1200, "rows")
            report_progress("prepare", 1200, 1200, "rows", {"loss": 0.25, "accuracy": 0.95})

    _run(body)
    [artifact] = _artifacts("prepare")
    assert artifact.description == "prepare: 1,200 of 1,200 rows, loss 0.25, accuracy 0.95"
    assert (artifact.type, artifact.data) == ("progress", 100.0)


def test_without_a_known_end_the_count_is_shown() -> None:
    def body() -> None:
        with PrefectProgress() as listener, listening(listener):
            report_progress("ingest", 5000, None, "rows")

    _run(body)
    [artifact] = _artifacts("ingest")
    assert (artifact.description, artifact.data) == ("ingest: 5,000 rows", 0.0)


def test_a_failing_stage_leaves_its_last_report() -> None:
    def body() -> None:
        with PrefectProgress(clock=lambda: 0.0) as listener, listening(listener):
            report_progress("evaluate", 1, 4, "rows")
            report_progress("evaluate", 3, 4, "rows")
            raise ValueError("the stage's own error")

    with pytest.raises(ValueError, match="own error"):
        _run(body)
    assert _artifacts("evaluate")[0].data == 75.0


def test_an_api_that_does_not_answer_is_a_warning_and_not_the_end_of_the_stage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from prefect.context import SyncClientContext

    def body() -> str:
        client = SyncClientContext.__var__.set(None)  # type: ignore[arg-type]
        dead = "http://127.0.0.1:1/api"  # nobody listens there
        with use(dead), PrefectProgress() as listener, listening(listener):
            report_progress("export", 1, 2, "rows")
        SyncClientContext.__var__.reset(client)
        return "exported"

    assert _run(body) == "exported"
    assert "progress is not shown: the API did not take it" in caplog.text
