"""A multi-layer perceptron for tables, with embeddings for categories.

Letters: N batch, F numeric columns, G category columns, K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class MLP(nn.Module):
    """Numbers and embedded categories side by side, then linear layers with ReLU between.

    Entity embeddings of categories follow Guo and Berkhahn (2016).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        cardinalities: Sequence[int] = (),
        hidden: Sequence[int] = (64, 64),
        dropout: float = 0.0,
    ) -> None:
        """Build the network.

        Args:
            in_features: F; the data decides it when left out of a spec.
            out_features: K, 1 for regression; the data decides it when left out of a spec.
            cardinalities: Number of values of each of the G category columns; the data decides it.
            hidden: Width of each hidden layer.
            dropout: Share of hidden features dropped after each hidden layer.
        """
        super().__init__()
        widths = [min(50, (size + 1) // 2) for size in cardinalities]
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, width) for size, width in zip(cardinalities, widths, strict=True)
        )
        layers: list[nn.Module] = []
        width = in_features + sum(widths)
        for size in hidden:
            layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(dropout)]
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, out_features))

    def forward(
        self, numbers: torch.Tensor | None = None, categories: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map numbers: [N, F] float32 and categories: [N, G] int64 to outputs [N, K]."""
        parts = [] if numbers is None else [numbers]
        if categories is not None:
            parts += [embed(categories[:, i]) for i, embed in enumerate(self.embeddings)]
        outputs: torch.Tensor = self.layers(torch.cat(parts, dim=1))
        return outputs
