"""Our two metrics say what torchmetrics says."""

import subprocess
import sys

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.regression import MeanAbsoluteError as Theirs

from prefect_torch.training.figures import Accuracy, MeanAbsoluteError


def test_accuracy_is_that_of_torchmetrics_over_several_batches() -> None:
    ours, theirs = Accuracy(), MulticlassAccuracy(num_classes=5, average="micro")
    for seed, rows in ((0, 30), (1, 7)):
        generator = torch.Generator().manual_seed(seed)
        preds = torch.rand(rows, 5, generator=generator).softmax(1)
        target = torch.randint(0, 5, (rows,), generator=generator)
        ours.update(preds, target)
        theirs.update(preds, target)

    assert float(ours.compute()) == pytest.approx(float(theirs.compute()))
    assert ours.higher_is_better


def test_mean_absolute_error_is_that_of_torchmetrics_over_several_batches() -> None:
    ours, theirs = MeanAbsoluteError(), Theirs()
    for seed, rows in ((0, 30), (1, 7)):
        generator = torch.Generator().manual_seed(seed)
        preds, target = torch.randn(2, rows, generator=generator) * 100
        ours.update(preds, target)
        theirs.update(preds, target)

    assert float(ours.compute()) == pytest.approx(float(theirs.compute()))
    assert not ours.higher_is_better


def test_a_pipeline_with_our_metrics_alone_never_imports_torchmetrics() -> None:
    script = (
        "import sys, tempfile\n"
        "from prefect_torch import Pipeline\n"
        "pipeline = Pipeline.load('pipelines/digits.yaml', ['train.epochs=1'])\n"
        "pipeline.run(local=True, store=tempfile.mkdtemp())\n"
        "assert 'torchmetrics' not in sys.modules, 'imported'\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
