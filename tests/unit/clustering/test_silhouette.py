"""The silhouette against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from ravl_explore.clustering.distances import cosine_distance
from ravl_explore.clustering.silhouette import Silhouettes, silhouette
from ravl_explore.errors import InputError


@pytest.mark.parametrize("n_clusters", [2, 5, 17])
def test_equals_scikit_learn(blobs, many, n_clusters):
    for z in (blobs, many):
        distance = cosine_distance(z)
        labels = np.random.default_rng(n_clusters).integers(n_clusters, size=len(z))
        labels[distance[0] < 0.3] = 0
        expected = silhouette_score(distance, labels, metric="precomputed")
        assert silhouette(distance, labels) == pytest.approx(expected, abs=1e-5)


def test_by_hand():
    """Points 0, 1 | 4: (4 - 1) / 4 and (3 - 1) / 3, and 0 for the one alone."""
    points = np.array([0.0, 1.0, 4.0], dtype=np.float32)
    distance = np.abs(points[:, None] - points)
    assert silhouette(distance, np.array([0, 0, 1])) == pytest.approx((3 / 4 + 2 / 3 + 0) / 3)


def test_singletons_count_zero(blobs):
    distance = cosine_distance(blobs)
    labels = np.zeros(len(blobs), dtype=int)
    labels[[3, 9]] = [1, 2]
    assert silhouette(distance, labels) == pytest.approx(
        silhouette_score(distance, labels, metric="precomputed"), abs=1e-5
    )
    assert silhouette(distance, np.arange(len(blobs))) == 0.0


def test_identical_points_count_zero():
    assert silhouette(np.zeros((4, 4), dtype=np.float32), np.array([0, 1, 0, 1])) == 0.0


def test_one_labelling_after_another_is_as_each_alone(many):
    distance = cosine_distance(many)
    rng = np.random.default_rng(0)
    silhouettes, labels = Silhouettes(distance, 9), rng.integers(4, size=len(many))
    for n_clusters in (4, 6, 9):
        moved = rng.random(len(labels)) < 0.1
        labels = np.where(moved, rng.integers(n_clusters, size=len(labels)), labels)
        assert silhouettes(labels) == silhouette(distance, labels)


def test_labels_may_be_any_integers(blobs):
    distance, labels = cosine_distance(blobs), np.arange(60) % 3
    assert silhouette(distance, labels * 10 - 4) == silhouette(distance, labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.zeros(60, dtype=int), "at least two clusters, got 1"), (np.arange(5), r"5 labels for shape \(60, 60\)")],
)
def test_errors(blobs, labels, message):
    with pytest.raises(InputError, match=message):
        silhouette(cosine_distance(blobs), labels)
