"""MLP takes numbers, categories, or both."""

import torch

from prefect_torch.models.mlp import MLP


def test_numbers_alone() -> None:
    assert MLP(3, 2)(torch.rand(5, 3)).shape == (5, 2)


def test_categories_alone() -> None:
    model = MLP(0, 2, cardinalities=[4, 7])
    assert model(categories=torch.tensor([[3, 6], [0, 0]])).shape == (2, 2)


def test_both_side_by_side_and_each_decides_the_output() -> None:
    torch.manual_seed(0)
    model = MLP(1, 1, cardinalities=[3], hidden=[8])
    numbers = torch.tensor([[0.0], [0.0], [1.0]])
    categories = torch.tensor([[1], [2], [1]])
    first, other_category, other_number = model(numbers, categories).flatten().tolist()
    assert first != other_category
    assert first != other_number


def test_without_hidden_layers_it_is_a_linear_model() -> None:
    model = MLP(3, 2, hidden=[])
    numbers = torch.rand(4, 3)
    torch.testing.assert_close(
        model(numbers * 2) - model(numbers), model(numbers) - model(numbers * 0)
    )


def test_an_embedding_has_half_the_width_of_its_values_and_at_most_50() -> None:
    model = MLP(0, 2, cardinalities=[1, 9, 1000])
    assert [embedding.embedding_dim for embedding in model.embeddings] == [1, 5, 50]
