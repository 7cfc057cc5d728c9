"""Batches: which samples, in which order, with which random transforms; a stock DataLoader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from prefect_torch.datasets.batch import Batch
from prefect_torch.datasets.parquet_dataset import ParquetDataset
from prefect_torch.datasets.randomness import mixed_seed
from prefect_torch.datasets.transforms import PictureTransforms, Transform
from prefect_torch.errors import DataError

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
        epoch = self.epoch
        order = self._order(epoch)
        for start in range(0, len(self) * self._batch_size, self._batch_size):
            yield epoch, order[start : start + self._batch_size]

    def _order(self, epoch: int) -> torch.Tensor:
        if not self._shuffle:
            return torch.arange(self._length)
        generator = torch.Generator().manual_seed(mixed_seed(self._seed, epoch))
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

        Raises:
            DataError: There are transforms, but no pictures.
        """
        super().__init__()
        self._dataset = dataset
        self._scales = {
            column: feature["scale"]
            for column, feature in fitted["features"].items()
            if feature["kind"] == "image"
        }
        self._texts = [c for c, f in fitted["features"].items() if f["kind"] == "text"]
        self._transforms = PictureTransforms(transforms, "transforms.train")
        self._seed = seed
        if self._transforms and not self._scales:
            raise DataError(
                "transforms.train: no feature is of kind image, and transforms change pictures "
                "alone; take them out"
            )

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: Index) -> Batch:
        """Return the batch of the given samples."""
        epoch, samples = index
        tensors = self._dataset[samples]
        target, row = tensors.pop("target"), tensors.pop("row")
        for column, scale in self._scales.items():
            tensors[column] = tensors[column].float() * scale
            if self._transforms:
                seeds = [(self._seed, epoch, sample) for sample in samples.tolist()]
                tensors[column] = self._transforms.apply(
                    tensors[column], column, row.tolist(), seeds
                )
        for column in self._texts:
            tensors[column] = tensors[column].long()
        return Batch(tensors, target, row)


def make_loader(batches: Batches, order: EpochOrder, workers: int) -> DataLoader[Batch]:
    """Return a stock DataLoader that yields ready batches; set `order.epoch` before each epoch."""
    return DataLoader(
        batches,
        sampler=order,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        # It draws a seed for its workers each epoch; not from the process's own random numbers.
        generator=torch.Generator(),
    )
