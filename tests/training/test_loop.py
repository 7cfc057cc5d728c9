"""The loop is the textbook's, to the bit; early stopping and schedulers do what they say."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from prefect_torch.errors import TrainingError
from prefect_torch.training.loop import Watch, fit
from prefect_torch.training.objectives import Supervised
from prefect_torch.training.spec import EarlyStopping


class Batch(NamedTuple):
    inputs: dict[str, torch.Tensor]
    target: torch.Tensor
    row: torch.Tensor


CLASSES = {"kind": "category", "values": ["a", "b", "c"]}


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def _batches(epoch: int) -> Iterable[Batch]:
    generator = torch.Generator().manual_seed(epoch)
    for size in (16, 16, 5):
        x = torch.randn(size, 4, generator=generator)
        yield Batch({"x": x}, (x.sum(1) > 0).long() + (x[:, 0] > 1).long(), torch.arange(size))


def _fit(model: nn.Module, optimizer: Any, **options: Any) -> dict[str, list[float]]:
    objective = Supervised(lambda inputs: model(inputs["x"]), nn.CrossEntropyLoss(), CLASSES)
    given: dict[str, Any] = {
        "scheduler": None,
        "epochs": 3,
        "train_batches": _batches,
        "validate": None,
        "watch": None,
        "on_epoch": lambda done, figures: None,
    }
    return fit(model, objective, optimizer, **{**given, **options})


def _figures(values: Iterable[float]) -> Callable[[], dict[str, float]]:
    left = iter(values)
    return lambda: {"loss": next(left)}


def test_the_weights_are_those_of_the_tutorials_loop_to_the_bit() -> None:
    model = _model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = OneCycleLR(optimizer, max_lr=0.1, total_steps=9)
    _fit(model, optimizer, scheduler=schedule)

    expected = _model()
    optimizer = torch.optim.Adam(expected.parameters(), lr=0.01)
    schedule = OneCycleLR(optimizer, max_lr=0.1, total_steps=9)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(3):
        expected.train()
        for inputs, target, _ in _batches(epoch):
            optimizer.zero_grad()
            loss = criterion(expected(inputs["x"]), target)
            loss.backward()
            optimizer.step()
            schedule.step()

    for name, weights in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], weights)


def test_the_history_has_an_entry_an_epoch_and_the_loss_is_the_mean_over_samples() -> None:
    model = _model().eval()
    model.train = lambda mode=True: model  # type: ignore[method-assign]
    history = _fit(model, torch.optim.SGD(model.parameters(), lr=0.0), epochs=2)
    with torch.no_grad():
        batches = list(_batches(0))
        losses = nn.CrossEntropyLoss(reduction="sum")
        total = sum(losses(model(b.inputs["x"]), b.target) for b in batches)
    assert history["epoch"] == [1, 2]
    assert history["train_loss"][0] == pytest.approx(float(total) / 37, rel=1e-6)
    assert history["learning_rate"] == [0.0, 0.0]


def test_each_epoch_is_told_with_its_figures() -> None:
    told: list[tuple[int, set[str]]] = []
    model = _model()
    _fit(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1),
        epochs=2,
        validate=_figures([0.5, 0.4]),
        on_epoch=lambda done, figures: told.append((done, set(figures))),
    )
    names = {"train_loss", "validation_loss", "learning_rate"}
    assert told == [(1, names), (2, names)]


def test_the_model_learns_in_training_mode_though_validation_evaluates_it() -> None:
    model = _model()
    modes = []

    def validate() -> dict[str, float]:
        model.eval()
        return {"loss": 0.0}

    def batches(epoch: int) -> Iterable[Batch]:
        modes.append(model.training)
        return _batches(epoch)

    _fit(model, torch.optim.SGD(model.parameters()), validate=validate, train_batches=batches)
    assert modes == [True, True, True]


@pytest.mark.parametrize(
    ("figures", "patience", "epochs", "best"),
    [
        ([3.0, 2.0, 2.5, 2.6, 1.0], 2, 4, 2),
        ([3.0, 2.0, 1.0], 1, 3, 3),
        ([1.0, 2.0, 3.0], 1, 2, 1),
        ([float("nan"), 2.0, 3.0, 3.0], 2, 4, 2),
        ([2.0, 2.0, 2.0], 2, 3, 1),
    ],
)
def test_early_stopping_stops_in_time_and_keeps_the_best_epochs_weights(
    figures: list[float], patience: int, epochs: int, best: int
) -> None:
    model = _model()
    watch = Watch(EarlyStopping(patience=patience), higher_is_better=False)
    seen: list[torch.Tensor] = []
    history = _fit(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1),
        epochs=len(figures),
        validate=_figures(figures),
        watch=watch,
        on_epoch=lambda done, figures: seen.append(model.state_dict()["0.weight"].clone()),
    )
    assert len(history["epoch"]) == epochs
    assert watch.best_epoch == best
    assert torch.equal(model.state_dict()["0.weight"], seen[best - 1])
    assert not torch.equal(seen[0], seen[1])


def test_a_higher_figure_is_better_where_the_metric_says_so_and_small_gains_do_not_count() -> None:
    watch = Watch(EarlyStopping(patience=9, min_delta=0.1), higher_is_better=True)
    model = _model()
    for epoch, value in enumerate([0.5, 0.55, 0.61, 0.7], start=1):
        watch.see(epoch, value, model)
    assert watch.best_epoch == 3


def test_a_watched_figure_that_never_is_a_number_is_an_error() -> None:
    model = _model()
    watch = Watch(EarlyStopping(), higher_is_better=False)
    optimizer = torch.optim.SGD(model.parameters())
    with pytest.raises(TrainingError, match="the validation loss was not a number in any epoch"):
        _fit(model, optimizer, validate=_figures([float("nan")] * 3), watch=watch)


def test_reduce_on_plateau_is_stepped_an_epoch_by_the_validation_loss() -> None:
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    figures = _figures([1.0, 1.0, 0.5, 0.6])
    history = _fit(model, optimizer, scheduler=plateau, epochs=4, validate=figures)
    assert history["learning_rate"] == [1.0, 0.5, 0.5, 0.25]


def test_a_loss_that_is_no_number_stops_training_and_says_what_to_do() -> None:
    model = _model()
    with pytest.raises(TrainingError, match=r"epoch 1: the training loss is nan.* optimizer\.lr"):
        _fit(model, torch.optim.SGD(model.parameters(), lr=1e38))
