from pathlib import Path

from prefect_torch import Pipeline

PIPELINE = Path(__file__).parent / "pipeline.yaml"


def test_two_epochs_already_beat_guessing(tmp_path: Path) -> None:
    run = Pipeline.load(PIPELINE).run(local=True, overrides=["train.epochs=2"], store=tmp_path)

    assert run.metrics["accuracy"] > 0.55
