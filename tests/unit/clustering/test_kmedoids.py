"""KMedoids: the sweep, the choice, seeds, threads, cancelling and errors."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numba
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score

from ravl_explore.clustering import Clustering, KMedoids, choose, default_sweep
from ravl_explore.clustering.distances import cosine_distance
from ravl_explore.errors import Cancelled, InputError


def alternate_loss(distance: np.ndarray, n_clusters: int, seed: int) -> float:
    """The rival's "alternate" in short: a random start, then assign and re-centre until nothing changes."""
    rng = np.random.default_rng(seed)
    medoids = rng.choice(len(distance), n_clusters, replace=False)
    while True:
        labels = distance[:, medoids].argmin(axis=1)
        new = medoids.copy()
        for c in range(n_clusters):
            inside = np.flatnonzero(labels == c)
            if len(inside):
                new[c] = inside[distance[np.ix_(inside, inside)].sum(axis=1).argmin()]
        if (new == medoids).all():
            return float(distance[:, medoids].min(axis=1).sum(dtype=np.float64))
        medoids = new


def test_labels_loss_and_silhouette_are_those_of_the_medoids(blobs):
    distance = cosine_distance(blobs)
    for clustering in KMedoids(range(2, 9)).sweep(blobs):
        to_medoids = 1 - blobs.astype(np.float64) @ blobs[clustering.medoids].astype(np.float64).T
        np.testing.assert_array_equal(clustering.labels, to_medoids.argmin(axis=1))
        assert clustering.loss == pytest.approx(to_medoids.min(axis=1).sum(), abs=1e-5)
        expected = silhouette_score(distance, clustering.labels, metric="precomputed")
        assert clustering.silhouette == pytest.approx(expected, abs=1e-5)


def test_best_silhouette_is_chosen(blobs):
    found = list(KMedoids([5, 3, 4, 3]).sweep(blobs))
    chosen = KMedoids([5, 3, 4, 3])(blobs)
    assert [c.n_clusters for c in found] == [3, 4, 5]
    assert list(chosen.sweep.columns) == ["n_clusters", "loss", "silhouette"]
    assert chosen.sweep["n_clusters"].tolist() == [3, 4, 5]
    assert chosen.silhouette == chosen.sweep["silhouette"].max()
    pd.testing.assert_frame_equal(chosen.sweep, found[-1].sweep)
    best = found[int(chosen.sweep["silhouette"].to_numpy().argmax())]
    np.testing.assert_array_equal(chosen.labels, best.labels)
    assert chosen.loss == best.loss


@pytest.mark.parametrize(("silhouettes", "expected"), [([0.1, 0.3, 0.3], 3), ([-0.5, -0.2, -0.2], 3), ([0, 0, 0], 2)])
def test_choice_ties_and_negative_silhouettes(silhouettes, expected):
    found = []
    for k, value in zip([2, 3, 4], silhouettes, strict=True):
        table = pd.DataFrame({"n_clusters": [k], "loss": [1.0], "silhouette": [value]})
        found.append(Clustering(np.arange(k), np.arange(k), 1.0, table))
    assert choose(found).n_clusters == choose(reversed(found)).n_clusters == expected
    with pytest.raises(InputError, match="at least one clustering"):
        choose([])


def test_loss_falls_with_k_and_warm_start_is_no_worse_than_cold_alternation(many):
    distance = cosine_distance(many)
    sweep = KMedoids(range(8, 20))(many).sweep
    assert (np.diff(sweep["loss"]) < 0).all()
    for n_clusters, loss in zip(sweep["n_clusters"], sweep["loss"], strict=True):
        assert loss <= min(alternate_loss(distance, int(n_clusters), seed) for seed in range(3))


def test_warm_start_is_as_good_as_cold_start(blobs, many):
    """Both end in local optima, so either may win by a hair; over the sweep the warm start must not lose."""
    for z, numbers in ((blobs, range(2, 9)), (many, range(10, 15))):
        warm = KMedoids(numbers)(z).sweep["loss"].to_numpy()
        cold = np.array([KMedoids(k)(z).loss for k in numbers])
        assert (warm <= cold * 1.005).all()
        assert warm.sum() <= cold.sum() * 1.001


def assert_same(one: Clustering, other: Clustering) -> None:
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.medoids, other.medoids)
    pd.testing.assert_frame_equal(one.sweep, other.sweep, check_exact=True)


def test_same_seed_same_result_for_any_number_of_threads(many):
    threads = numba.get_num_threads()
    results = []
    try:
        for n_threads in {1, threads}:
            numba.set_num_threads(n_threads)
            results += [KMedoids(range(10, 14), seed=3)(many) for _ in range(2)]
    finally:
        numba.set_num_threads(threads)
    for other in results[1:]:
        assert_same(results[0], other)


def test_two_python_threads_at_once(many):
    alone = KMedoids(range(4, 8))(many)
    with ThreadPoolExecutor(2) as pool:
        for clustering in pool.map(KMedoids(range(4, 8)), [many, many]):
            assert_same(clustering, alone)


