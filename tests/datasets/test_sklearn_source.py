from importlib.metadata import version

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_digits

from prefect_torch.datasets.sklearn_source import BUNDLED, SklearnSource
from prefect_torch.errors import DataError


def read(name: str) -> pa.Table:
    return pa.concat_tables(SklearnSource(name).batches())


def test_digits_are_bytes_and_lose_nothing() -> None:
    table = read("digits")
    assert table.schema.field("image").type == pa.list_(pa.uint8(), 64)
    pixels = table["image"].combine_chunks().flatten().to_numpy().reshape(-1, 64)
    assert np.array_equal(pixels, load_digits().data)
    assert set(table["label"].to_pylist()) == set(range(10))


def test_columns_have_names_that_can_be_typed_and_labels_are_class_names() -> None:
    table = read("iris")
    assert table.column_names == [
        "sepal_length_cm",
        "sepal_width_cm",
        "petal_length_cm",
        "petal_width_cm",
        "label",
    ]
    assert set(table["label"].to_pylist()) == {"setosa", "versicolor", "virginica"}


def test_a_regression_has_a_numeric_target() -> None:
    assert read("diabetes").schema.field("target").type == pa.float64()


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_dataset_has_rows_and_identifiers_as_column_names(name: str) -> None:
    table = read(name)
    assert table.num_rows > 100
    assert all(column.isidentifier() for column in table.column_names)


@pytest.mark.parametrize(
    ("name", "part"),
    [("digit", 'did you mean "digits"?'), ("mnist_784", "known: breast_cancer, diabetes")],
)
def test_an_unknown_name_gets_a_suggestion(name: str, part: str) -> None:
    with pytest.raises(DataError) as caught:
        SklearnSource(name)
    assert f"SklearnSource.name: found '{name}'; {part}" in str(caught.value)


def test_identity_is_the_name_and_the_version_of_the_library() -> None:
    assert SklearnSource("wine").identity() == {
        "dataset": "wine",
        "library": "scikit-learn",
        "version": version("scikit-learn"),
    }
