"""Where the rows come from: two spirals that wind around each other, one of each colour.

Replace this Dataset with your own. prefect-torch reads it once, from the first row to the last,
writes the rows to Parquet, and asks again only when `fingerprint()` gives another answer.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from torch.utils.data import Dataset

COLOURS = ("blue", "orange")


class Spirals(Dataset[dict[str, Any]]):
    """Points on two spirals; which one a point lies on is what the model has to learn.

    Args:
        points: Number of points on both spirals together.
        noise: Standard deviation of each point's distance from its spiral.
        seed: Decides where the points lie.
    """

    def __init__(self, points: int = 2000, noise: float = 0.03, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.spiral = np.arange(points) % 2
        turn = np.sqrt(random.uniform(0.05, 1, points))
        angle = 3.5 * np.pi * turn + np.pi * self.spiral
        on_spiral = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1)
        self.position = on_spiral + random.normal(0, noise, (points, 2))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.spiral)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one row: the columns that pipeline.yaml names, as plain Python values."""
        x, y = self.position[index].tolist()
        return {"x": x, "y": y, "label": COLOURS[self.spiral[index]]}

    def fingerprint(self) -> str:
        """Name the content: the same text for the same rows, another text for others.

        Small data can be hashed, as here. For large data, give what identifies it: a version,
        the newest timestamp in the table, the checksum of a download. Without this method the
        rows are read anew in every run, since nobody can know whether they changed.
        """
        return hashlib.sha256(self.position.tobytes() + self.spiral.tobytes()).hexdigest()
