"""The network that every side trains."""

from scaling import scaled
from torch import nn


class DigitsNet(nn.Module):
    """64 pixels -> 64 hidden units -> 10 digits."""

    def __init__(self, hidden: int = 64):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def forward(self, numbers):
        """Map pixels: [batch, 64] float32 in 0..16 to scores: [batch, 10]."""
        return self.layers(scaled(numbers))
