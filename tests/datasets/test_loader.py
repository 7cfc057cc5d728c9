import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from prefect_torch.datasets.batch import Batch
from prefect_torch.datasets.layout import Field, LayoutWriter
from prefect_torch.datasets.loader import Batches, EpochOrder, make_loader
from prefect_torch.datasets.parquet_dataset import ParquetDataset
from prefect_torch.errors import DataError

ROWS = 23
FITTED: dict[str, Any] = {
    "features": {
        "x": {"kind": "number"},
        "photo": {"kind": "image", "scale": 0.5},
        "note": {"kind": "text"},
    }
}


@pytest.fixture
def dataset(tmp_path: Path) -> ParquetDataset:
    """A split of `ROWS` samples whose rows in the data are 100, 101, …."""
    fields = [
        Field("numbers", "float32", (1,), ("x",)),
        Field("photo", "uint8", (1, 4, 4)),
        Field("note", "int32", (3,)),
        Field("target", "int64"),
        Field("row", "int64"),
    ]
    generator = np.random.default_rng(0)
    tensors = {f.name: generator.integers(0, 256, (ROWS, *f.shape)).astype(f.dtype) for f in fields}
    with LayoutWriter(tmp_path / "train.parquet", fields) as writer:
        writer.write({**tensors, "row": np.arange(100, 100 + ROWS)})
    return ParquetDataset(tmp_path / "train.parquet")


def order_of(size: int, *, seed: int = 0, shuffle: bool = True) -> EpochOrder:
    return EpochOrder(ROWS, size, seed=seed, shuffle=shuffle, drop_last=False)


def epoch(
    dataset: ParquetDataset, size: int, workers: int, *transforms: Any, epochs: int = 1
) -> Batch:
    """Return all samples of some epochs, in the order they came."""
    order = order_of(size)
    loader = make_loader(Batches(dataset, FITTED, transforms, seed=3), order, workers)
    found: list[Batch] = []
    for number in range(epochs):
        order.epoch = number
        found += loader
    names = found[0].inputs
    return Batch(
        {name: torch.cat([batch.inputs[name] for batch in found]) for name in names},
        torch.cat([batch.target for batch in found]),
        torch.cat([batch.row for batch in found]),
    )


def same(one: Batch, other: Batch) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(
            [*one.inputs.values(), one.target, one.row],
            [*other.inputs.values(), other.target, other.row],
            strict=True,
        )
    )


def draw(picture: torch.Tensor) -> torch.Tensor:
    """Draw from all three generators."""
    return picture + torch.rand(1) + random.random() + np.random.random()


AUGMENT = (v2.RandomAffine(10, (0.1, 0.1)), v2.RandomErasing(), draw)


@settings(deadline=None)
@given(
    length=st.integers(0, 200),
    size=st.integers(1, 50),
    seed=st.integers(0, 2**63 - 1),
    epoch=st.integers(0, 10**6),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
)
def test_an_epoch_is_a_function_of_seed_epoch_and_length_and_holds_each_sample_once(
    length: int, size: int, seed: int, epoch: int, shuffle: bool, drop_last: bool
) -> None:
    def batches(batch_size: int, other_epoch_first: bool) -> Iterator[list[int]]:
        order = EpochOrder(length, batch_size, seed=seed, shuffle=shuffle, drop_last=drop_last)
        if other_epoch_first:
            order.epoch = epoch + 1
            list(order)
        order.epoch = epoch
        found = list(order)
        assert len(found) == len(order)
        assert {number for number, _ in found} <= {epoch}
        yield from (samples.tolist() for _, samples in found)

    found = list(batches(size, False))
    flat = [sample for batch in found for sample in batch]
    torch.rand(1)

    assert found == list(batches(size, True))
    assert (
        flat == [s for batch in batches(size + 1, False) for s in batch][: len(flat)] or drop_last
    )
    assert all(len(batch) == size for batch in found[:-1])
    if drop_last:
        assert len(flat) == length // size * size
        assert len(set(flat)) == len(flat)
    else:
        assert sorted(flat) == list(range(length))
    if not shuffle:
        assert flat == sorted(flat)


