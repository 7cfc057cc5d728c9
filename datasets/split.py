"""Which row belongs to which split: a pure function of the seed, the rows and the fractions."""

from __future__ import annotations

from typing import Any

import numpy as np

from prefect_torch.datasets.spec import SplitSpec
from prefect_torch.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
SPLITS = ("train", "validation", "test")
DROPPED = -1


def assign_splits(spec: SplitSpec, seed: int, kept: Array, groups: Array | None) -> Array:
    """Return [rows] int8: the index in `SPLITS` of each row, or `DROPPED`.

    Args:
        spec: The fractions.
        seed: Decides which row goes where.
        kept: [rows] bool, False for rows that are left out.
        groups: [rows] int64, the stratification group of each row, or None.

    Raises:
        DataError: A split with a fraction above 0 gets no row.
    """
    generator = np.random.default_rng([seed, 0x5EED])
    fractions = (spec.train, spec.validation, spec.test)
    rows = np.flatnonzero(kept)
    parts = [rows] if groups is None else [rows[groups[rows] == g] for g in np.unique(groups[rows])]
    assigned = np.full(len(kept), DROPPED, np.int8)
    # A carried remainder gives each split its share overall even where groups are tiny.
    carried = np.zeros(len(SPLITS))
    for part in parts:
        shuffled = generator.permutation(part)
        wanted = np.array(fractions) * len(part) + carried
        counts = _whole(wanted, len(part))
        carried = wanted - counts
        assigned[shuffled] = np.repeat(np.arange(len(SPLITS), dtype=np.int8), counts)
    for index, fraction in enumerate(fractions):
        if fraction and not (assigned == index).any():
            raise DataError(
                f"data.split.{SPLITS[index]}: {fraction:g} of {len(rows)} rows is no row at all; "
                f"raise the fraction or bring more data"
            )
    return assigned


def _whole(wanted: Array, total: int) -> Array:
    """Round counts so that they sum to `total` (largest remainder)."""
    counts = np.clip(np.floor(wanted), 0, total).astype(np.int64)
    while counts.sum() > total:
        counts[np.argmax(counts - wanted)] -= 1
    while counts.sum() < total:
        counts[np.argmax(wanted - counts)] += 1
    return counts


def check_classes(assigned: Array, classes: Array, names: list[Any], stratify: str) -> None:
    """Check that every class occurs in every split that has rows.

    Args:
        assigned: [rows] int8 of `assign_splits`.
        classes: [rows] int64 class index.
        names: The classes.
        stratify: The target column, for the way out.

    Raises:
        DataError: Names the classes and the splits that lack them.
    """
    lacking = []
    for index, split in enumerate(SPLITS):
        if not (assigned == index).any():
            continue
        present = np.unique(classes[assigned == index])
        absent = [str(names[c]) for c in np.unique(classes[assigned >= 0]) if c not in present]
        if absent:
            lacking.append(f"{split} has no row of class {', '.join(absent[:10])}")
    if lacking:
        raise DataError(
            f"data.split: {'; '.join(lacking)}; say `data.split.stratify: {stratify}`, raise the "
            f"fractions, or bring more rows of it"
        )
