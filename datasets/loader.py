"""Batches: which samples, in which order, with which random transforms; a stock DataLoader."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from prefect_torch.datasets.batch import Batch
from prefect_torch.datasets.parquet_dataset import ParquetDataset

Transform = Callable[[torch.Tensor], torch.Tensor]
Index = tuple[int, torch.Tensor]
"""(epoch, [N] int64 samples)."""


class EpochOrder(Sampler[Index]):
    """The batches of one epoch. The order is a pure function of (seed, epoch, length)."""

    def __init__(
        self, length: int, batch_size: int, *, seed: int, shuffle: bool, drop_last: bool
    ) -> None:
        self.epoch = 0
        self._length = length
        self._batch_size = batch_size
        self._seed = seed
        self._shuffle = shuffle
        self._drop_last = drop_last

    def __len__(self) -> int:
        whole, rest = divmod(self._length, self._batch_size)
        return whole + (1 if rest and not self._drop_last else 0)

    def __iter__(self) -> Iterator[Index]:
        for batch in self._order().split(self._batch_size)[: len(self)]:
            yield self.epoch, batch

    def _order(self) -> torch.Tensor:
        if not self._shuffle:
            return torch.arange(self._length)
        generator = torch.Generator().manual_seed(_mix(self._seed, self.epoch))
        return torch.randperm(self._length, generator=generator)


class Batches(Dataset[Batch]):
    """Turns (epoch, samples) into a batch: gather, scale pictures, transform each at random."""

    def __init__(
        self,
        dataset: ParquetDataset,
        fitted: Mapping[str, Any],
        transforms: Sequence[Transform] = (),
        seed: int = 0,
    ) -> None:
        """Wrap a dataset.

        Args:
            dataset: A split in the training layout.
            fitted: Prepare's `fitted.json`.
            transforms: Applied to each picture [channels, height, width] float32, in order; their
                random numbers are drawn from (seed, epoch, sample).
            seed: The pipeline's seed.
        """
        self._dataset = dataset
        self._scales = {
            column: feature["scale"]
            for column, feature in fitted["features"].items()
            if feature["kind"] == "image"
        }
        self._texts = [c for c, f in fitted["features"].items() if f["kind"] == "text"]
        self._transforms = tuple(transforms)
        self._seed = seed

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: Index) -> Batch:
        """Return the batch of the given samples."""
        epoch, samples = index
        tensors = self._dataset[samples]
        target, row = tensors.pop("target"), tensors.pop("row")
        for column, scale in self._scales.items():
            pictures = tensors[column].float() * scale
            tensors[column] = self._augment(pictures, epoch, samples)
        for column in self._texts:
            tensors[column] = tensors[column].long()
        return Batch(tensors, target, row)

    def _augment(
        self, pictures: torch.Tensor, epoch: int, samples: torch.Tensor
    ) -> torch.Tensor:
        if not self._transforms:
            return pictures
        changed = []
        with _random_state_kept():
            for picture, sample in zip(pictures, samples.tolist(), strict=True):
                _seed_all(_mix(self._seed, epoch, sample))
                for transform in self._transforms:
                    picture = transform(picture)
                changed.append(picture)
        return torch.stack(changed)


def make_loader(batches: Batches, order: EpochOrder, workers: int) -> DataLoader[Batch]:
    """Return a stock DataLoader that yields ready batches; set `order.epoch` before each epoch."""
    return DataLoader(
        batches,
        sampler=order,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
    )


def _mix(*numbers: int) -> int:
    """Mix numbers into one 63-bit seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _seed_all(seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Leave the process's random numbers as they were."""
    kept = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        random.setstate(kept[1])
        np.random.set_state(kept[2])