def test_max_passes_bounds_the_rounds(many):
    capped, free = KMedoids(12, max_passes=1)(many), KMedoids(12)(many)
    assert free.loss <= capped.loss


@pytest.mark.parametrize("n_regions", [2, 3, 7])
def test_identical_regions_are_refused(n_regions):
    with pytest.raises(InputError, match=f"at least two regions that differ, got {n_regions} that are all the same"):
        KMedoids(range(2, n_regions + 1))(np.tile([[0.6, 0.8]], (n_regions, 1)))


def test_no_cluster_is_empty_when_there_are_fewer_different_regions_than_clusters(blobs):
    with pytest.warns(UserWarning, match="3 clusters"):
        found = list(KMedoids(range(2, 13)).sweep(np.repeat(blobs[:3], 4, axis=0)))
    assert [clustering.n_clusters for clustering in found] == [2, 3]
    for clustering in found:
        assert np.bincount(clustering.labels, minlength=clustering.n_clusters).min() >= 1
        np.testing.assert_array_equal(clustering.labels[clustering.medoids], np.arange(clustering.n_clusters))
        assert len(set(clustering.medoids)) == clustering.n_clusters


def test_every_region_its_own_cluster(blobs):
    clustering = KMedoids(60)(blobs)
    assert sorted(clustering.labels) == list(range(60))
    assert clustering.loss == 0
    assert clustering.silhouette == 0


def test_progress_counts_numbers_of_clusters(blobs):
    calls = []
    KMedoids(range(2, 6))(blobs, progress=lambda *call: calls.append(call))
    done = [call[0] for call in calls]
    assert {call[1:] for call in calls} == {(4, "Clustering regions")}
    assert done == sorted(done)
    assert set(done) == {0, 1, 2, 3, 4}


def test_cancelling_keeps_what_is_swept(blobs):
    def progress(done: int, total: int, stage: str) -> None:
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        KMedoids(range(2, 9))(blobs, progress)
    found = []
    with pytest.raises(Cancelled):
        for clustering in KMedoids(range(2, 9)).sweep(blobs, progress):
            found.append(clustering)
    assert [c.n_clusters for c in found] == [2, 3, 4]
    assert_same(choose(found), KMedoids(range(2, 5))(blobs))


def test_every_call_of_progress_can_cancel(blobs):
    calls = []
    KMedoids([2, 4])(blobs, progress=lambda *call: calls.append(call))
    for stop in range(len(calls)):
        seen = []

        def progress(*call, stop=stop, seen=seen):
            seen.append(call)
            if len(seen) > stop:
                raise Cancelled

        with pytest.raises(Cancelled):
            KMedoids([2, 4])(blobs, progress)
        assert len(seen) == stop + 1


def test_yielded_clusterings_do_not_change_later(blobs):
    found, copies = [], []
    for clustering in KMedoids(range(2, 9)).sweep(blobs):
        found.append(clustering)
        copies.append(replace(clustering, labels=clustering.labels.copy(), medoids=clustering.medoids.copy()))
    for clustering, copy in zip(found, copies, strict=True):
        assert_same(clustering, copy)


@pytest.mark.parametrize(
    ("n_clusters", "message"),
    [
        (1, "at least 2 clusters, got n_clusters=1"),
        (range(4), "got n_clusters=0"),
        ([], "at least one number of clusters"),
        (2.5, "whole numbers"),
        ([2, "3"], "whole numbers"),
        (None, "whole numbers"),
        ([np.array([2, 3])], "whole numbers"),
        ([True, 2], "whole numbers"),
    ],
)
def test_wrong_numbers_of_clusters(n_clusters, message):
    with pytest.raises(InputError, match=message):
        KMedoids(n_clusters)


@pytest.mark.parametrize(
    "n_clusters", [[3, 2, 3], (k for k in (3, 2)), np.array([3, 2]), range(2, 4), {2, np.int64(3)}]
)
def test_numbers_of_clusters_come_in_any_kind_of_list(n_clusters):
    assert KMedoids(n_clusters).n_clusters == (2, 3)


@pytest.mark.parametrize("n_clusters", [2, np.int32(2), np.array(2)])
def test_one_number_of_clusters(n_clusters):
    assert KMedoids(n_clusters).n_clusters == (2,)


def test_other_errors(blobs):
    with pytest.raises(InputError, match=r"n_clusters=61\), got 60 regions"):
        KMedoids(range(2, 62))(blobs)
    with pytest.raises(InputError, match="max_passes"):
        KMedoids(2, max_passes=0)
    with pytest.raises(InputError, match="n_classes a whole number from 1 up, got 0"):
        default_sweep(0)


def test_default_sweep():
    assert list(default_sweep(2)) == [4, 5, 6, 7, 8, 9]


def test_importing_the_package_does_not_import_numba_or_torch():
    code = "import sys, ravl_explore.clustering; assert not {'numba', 'torch', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
