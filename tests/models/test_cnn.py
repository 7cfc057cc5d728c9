"""SmallCNN takes pictures of any size and gives a logit a class."""

import pytest
import torch

from prefect_torch.models.cnn import SmallCNN


@pytest.mark.parametrize("channels", [(4,), (4, 8), (4, 8, 16)])
@pytest.mark.parametrize("size", [(8, 8), (7, 12)])
def test_pictures_become_a_logit_a_class(channels: tuple[int, ...], size: tuple[int, int]) -> None:
    model = SmallCNN(in_channels=3, num_classes=5, channels=channels)
    assert model(torch.rand(2, 3, *size)).shape == (2, 5)


def test_every_parameter_learns() -> None:
    model = SmallCNN(in_channels=1, num_classes=2, channels=(4, 8), dropout=0.5)
    model(torch.rand(4, 1, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_dropout_is_off_while_evaluating() -> None:
    model = SmallCNN(in_channels=1, num_classes=2, dropout=0.9).eval()
    pictures = torch.rand(2, 1, 8, 8)
    assert torch.equal(model(pictures), model(pictures))