def test_epochs_and_seeds_differ() -> None:
    orders = [order_of(ROWS, seed=seed) for seed in (0, 1)]
    orders.append(order_of(ROWS))
    orders[-1].epoch = 1

    assert len({tuple(next(iter(order))[1].tolist()) for order in orders}) == 3


def test_a_change_of_epoch_does_not_reach_an_iteration_under_way() -> None:
    order = order_of(5)
    batches = iter(order)
    next(batches)
    order.epoch = 7

    assert {number for number, _ in batches} == {0}


def test_a_batch_holds_what_the_model_gets(dataset: ParquetDataset) -> None:
    batch = Batches(dataset, FITTED)[0, torch.tensor([4, 2])]
    raw = dataset[torch.tensor([4, 2])]

    assert list(batch.inputs) == ["numbers", "photo", "note"]
    assert batch.inputs["photo"].dtype == torch.float32
    assert torch.equal(batch.inputs["photo"], raw["photo"] * 0.5)
    assert batch.inputs["note"].dtype == torch.int64
    assert torch.equal(batch.target, raw["target"])
    assert batch.row.tolist() == [104, 102]


def test_the_same_batches_come_with_and_without_workers(dataset: ParquetDataset) -> None:
    alone = epoch(dataset, 5, 0, *AUGMENT[:2], draw, epochs=2)

    assert same(alone, epoch(dataset, 5, 2, *AUGMENT[:2], draw, epochs=2))


def test_random_transforms_do_not_depend_on_the_batch_size(dataset: ParquetDataset) -> None:
    whole = epoch(dataset, ROWS, 0, *AUGMENT)
    torch.manual_seed(99)

    assert same(whole, epoch(dataset, 4, 0, *AUGMENT))
    assert not same(whole, epoch(dataset, ROWS, 0))


def test_a_sample_is_changed_otherwise_in_each_epoch(dataset: ParquetDataset) -> None:
    batches = Batches(dataset, FITTED, AUGMENT, seed=3)
    samples = torch.arange(ROWS)

    assert not torch.equal(batches[0, samples].inputs["photo"], batches[1, samples].inputs["photo"])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_leaves_the_random_numbers_of_the_process_alone(
    dataset: ParquetDataset, workers: int
) -> None:
    before = torch.get_rng_state(), random.getstate(), repr(np.random.get_state())
    epoch(dataset, 5, workers, *AUGMENT)

    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert repr(np.random.get_state()) == before[2]


def raises(picture: torch.Tensor) -> torch.Tensor:
    raise ZeroDivisionError("no light")


def shrinks(picture: torch.Tensor) -> torch.Tensor:
    return picture[:, : 1 + int(torch.randint(4, ()))]


def test_a_failing_transform_is_named_with_the_row_in_the_data(dataset: ParquetDataset) -> None:
    with pytest.raises(DataError) as caught:
        Batches(dataset, FITTED, [v2.Identity(), raises])[0, torch.tensor([5])]

    assert str(caught.value) == (
        "transforms.train.1 (function), column 'photo', row 105: ZeroDivisionError: no light; "
        "it was given float32 [1, 4, 4]"
    )


def test_the_random_numbers_are_left_alone_by_a_failing_transform(dataset: ParquetDataset) -> None:
    before = torch.get_rng_state()
    with pytest.raises(DataError):
        Batches(dataset, FITTED, [draw, raises])[0, torch.tensor([5])]

    assert torch.equal(torch.get_rng_state(), before)


def test_a_transform_that_gives_pictures_of_several_shapes_is_refused(
    dataset: ParquetDataset,
) -> None:
    with pytest.raises(DataError, match=r"column 'photo', row 1\d\d: gave float32"):
        epoch(dataset, 5, 0, shrinks)


def test_a_data_error_in_a_worker_stays_one(dataset: ParquetDataset) -> None:
    with pytest.raises(DataError, match=r"transforms\.train\.0"):
        epoch(dataset, 5, 1, raises)


def test_transforms_without_a_picture_are_refused(dataset: ParquetDataset) -> None:
    with pytest.raises(DataError, match=r"transforms.train: no feature is of kind image"):
        Batches(dataset, {"features": {"x": {"kind": "number"}}}, [raises])
