"""Embeddings the clustering tests share."""

from __future__ import annotations

import numpy as np
import pytest


def unit(array: np.ndarray) -> np.ndarray:
    """Divide each row by its norm, as float32."""
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def blobs() -> np.ndarray:
    """60 unit vectors in 4 loose, overlapping groups."""
    rng = np.random.default_rng(5)
    return unit(rng.normal(size=(4, 6))[rng.integers(4, size=60)] + 0.5 * rng.normal(size=(60, 6)))


@pytest.fixture
def many() -> np.ndarray:
    """2,300 unit vectors, enough for the parallel kernels (n² above PARALLEL_WORK), not a multiple of WIDTH."""
    rng = np.random.default_rng(6)
    return unit(rng.normal(size=(12, 16))[rng.integers(12, size=2300)] + 0.7 * rng.normal(size=(2300, 16)))
