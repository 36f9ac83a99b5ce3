"""nearest_medoid() against a loop, with ties and twins."""

from __future__ import annotations

import numpy as np
import pytest

from ravl_explore.clustering import chunks
from ravl_explore.clustering.nearest import nearest_medoid
from ravl_explore.errors import Cancelled


def by_loops(z: np.ndarray, medoids: np.ndarray) -> tuple[list[int], float]:
    labels, loss = [], 0.0
    for i, row in enumerate(z.astype(np.float64)):
        distance = [0.0 if i == m else 1 - float(row @ z[m].astype(np.float64)) for m in medoids]
        labels.append(list(medoids).index(i) if i in medoids else int(np.argmin(distance)))
        loss += distance[labels[-1]]
    return labels, loss


@pytest.mark.parametrize("rows", [1, 7, 60, 1000])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equals_a_loop(blobs, monkeypatch, rows, dtype):
    monkeypatch.setattr(chunks, "ROWS", rows)
    z, medoids = blobs.astype(dtype), np.array([41, 3, 17, 9])
    labels, loss = nearest_medoid(z, medoids)
    expected, expected_loss = by_loops(z, medoids)
    assert labels.tolist() == expected and labels.dtype == np.int64
    assert loss == pytest.approx(expected_loss, abs=2e-5)


def test_the_first_of_identical_medoids_wins_but_each_keeps_itself():
    """20 medoids with the same embedding, in other columns of the product, and so perhaps rounded otherwise."""
    rng = np.random.default_rng(0)
    z = np.repeat(rng.normal(size=(30, 37)), 20, axis=0)
    z = (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)
    medoids = np.arange(300)[::-1].copy()
    labels, loss = nearest_medoid(z, medoids)
    np.testing.assert_array_equal(labels[medoids], np.arange(300))
    first = 300 - 20 * np.arange(1, 16)  # the first medoid of each group of 20 twins
    found, counts = np.unique(labels[300:], return_counts=True)
    assert set(found) <= set(first) and counts.sum() == 300
    assert loss == pytest.approx(by_loops(z, medoids)[1], abs=1e-3)


def test_norms_within_tolerance_give_no_negative_distance():
    z = np.array([[1.0005, 0.0], [1.0005, 0.0], [-1.0005, 0.0], [0.0, 1.0]], dtype=np.float32)
    assert nearest_medoid(z, np.array([0, 3]))[1] == pytest.approx(0.0 + 1.0, abs=1e-6)


def test_steps_can_cancel(blobs, monkeypatch):
    monkeypatch.setattr(chunks, "ROWS", 25)
    heard: list[int] = []
    nearest_medoid(blobs, np.array([0, 1]), heard.append)
    assert heard == [0, 25, 50, 60]

    def stop(rows: int) -> None:
        if rows == 50:
            raise Cancelled

    with pytest.raises(Cancelled):
        nearest_medoid(blobs, np.array([0, 1]), stop)
