"""One tiny pipeline that every test of the stages runs, without Prefect."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.pipeline import Pipeline, Run
from prefect_torch.store import Store

SPEC = """
name: tiny
data:
  source: {class: CsvSource, path: rows.csv}
  target: {grown: {kind: category}}
  split: {train: 0.6, validation: 0.2, test: 0.2, stratify: grown}
model: {class: MLP, hidden: [8]}
optimizer: {class: SGD, lr: 0.1}
train: {epochs: 2, device: cpu}
loader: {batch_size: 32}
metrics: {accuracy: {class: MulticlassAccuracy}}
promote: {metric: accuracy, not_worse_than_champion: false}
"""


def csv_rows(seed: int = 0, count: int = 200, shift: float = 0.0) -> str:
    """CSV text: two numbers, a category that a model can use, and what comes of them."""
    draw = random.Random(seed)
    lines = ["width,height,colour,grown"]
    for _ in range(count):
        width, height = draw.gauss(shift, 1), draw.gauss(0, 2)
        colour = draw.choice(["red", "green", "blue"])
        grown = width - shift + height / 2 + (colour == "red") > 0
        lines.append(f"{width:.4f},{height:.4f},{colour},{'yes' if grown else 'no'}")
    return "\n".join(lines) + "\n"


class Project:
    """A project folder with a pipeline file, its data and its store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "rows.csv"
        self.data.write_text(csv_rows())
        self.file = folder / "tiny.yaml"
        self.file.write_text(SPEC)
        self.store = Store(folder / "store")

    def bring_rows(self, seed: int, count: int = 200, shift: float = 0.0) -> None:
        """Put new data in the place of the old."""
        self.data.write_text(csv_rows(seed, count, shift))

    def run(self, *overrides: str, **options: Any) -> Run:
        pipeline = Pipeline.load(self.file)
        return pipeline.run(local=True, overrides=overrides, store=self.store.root, **options)

    def ran(self, *overrides: str, **options: Any) -> list[str]:
        """Run, and return the stages that were computed."""
        stages = self.run(*overrides, **options).stages
        return [name for name, result in stages.items() if result.outcome == "ran"]

    def plan(self, *overrides: str, **options: Any) -> dict[str, Any]:
        pipeline = Pipeline.load(self.file)
        return pipeline.plan(overrides=overrides, store=self.store.root, **options)

    def declare(self, old: str, new: str) -> None:
        """Change the pipeline file."""
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder in which the pipeline has run once; not to be written to."""
    folder = tmp_path_factory.mktemp("finished")
    Project(folder).run()
    return folder


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> Project:
    """A copy of a project in which the pipeline has run once."""
    shutil.copytree(finished, tmp_path / "done")
    return Project(tmp_path / "done")
