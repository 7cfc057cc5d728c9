"""Networks for texts as word indices.

Letters: N batch, L words, E embedding size, K classes.
"""

from __future__ import annotations

import torch
from torch import nn


class BagOfWords(nn.Module):
    """The mean of a text's word embeddings, then a linear layer (fastText: Joulin et al., 2016)."""

    def __init__(
        self, vocabulary_size: int, num_classes: int, dimension: int = 64, dropout: float = 0.0
    ) -> None:
        """Build the network.

        Args:
            vocabulary_size: Number of words; the data decides it when left out of a spec.
            num_classes: K; the data decides it when left out of a spec.
            dimension: E.
            dropout: Share of embedding features dropped before the linear layer.
        """
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, dimension, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(dimension, num_classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens: [N, L] int64, 0 = padding, to logits [N, K]."""
        words = (tokens != 0).unsqueeze(2)
        mean = (self.embedding(tokens) * words).sum(1) / words.sum(1).clamp(min=1)
        logits: torch.Tensor = self.classifier(self.dropout(mean))
        return logits
