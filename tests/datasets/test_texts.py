import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_torch.datasets.spec import TextFeature
from prefect_torch.datasets.texts import TextEncoder, words
from prefect_torch.errors import DataError


def fitted(texts: list[str | None], **options: object) -> TextEncoder:
    encoder = TextEncoder("x", TextFeature.model_validate({"kind": "text", **options}))
    encoder.observe(pa.array(texts, pa.string()), np.arange(len(texts)))
    return encoder


def encode(encoder: TextEncoder, texts: list[str | None]) -> list[list[int]]:
    return encoder.encode(pa.array(texts, pa.string()), np.arange(len(texts))).tolist()


@settings(deadline=None)
@given(texts=st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_tokens_lead_back_to_the_words(texts: list[str]) -> None:
    encoder = fitted(texts, max_length=30)
    vocabulary = encoder.fitted()["vocabulary"]

    for text, tokens in zip(texts, encode(encoder, texts), strict=True):
        assert [vocabulary[token] for token in tokens if token] == words(text)[:30]


def test_frequent_words_come_first_and_equals_in_alphabetical_order() -> None:
    state = fitted(["b a c c", "D!"]).fitted()

    assert state["vocabulary"] == ["", "\ufffd", "c", "!", "a", "b", "d"]


def test_a_full_vocabulary_leaves_rare_words_out() -> None:
    encoder = fitted(["a a b"], vocabulary=3, max_length=4)

    assert encode(encoder, ["b a"]) == [[1, 2, 0, 0]]


def test_words_below_the_minimum_are_unknown() -> None:
    encoder = fitted(["a a b"], min_count=2, max_length=2)

    assert encode(encoder, ["a b"]) == [[2, 1]]


def test_longer_texts_are_cut_and_missing_ones_are_padding() -> None:
    encoder = fitted(["a b", None], max_length=1)

    assert encode(encoder, ["b a", None, ""]) == [[3], [0], [0]]


def test_numbers_are_no_text() -> None:
    with pytest.raises(DataError, match="column 'x' is of type int64, expected text for"):
        TextEncoder("x", TextFeature(kind="text")).check_type(pa.int64())
