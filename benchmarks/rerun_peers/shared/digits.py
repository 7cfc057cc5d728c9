"""The work of the four stages, which knows no orchestrator; torch and pandas wait to be needed."""

import io
import json
import os
from pathlib import Path

PARAMETERS = "params.json"


def mark(stage):
    """Note that a stage runs, where the benchmark can see it."""
    if log := os.environ.get("RERUN_MARKS"):
        with open(log, "a") as file:
            file.write(f"{stage}\n")


def parameters():
    return json.loads(Path(PARAMETERS).read_text())


def load(path="digits.csv"):
    import pandas as pd

    mark("load")
    return pd.read_csv(path, dtype="int16")


def split(table):
    import numpy as np

    mark("split")
    order = np.random.default_rng(0).permutation(len(table))
    tests = len(table) // 5
    return (
        table.iloc[order[tests:]].reset_index(drop=True),
        table.iloc[order[:tests]].reset_index(drop=True),
    )


def train(table, lr, epochs):
    """Return the trained weights as the bytes of a checkpoint."""
    import torch
    from nets import DigitsNet

    mark("train")
    torch.manual_seed(0)
    pixels, digits = _tensors(table)
    model = DigitsNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for _ in range(epochs):
        for rows in torch.randperm(len(pixels)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(pixels[rows]), digits[rows]).backward()
            optimizer.step()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.getvalue()


def evaluate(checkpoint, table):
    import torch
    from nets import DigitsNet

    mark("evaluate")
    model = DigitsNet()
    model.load_state_dict(torch.load(io.BytesIO(checkpoint), weights_only=True))
    pixels, digits = _tensors(table)
    with torch.no_grad():
        scores = model(pixels)
    return {
        "accuracy": (scores.argmax(1) == digits).float().mean().item(),
        "loss": torch.nn.functional.cross_entropy(scores, digits).item(),
    }


def report(metrics, path="out/report.json"):
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(json.dumps(metrics))


def _tensors(table):
    import torch

    values = torch.tensor(table.to_numpy())
    return values[:, :64].float(), values[:, 64].long()
