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
    fractions = np.array([spec.train, spec.validation, spec.test])
    fractions /= fractions.sum()
    rows = np.flatnonzero(kept)
    assigned = np.full(len(kept), DROPPED, np.int8)
    owed = np.zeros(len(SPLITS))
    for part in [rows] if groups is None else _grouped(rows, groups):
        counts = _whole(fractions * len(part), owed)
        owed += fractions * len(part) - counts
        assigned[generator.permutation(part)] = np.repeat(np.arange(len(SPLITS)), counts)
    _check_filled(fractions, assigned)
    return assigned


def _grouped(rows: Array, groups: Array) -> list[Array]:
    """Return the rows of each group, in their order."""
    ordered = rows[np.argsort(groups[rows], kind="stable")]
    return np.split(ordered, np.flatnonzero(np.diff(groups[ordered])) + 1)


def _whole(wanted: Array, owed: Array) -> Array:
    """Round counts down, and give the rows left over to the splits with the largest claims.

    A claim is what rounding down took away, here and in the groups before (`owed`): each split
    gets its share overall, and at least its rounded-down share of every group.
    """
    counts: Array = np.floor(wanted + 1e-9).astype(np.int64)
    left = round(float(wanted.sum())) - int(counts.sum())
    claims = np.where(wanted > 0, wanted - counts + owed, -np.inf)
    counts[np.argsort(-claims, kind="stable")[:left]] += 1
    return counts


def _check_filled(fractions: Array, assigned: Array) -> None:
    rows, dropped = int((assigned >= 0).sum()), int((assigned < 0).sum())
    without = f" ({dropped} more were dropped for missing values)" if dropped else ""
    for index, fraction in enumerate(fractions):
        if fraction and not (assigned == index).any():
            raise DataError(
                f"data.split.{SPLITS[index]}: {fraction:g} of {rows} rows{without} is no row at "
                f"all, expected at least one; raise the fraction or bring more data"
            )


def check_classes(assigned: Array, classes: Array, names: list[Any], target: str) -> None:
    """Check that every class occurs in every split that has rows.

    Args:
        assigned: [rows] int8 of `assign_splits`.
        classes: [rows] int64 class index.
        names: The classes.
        target: The target column, for the way out.

    Raises:
        DataError: Names the classes and the splits that lack them.
    """
    lacking = []
    known = np.unique(classes[assigned >= 0])
    for index, split in enumerate(SPLITS):
        if not (assigned == index).any():
            continue
        absent = np.setdiff1d(known, classes[assigned == index])
        if len(absent):
            shown = ", ".join(repr(names[c]) for c in absent[:10])
            more = f" and {len(absent) - 10} more" if len(absent) > 10 else ""
            lacking.append(f"{split} has no row of class {shown}{more}")
    if lacking:
        raise DataError(
            f"data.split: {'; '.join(lacking)}; every class must occur in every split: say "
            f"`stratify: {target}` there, raise the fractions, or bring more rows of these classes"
        )
