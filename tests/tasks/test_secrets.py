"""A secret reaches the component that asks for it, and nothing that anybody may read."""

import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = """
name: secretive
data:
  source: {class: rows.Rows, password: "${secret:database}"}
  target: {y: {kind: number}}
model: {class: MLP}
train: {epochs: 1}
"""
ROWS = """
class Rows:
    def __init__(self, password: str, fail: bool = False) -> None:
        assert password == "hunter2-and-more"
        if fail:
            raise ValueError(f"cannot log in with {password}")

    def __iter__(self):
        return iter([{"x": float(i), "y": float(i % 7)} for i in range(80)])

    def fingerprint(self) -> str:
        return "1"
"""
SCRIPT = """
import sys
from prefect.blocks.system import Secret
from prefect.testing.utilities import prefect_test_harness
from prefect_torch import Pipeline

with prefect_test_harness():
    Secret(value="hunter2-and-more").save("database")
    pipeline = Pipeline.load("pipeline.yaml")
    pipeline.run(local=True, store="store")
    try:
        pipeline.run(store="store", overrides=["data.source.fail=true"])
    except Exception as error:
        print("refused:", error)
"""


@pytest.mark.slow
def test_a_secret_is_in_no_file_and_no_output_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "rows.py").write_text(ROWS)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )

    assert "refused: ingest failed" in done.stdout, done.stderr
    assert "cannot log in with ***" in done.stdout
    assert "hunter2-and-more" not in done.stdout + done.stderr
    written = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert len(written) > 10
    assert not [path for path in written if b"hunter2-and-more" in path.read_bytes()]
