"""The network: any `torch.nn.Module` will do; pipeline.yaml names this one."""

from __future__ import annotations

from torch import Tensor, nn


class SpiralNet(nn.Module):
    """Two hidden layers.

    Args:
        in_features: Number of feature columns; filled in from the data.
        num_classes: Number of labels; filled in from the data.
        hidden: Width of the hidden layers; pipeline.yaml sets it.
    """

    def __init__(self, in_features: int, num_classes: int, hidden: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, numbers: Tensor) -> Tensor:
        """Give one score for each label; the highest one is the prediction.

        Args:
            numbers: [batch, in_features] float32, the number features in the order of the spec.

        Returns:
            [batch, num_classes] float32, before softmax.
        """
        scores: Tensor = self.layers(numbers)
        return scores
