"""Convolutional networks for small pictures.

Letters: N batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class SmallCNN(nn.Module):
    """Convolution, normalisation, ReLU, pooling, once per entry of `channels`; then a linear layer.

    The arrangement of LeNet-5 (LeCun et al., 1998) with batch normalisation (Ioffe and Szegedy,
    2015) and global average pooling (Lin et al., 2014) in place of its dense layers.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: Sequence[int] = (32, 64),
        dropout: float = 0.0,
    ) -> None:
        """Build the network.

        Args:
            in_channels: C of the pictures; the data decides it when left out of a spec.
            num_classes: K; the data decides it when left out of a spec.
            channels: Output channels of each block; every block but the last halves H and W.
            dropout: Share of features dropped before the linear layer.
        """
        super().__init__()
        blocks: list[nn.Module] = []
        for index, width in enumerate(channels):
            blocks += [
                nn.Conv2d(in_channels, width, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            if index < len(channels) - 1:
                blocks.append(nn.MaxPool2d(2))
            in_channels = width
        self.features = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(in_channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x: [N, C, H, W] float32 to logits [N, K]."""
        features = self.pool(self.features(x)).flatten(1)
        logits: torch.Tensor = self.classifier(self.dropout(features))
        return logits
