import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_torch.datasets.numbers import NumberEncoder
from prefect_torch.errors import DataError

NUMBERS = st.floats(-1e6, 1e6, width=32)


def fitted(values: list[object], normalize: bool = True, nulls: object = "mean") -> NumberEncoder:
    encoder = NumberEncoder("x", normalize, nulls)
    observe(encoder, pa.array(values, pa.float64()))
    return encoder


def observe(encoder: NumberEncoder, values: pa.Array) -> None:
    encoder.observe(values, np.arange(len(values)))


def encode(encoder: NumberEncoder, values: pa.Array) -> np.ndarray:
    return encoder.encode(values, np.arange(100, 100 + len(values)))


@settings(deadline=None)
@given(values=st.lists(NUMBERS, min_size=1, max_size=50), cut=st.integers(0, 50))
def test_mean_and_deviation_are_those_of_all_batches_together(
    values: list[float], cut: int
) -> None:
    encoder = NumberEncoder("x", True, "error")
    observe(encoder, pa.array(values[:cut], pa.float64()))
    observe(encoder, pa.array(values[cut:], pa.float64()))
    state = encoder.fitted()

    assert state["mean"] == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
    if len(set(values)) > 1:
        assert state["deviation"] == pytest.approx(np.std(values), rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(value=NUMBERS, cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_a_constant_column_becomes_zero_and_does_not_blow_up_what_differs(
    value: float, cuts: list[int]
) -> None:
    encoder = NumberEncoder("x", True, "error")
    for cut in cuts:
        observe(encoder, pa.array([value / 3] * cut))

    assert encoder.constant
    assert encoder.fitted()["deviation"] == 1
    assert encode(encoder, pa.array([value / 3, value / 3 + 1])).tolist() == pytest.approx(
        [0, 1], abs=1e-6
    )


@pytest.mark.parametrize(
    ("nulls", "filled"), [("mean", 4.0), ("median", 2.0), (-5, -5.0), (0.5, 0.5)]
)
def test_missing_values_are_filled_and_nan_is_one(nulls: object, filled: float) -> None:
    encoder = fitted([1, 2, None, 9, float("nan")], normalize=False, nulls=nulls)

    assert encode(encoder, pa.array([None, float("nan"), 3])).tolist() == [filled, filled, 3]


def test_the_fill_is_normalised_as_the_values_are() -> None:
    encoder = fitted([0, 10, None], nulls="mean")

    assert encode(encoder, pa.array([0, 10, None], pa.int64())).tolist() == [-1, 1, 0]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.bool_()])
def test_every_number_type_is_encoded(kind: pa.DataType) -> None:
    encoder = NumberEncoder("x", False, "error")
    values = pa.array([0, 1, 1]).cast(kind)
    encoder.check_type(kind)
    observe(encoder, values)

    assert encode(encoder, values).tolist() == [0, 1, 1]
    assert encode(encoder, values).dtype == np.float32


@pytest.mark.parametrize("wrong", [float("inf"), -float("inf"), 1e300])
def test_a_value_that_float32_does_not_hold_is_refused_with_its_row(wrong: float) -> None:
    encoder = fitted([1, 2], normalize=False)

    with pytest.raises(
        DataError, match=f"column 'x', row 101: {re.escape(str(wrong))} is no finite number"
    ):
        encode(encoder, pa.array([1.0, wrong]))


def test_an_infinite_value_to_learn_from_is_refused_with_its_row() -> None:
    encoder = NumberEncoder("x", True, "error")

    with pytest.raises(DataError, match="column 'x', row 7: inf is no finite number"):
        encoder.observe(pa.array([1, float("inf")]), np.array([3, 7]))


@pytest.mark.parametrize("nulls", ["mean", "median"])
def test_a_column_without_any_value_cannot_be_filled_from_itself(nulls: str) -> None:
    with pytest.raises(DataError, match=f"no value in the train split, so it has no {nulls}"):
        fitted([None, None], nulls=nulls).fitted()


def test_text_where_numbers_are_expected_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        NumberEncoder("x", True, "error").check_type(pa.string())

    assert str(caught.value) == (
        "column 'x' is of type string, expected numbers for {kind: number}; declare it as "
        "{kind: category}, or convert it to integers or floats in the source"
    )


@pytest.mark.parametrize(
    "kind", [pa.decimal128(5, 2), pa.timestamp("us"), pa.date32(), pa.list_(pa.int64()), pa.null()]
)
def test_types_without_a_meaning_as_number_are_refused(kind: pa.DataType) -> None:
    with pytest.raises(DataError, match="convert it to integers or floats in the source"):
        NumberEncoder("x", True, "error").check_type(kind)
