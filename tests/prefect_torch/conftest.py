"""A project as a person has it: a pipeline file, its rows, a Module of their own, a store."""

import random
from pathlib import Path

import pytest

SPEC = """
name: tiny
data:
  source: {class: CsvSource, path: rows.csv}
  target: {label: {kind: category}}
  split: {train: 0.6, validation: 0.2, test: 0.2}
model: {class: MLP, hidden: [4]}
optimizer: {class: SGD, lr: 0.1}
train: {epochs: 2, device: cpu}
loader: {batch_size: 16}
metrics: {accuracy: {class: MulticlassAccuracy, average: micro}}
promote: {metric: accuracy, at_least: 0.01}
"""
NETS = """
from torch import nn


class Broken(nn.Module):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_features, num_classes)

    def forward(self, x):
        raise RuntimeError("out of [bold] ideas")
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline file; the working directory, Prefect's home and the store are its folder's."""
    draw = random.Random(0)
    rows = [(draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(80)]
    lines = [f"{x:.4f},{y:.4f},{'up' if x + y > 0 else 'down'}" for x, y in rows]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y,label", *lines]) + "\n")
    (tmp_path / "tiny_nets.py").write_text(NETS)
    (tmp_path / "tiny.yaml").write_text(SPEC)
    (tmp_path / "broken.yaml").write_text(SPEC.replace("MLP, hidden: [4]", "tiny_nets.Broken"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_INTEGRATIONS_TORCH_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    return tmp_path / "tiny.yaml"
