"""The silhouette from mean vectors against loops and scikit-learn, and the error of sampling it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples, silhouette_score

from ravl_explore.clustering import chunks
from ravl_explore.clustering.cosine_silhouette import cosine_silhouette
from ravl_explore.clustering.distances import cosine_distance
from ravl_explore.errors import InputError


def by_loops(z: np.ndarray, labels: np.ndarray) -> float:
    z, n = z.astype(np.float64), len(z)
    values = []
    for i in range(n):
        means = {}
        for c in set(labels.tolist()):
            others = [1 - float(z[i] @ z[j]) for j in range(n) if labels[j] == c and j != i]
            means[c] = sum(others) / len(others) if others else None
        a, b = means.pop(labels[i]), min(means.values())
        values.append(0.0 if a is None or max(a, b) == 0 else (b - a) / max(a, b))
    return sum(values) / n


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equals_a_loop(blobs, monkeypatch, dtype):
    z = blobs.astype(dtype)
    for n_clusters, rows in ((2, 1000), (5, 7), (17, 1)):
        monkeypatch.setattr(chunks, "ROWS", rows)
        labels = np.random.default_rng(n_clusters).integers(n_clusters, size=60)
        value, error = cosine_silhouette(z, labels)
        assert value == pytest.approx(by_loops(z, labels), abs=2e-6) and error == 0.0


def test_equals_scikit_learn_on_close_clusters(many):
    """Near-identical regions, where a and b are small and rounding weighs most."""
    centre = many[:6]
    labels = np.arange(len(many)) % 6
    z = centre[labels] + 0.01 * many
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    expected = silhouette_score(cosine_distance(z), labels, metric="precomputed")
    assert expected > 0.99
    assert cosine_silhouette(z, labels)[0] == pytest.approx(expected, abs=1e-5)
    mixed = np.random.default_rng(0).integers(9, size=len(z))
    expected = silhouette_score(cosine_distance(z), mixed, metric="precomputed")
    assert cosine_silhouette(z, mixed)[0] == pytest.approx(expected, abs=1e-5)


def test_alone_identical_and_empty_clusters(blobs):
    assert cosine_silhouette(blobs, np.arange(60)) == (0.0, 0.0)
    assert cosine_silhouette(np.repeat(blobs[:1], 50, axis=0), np.arange(50) % 2) == (0.0, 0.0)
    labels = np.where(np.arange(60) < 30, 1, 4)  # 0, 2 and 3 are empty
    assert cosine_silhouette(blobs, labels)[0] == pytest.approx(by_loops(blobs, labels), abs=2e-6)


def test_a_sample_is_of_the_exact_values_and_its_error_is_that_of_drawing(many):
    labels = (many @ many[:5].T).argmax(axis=1)
    each = silhouette_samples(cosine_distance(many), labels, metric="precomputed")
    drawn = [cosine_silhouette(many, labels, sample_size=200, seed=seed) for seed in range(200)]
    means, errors = np.array(drawn).T
    expected = each.std(ddof=1) / np.sqrt(200) * np.sqrt(1 - 200 / len(many))
    assert means.std() == pytest.approx(expected, rel=0.2)
    assert errors.mean() == pytest.approx(expected, rel=0.05)
    assert means.mean() == pytest.approx(each.mean(), abs=3 * expected / np.sqrt(200))
    assert drawn[0] == cosine_silhouette(many, labels, sample_size=200, seed=0)
    assert cosine_silhouette(many, labels, sample_size=2300) == cosine_silhouette(many, labels)


def test_steps(blobs, monkeypatch):
    monkeypatch.setattr(chunks, "ROWS", 40)
    heard: list[int] = []
    cosine_silhouette(blobs, np.arange(60) % 2, step=heard.append)
    assert heard == [0, 40, 60, 60, 100, 120]


def test_errors(blobs):
    with pytest.raises(InputError, match="at least two clusters, got 1"):
        cosine_silhouette(blobs, np.ones(60, int))
    with pytest.raises(InputError, match="at least 2 regions to average over"):
        cosine_silhouette(blobs, np.arange(60) % 2, sample_size=1)
