"""Texts: lower-cased words, looked up in the train split's vocabulary, padded to one length."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from prefect_torch.datasets.spec import TextFeature
from prefect_torch.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
PADDING, UNKNOWN = 0, 1
_WORD = re.compile(r"\w+|[^\w\s]")


class TextEncoder:
    """Encodes a column of texts as int32 [rows, max_length]."""

    constant = False
    """Texts are never a target."""

    def __init__(self, column: str, feature: TextFeature) -> None:
        self.column = column
        self._feature = feature
        self._counts: Counter[str] = Counter()
        self._index: dict[str, int] | None = None

    def check_type(self, found: pa.DataType) -> None:
        """Raise a DataError unless the column holds text."""
        if not (types.is_string(found) or types.is_large_string(found)):
            raise DataError(
                f"column {self.column!r} is of type {found}, expected text for {{kind: text}}; "
                f"declare it as what it is, or convert it in the source"
            )

    def observe(self, values: pa.Array, rows: Array) -> None:
        """Count words."""
        for text in values.to_pylist():
            self._counts.update(words(text or ""))

    def fitted(self) -> dict[str, Any]:
        """Return the vocabulary: index 0 padding, 1 unknown, then the most frequent words first."""
        kept = [word for word, n in self._counts.items() if n >= self._feature.min_count]
        kept.sort(key=lambda word: (-self._counts[word], word))
        vocabulary = ["", "\ufffd", *kept][: self._feature.vocabulary]
        return {"kind": "text", "vocabulary": vocabulary, "max_length": self._feature.max_length}

    def encode(self, values: pa.Array, rows: Array) -> Array:
        """Return [rows, max_length] int32."""
        if self._index is None:
            self._index = {word: i for i, word in enumerate(self.fitted()["vocabulary"])}
        tokens = np.full((len(values), self._feature.max_length), PADDING, np.int32)
        for row, text in enumerate(values.to_pylist()):
            found = words(text or "")[: self._feature.max_length]
            tokens[row, : len(found)] = [self._index.get(word, UNKNOWN) for word in found]
        return tokens


def words(text: str) -> list[str]:
    """Return the lower-cased words and punctuation marks of a text, in order."""
    return _WORD.findall(text.lower())
