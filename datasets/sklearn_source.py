"""The small datasets that come inside scikit-learn; nothing is downloaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from prefect_torch.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")


class SklearnSource:
    """A dataset bundled with scikit-learn: `breast_cancer`, `diabetes`, `digits`, `iris`, `wine`.

    Columns: the features by name and `label` (the class's name), or `target` for diabetes, a
    regression; for digits `image` (64 numbers from 0 to 16, for 8 x 8 pixels) and `label` (0 to 9).
    """

    def __init__(self, name: str) -> None:
        """Say which dataset to read.

        Raises:
            DataError: scikit-learn bundles no dataset of this name.
        """
        if name not in BUNDLED:
            raise DataError(
                f"SklearnSource.name: found {name!r}; {did_you_mean(name, BUNDLED)} "
                "(those that scikit-learn downloads, fetch_*, are not read: save them as Parquet)"
            )
        self._name = name

    def identity(self) -> dict[str, Any]:
        """Return the dataset's name and the version of scikit-learn that holds it."""
        return {
            "dataset": self._name,
            "library": "scikit-learn",
            "version": version("scikit-learn"),
        }

    def batches(self) -> Iterator[pa.Table]:
        """Yield the whole dataset; the largest has 1,797 rows."""
        import pyarrow as pa
        from sklearn import datasets

        bundle = getattr(datasets, f"load_{self._name}")()
        if self._name == "digits":
            yield pa.table({"image": _pixels(bundle.data), "label": pa.array(bundle.target)})
            return
        columns = {
            _identifier(name): pa.array(bundle.data[:, index])
            for index, name in enumerate(bundle.feature_names)
        }
        if self._name == "diabetes":
            columns["target"] = pa.array(bundle.target)
        else:
            names = [str(name) for name in bundle.target_names]
            columns["label"] = pa.array([names[index] for index in bundle.target])
        yield pa.table(columns)


def _pixels(data: np.ndarray[Any, Any]) -> pa.Array:
    """Return [rows, pixels] as fixed-size lists; as uint8 where that loses nothing."""
    import numpy as np
    import pyarrow as pa

    small = data.astype(np.uint8)
    values = small if np.array_equal(small, data) else data
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), data.shape[1])


def _identifier(name: str) -> str:
    """Return `sepal_length_cm` for `sepal length (cm)`."""
    return re.sub(r"\W+", "_", name).strip("_").lower()
