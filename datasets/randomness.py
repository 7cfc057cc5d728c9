"""Random numbers as a function of what they are for, not of what was drawn before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def mixed_seed(*numbers: int) -> int:
    """Mix numbers of at least 0 into one 63-bit seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def seed_all(*numbers: int) -> None:
    """Seed the CPU's global generators of torch, `random` and NumPy from some numbers."""
    seed = mixed_seed(*numbers)
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Leave those generators as they were."""
    kept = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        random.setstate(kept[1])
        np.random.set_state(kept[2])
