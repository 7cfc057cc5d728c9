"""The stages' tasks, called one by one in a flow of one's own or in none."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from prefect_torch.embedded_server import EmbeddedServer
from prefect_torch.errors import PrefectTorchError
from prefect_torch.pipeline import Pipeline
from prefect_torch.prefect_settings import use, without_heartbeats

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


@pytest.fixture
def job(project: Any) -> Any:
    return Pipeline.load(project.file).job(store=project.store.root)


def test_stages_are_chained_by_hand_in_a_flow_of_ones_own(job: Any) -> None:
    from prefect import flow

    from prefect_torch.tasks.prefect_tasks import evaluate, ingest, prepare, promote, train

    @flow
    def mine() -> Any:
        ingested = ingest(job)
        prepared = prepare(job, ingested)
        trained = train(job, prepared)
        evaluated = evaluate(job, prepared, trained)
        return promote(job, ingested, prepared, trained, evaluated).result()

    result = mine()
    assert (result.stage, result.outcome) == ("promote", "ran")


def test_a_task_called_alone_answers_with_its_artifact(job: Any) -> None:
    from prefect_torch.tasks.prefect_tasks import ingest

    with warnings.catch_warnings():
        # Prefect's own line on the end of a task that belongs to no flow run.
        warnings.filterwarnings("ignore", "Logger 'prefect.task_runs' attempted to send logs")
        first, second = ingest(job), ingest(job)

    assert (first.name, second.name) == ("Completed", "Cached")
    assert first.message == "no earlier result"
    assert second.result().artifact == first.result().artifact
    assert job.store.get(first.result().artifact).files


def test_a_task_takes_the_results_of_an_earlier_run(job: Any) -> None:
    from prefect import flow

    from prefect_torch.tasks.chain import run_chain, without_prefect
    from prefect_torch.tasks.prefect_tasks import evaluate

    stages = run_chain(job, without_prefect).stages

    @flow
    def mine() -> Any:
        return evaluate(job, stages["prepare"], stages["train"]).result()

    assert mine().outcome == "reused"


def test_a_task_that_is_given_another_stages_result_says_what_it_reads(job: Any) -> None:
    from prefect import flow

    from prefect_torch.tasks.prefect_tasks import ingest, train

    @flow
    def mine() -> Any:
        return train(job, ingest(job))

    with pytest.raises(PrefectTorchError, match=r"^train reads the results of prepare: give them$"):
        mine()
