"""What the README and the docs show is what happens."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prefect_torch.spec import PipelineSpec

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(page: Path, language: str) -> list[str]:
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [code for kind, code in blocks if kind == language]


def _sessions() -> list[tuple[str, str]]:
    """Return every command of a console block with the output shown below it."""
    found = []
    for page in PAGES:
        for block in _blocks(page, "console"):
            for session in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, output = session.partition("\n")
                found.append((command, output))
    return found


@pytest.fixture(scope="module")
def run_once() -> None:
    """Have the digits pipeline in the store, as a reader of the README has by then."""
    from prefect_torch import Pipeline

    Pipeline.load(ROOT / "pipelines" / "digits.yaml").run(local=True)


@pytest.mark.usefixtures("run_once")
@pytest.mark.parametrize(("command", "shown"), _sessions())
def test_a_command_in_the_docs_prints_what_is_shown(command: str, shown: str) -> None:
    assert command.startswith("prefect-torch ")
    done = subprocess.run(
        [sys.executable, "-m", "prefect_torch", *command.split()[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    printed = [line.rstrip() for line in (done.stdout + done.stderr).splitlines()]
    assert printed == [line.rstrip() for line in shown.splitlines()]


@pytest.mark.slow
@pytest.mark.usefixtures("run_once")
def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = _blocks(ROOT / "README.md", "python")
    assert len(blocks) >= 2
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks) + "\nprint(only_data())\n", encoding="utf-8")

    done = subprocess.run(
        [sys.executable, script], cwd=ROOT, capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr
    assert "train_loss" in done.stdout
    assert "objects" in done.stdout.splitlines()[-1]


def test_the_readme_shows_the_digits_pipeline_as_it_is() -> None:
    assert _blocks(ROOT / "README.md", "yaml") == [
        (ROOT / "pipelines" / "digits.yaml").read_text(encoding="utf-8")
    ]


def test_the_schema_in_the_docs_is_the_spec() -> None:
    written = json.loads((ROOT / "docs" / "pipeline.schema.json").read_text(encoding="utf-8"))

    assert written == PipelineSpec.model_json_schema(), "run `make docs`"


@pytest.mark.parametrize("name", ["digits", "penguins", "diabetes"])
def test_a_shipped_pipeline_is_valid(name: str) -> None:
    from prefect_torch import Pipeline

    assert Pipeline.load(ROOT / "pipelines" / f"{name}.yaml").spec.name == name
