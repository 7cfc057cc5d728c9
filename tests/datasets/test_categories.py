import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_torch.datasets.categories import CategoryEncoder
from prefect_torch.errors import DataError


def fitted(values: pa.Array, unknown: bool = True) -> CategoryEncoder:
    encoder = CategoryEncoder("x", unknown)
    encoder.observe(values, np.arange(len(values)))
    return encoder


def encode(encoder: CategoryEncoder, values: pa.Array) -> list[int]:
    encoded = encoder.encode(values, np.arange(100, 100 + len(values)))
    assert encoded.dtype == np.int64
    return encoded.tolist()


VALUES = st.one_of(
    st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1).map(
        lambda v: pa.array(v, pa.string())
    ),
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1).map(
        lambda v: pa.array(v, pa.int64())
    ),
    st.lists(st.one_of(st.none(), st.integers(0, 2**64 - 1)), min_size=1).map(
        lambda v: pa.array(v, pa.uint64())
    ),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=1).map(
        lambda v: pa.array(v, pa.bool_())
    ),
)


@settings(deadline=None)
@given(values=VALUES)
def test_the_index_leads_back_to_the_value_and_zero_stands_for_none(values: pa.Array) -> None:
    encoder = fitted(values)
    names = ["(unknown)", *encoder.fitted()["values"]]

    assert [names[code] for code in encode(encoder, values)] == [
        "(unknown)" if value is None else value for value in values.to_pylist()
    ]


@settings(deadline=None)
@given(values=VALUES, seed=st.integers(0, 99))
def test_the_order_of_rows_decides_nothing(values: pa.Array, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(values))

    assert fitted(values).fitted() == fitted(values.take(pa.array(order))).fitted()


def test_integers_beyond_what_a_float_holds_stay_apart() -> None:
    values = pa.array([2**53, 2**53 + 1, 2**53 + 2])
    encoder = fitted(values, unknown=False)

    assert encoder.fitted()["values"] == [2**53, 2**53 + 1, 2**53 + 2]
    assert encode(encoder, values) == [0, 1, 2]


def test_a_value_that_was_not_seen_is_unknown() -> None:
    assert encode(fitted(pa.array(["b", "a"])), pa.array(["a", "c", None, "b"])) == [1, 0, 0, 2]


def test_a_target_that_was_not_seen_is_refused_with_its_row() -> None:
    with pytest.raises(DataError, match="target 'x', row 101: value 'c' does not occur in the"):
        encode(fitted(pa.array(["b", "a"]), unknown=False), pa.array(["a", "c"]))


def test_fractions_are_no_categories() -> None:
    with pytest.raises(DataError) as caught:
        CategoryEncoder("x").check_type(pa.float64())

    assert str(caught.value) == (
        "column 'x' holds fractions (double), expected categories; declare it as {kind: number}, "
        "or convert it to integers or text in the source"
    )


@pytest.mark.parametrize(
    "kind", [pa.decimal128(5, 2), pa.timestamp("us"), pa.list_(pa.string()), pa.binary(), pa.null()]
)
def test_other_types_are_refused(kind: pa.DataType) -> None:
    with pytest.raises(DataError, match="expected text, integers or booleans"):
        CategoryEncoder("x").check_type(kind)
