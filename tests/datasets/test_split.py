import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prefect_torch.datasets.spec import SplitSpec
from prefect_torch.datasets.split import assign_splits, check_classes
from prefect_torch.errors import DataError

FRACTIONS = st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(1, 20))


def spec_of(parts: tuple[int, int, int]) -> SplitSpec:
    train, validation, test = (part / sum(parts) for part in parts)
    return SplitSpec(train=train, validation=validation, test=test)


def shares(spec: SplitSpec) -> np.ndarray:
    return np.array([spec.train, spec.validation, spec.test])


@settings(deadline=None)
@given(parts=FRACTIONS, rows=st.integers(1, 500), seed=st.integers(0, 2**63 - 1), data=st.data())
def test_each_kept_row_is_in_one_split_and_fractions_hold_within_one_row(
    parts: tuple[int, int, int], rows: int, seed: int, data: st.DataObject
) -> None:
    spec = spec_of(parts)
    kept = np.random.default_rng(rows).random(rows) < data.draw(st.sampled_from([0.5, 1.0]))
    assume((shares(spec)[shares(spec) > 0] * kept.sum() >= 1).all())
    assigned = assign_splits(spec, seed, kept, None)

    assert np.array_equal(assigned >= 0, kept)
    counts = np.bincount(assigned[kept], minlength=3)
    assert (np.abs(counts - shares(spec) * kept.sum()) < 1 + 1e-6).all()


@settings(deadline=None)
@given(
    parts=FRACTIONS,
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=30),
    seed=st.integers(0, 9),
)
def test_stratified_groups_keep_their_shares_and_so_does_the_whole(
    parts: tuple[int, int, int], sizes: list[int], seed: int
) -> None:
    spec = spec_of(parts)
    assume((shares(spec)[shares(spec) > 0] * sum(sizes) >= 3).all())
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    assigned = assign_splits(spec, seed, np.ones(len(groups), bool), groups)

    for group, size in enumerate(sizes):
        counts = np.bincount(assigned[groups == group], minlength=3)
        assert (counts >= np.floor(shares(spec) * size - 1e-6)).all()
        assert (counts <= np.floor(shares(spec) * size + 1e-6) + 1).all()
    counts = np.bincount(assigned, minlength=3)
    assert (np.abs(counts - shares(spec) * len(groups)) < 2).all()
    assert spec.validation or not counts[1]


def test_the_seed_decides_and_nothing_else() -> None:
    kept, spec = np.ones(100, bool), SplitSpec()

    assert np.array_equal(assign_splits(spec, 1, kept, None), assign_splits(spec, 1, kept, None))
    assert not np.array_equal(
        assign_splits(spec, 1, kept, None), assign_splits(spec, 2, kept, None)
    )


def test_a_group_of_each_row_takes_no_longer_than_none() -> None:
    rows = 200_000
    assigned = assign_splits(SplitSpec(), 0, np.ones(rows, bool), np.arange(rows))

    assert np.bincount(assigned).tolist() == [160_000, 20_000, 20_000]


def test_a_split_without_rows_is_refused() -> None:
    kept = np.array([True, False, True, True])

    with pytest.raises(DataError) as caught:
        assign_splits(SplitSpec(), 0, kept, None)

    assert str(caught.value) == (
        "data.split.validation: 0.1 of 3 rows (1 more were dropped for missing values) is no row "
        "at all, expected at least one; raise the fraction or bring more data"
    )


def test_a_class_that_a_split_lacks_is_named() -> None:
    assigned = np.array([0, 0, 1, 2, 2, -1])
    classes = np.array([0, 1, 0, 0, 1, 2])

    with pytest.raises(DataError) as caught:
        check_classes(assigned, classes, ["cat", "dog", "emu"], "animal")

    assert "data.split: validation has no row of class 'dog'; " in str(caught.value)
    assert "`stratify: animal`" in str(caught.value)
    assert "emu" not in str(caught.value)
