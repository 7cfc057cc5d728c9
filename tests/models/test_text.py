"""BagOfWords is the mean of its words: padding and order count nothing."""

import torch

from prefect_torch.models.text import BagOfWords


def _model() -> BagOfWords:
    torch.manual_seed(0)
    return BagOfWords(vocabulary_size=10, num_classes=3).eval()


def test_texts_become_a_logit_a_class() -> None:
    assert _model()(torch.randint(0, 10, (4, 7))).shape == (4, 3)


def test_padding_and_order_decide_nothing() -> None:
    model = _model()
    logits = model(torch.tensor([[2, 3, 0, 0], [3, 2, 0, 0]]))
    torch.testing.assert_close(logits[0], logits[1])
    torch.testing.assert_close(model(torch.tensor([[2, 3]]))[0], logits[0])


def test_a_text_without_words_gives_finite_logits() -> None:
    assert _model()(torch.zeros(1, 4, dtype=torch.int64)).isfinite().all()
