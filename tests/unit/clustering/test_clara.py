"""CLARA: the best of all samples by the loss on all regions, from memory-mapped files, in any blocks."""

from __future__ import annotations

import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ravl_explore.clustering import Clara, Clustering, KMedoids, choose, chunks
from ravl_explore.errors import Cancelled, InputError


def full_loss(z: np.ndarray, medoids: np.ndarray) -> float:
    """Summed distance to the nearest medoid, by loops, in double precision."""
    z = z.astype(np.float64)
    return sum(0.0 if i in medoids else min(1 - float(z[i] @ z[m]) for m in medoids) for i in range(len(z)))


class Spied(Clara):
    """Remembers what each search was given and found."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.searches: list[tuple[np.ndarray, np.ndarray, int, np.ndarray]] = []

    def _search(self, embeddings, sample, medoids, n_clusters, seed, tick):
        found = super()._search(embeddings, sample, medoids, n_clusters, seed, tick)
        self.searches.append((sample.rows, medoids.copy(), n_clusters, found.copy()))
        return found


def assert_same(one: Clustering, other: Clustering) -> None:
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.medoids, other.medoids)
    pd.testing.assert_frame_equal(one.sweep, other.sweep, check_exact=True)


def test_the_best_medoids_on_all_regions_are_kept_and_carried_on(blobs):
    """Kaufman & Rousseeuw's steps by hand, on what each sample's search found."""
    n_not_last = 0
    for seed in range(6):
        spied = Spied([4, 6], seed=seed, sample_size=15)
        results = {each.n_clusters: each for each in spied.sweep(blobs)}
        best, searches = np.empty(0, int), iter(spied.searches)
        for n_clusters in (4, 6):
            losses = []
            for place in range(5):
                sample, medoids, k, found = next(searches)
                assert k == n_clusters == len(set(found)) and len(sample) == 15
                assert sorted(medoids) == sorted(best), "the best so far come along"
                assert set(found) <= set(sample) | set(medoids)
                losses.append(full_loss(blobs, found))
                if losses[-1] < min(losses[:-1], default=np.inf) - 1e-9:
                    best, at = found, place
            n_not_last += at < 4
            assert results[n_clusters].loss == pytest.approx(min(losses), abs=1e-5)
            np.testing.assert_array_equal(results[n_clusters].medoids, best)
    assert n_not_last > 3, "else keeping the last would pass too"


def test_a_search_ends_where_no_swap_within_its_sample_helps(blobs):
    spied = Spied(5, sample_size=20)
    spied(blobs)
    for sample, medoids, _, found in spied.searches:
        pool = np.union1d(sample, medoids)
        z = blobs[pool].astype(np.float64)
        distance = 1 - z @ z.T
        np.fill_diagonal(distance, 0)
        at = np.searchsorted(pool, found)
        reached = distance[:, at].min(axis=1).sum()
        for slot, new in product(range(5), range(len(pool))):
            swapped = at.copy()
            swapped[slot] = new
            assert distance[:, swapped].min(axis=1).sum() >= reached - 1e-6


def test_samples_differ_and_belong_to_the_seed(many):
    def samples(seed: int) -> list[np.ndarray]:
        spied = Spied(3, seed=seed, sample_size=50, n_samples=4)
        spied(many)
        return [each[0] for each in spied.searches]

    assert len({tuple(each) for each in [*samples(0), *samples(1)]}) == 8
    np.testing.assert_array_equal(samples(1), samples(1))
    assert np.concatenate(samples(0)).max() > 2000, "from all over the regions"


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, 60), ({"sample_size": 7}, 9), ({"sample_size": 30}, 30), ({"sample_size": 99}, 60)]
)
def test_sample_sizes(blobs, settings, expected):
    """Always room for one region more than medoids, never more than there are; then one sample is all it takes."""
    spied = Spied([2, 8], **settings)
    spied(blobs)
    assert {len(each[0]) for each in spied.searches} == {expected}
    assert len(spied.searches) == (2 if expected == 60 else 10)


def test_the_default_sample_grows_with_the_clusters():
    z = np.tile(np.eye(1, 2), (7000, 1))
    assert [len(Clara(k, n_samples=1)._samples(z, lambda: None)[0].rows) for k in (20, 3000)] == [4000, 6040]


def test_a_sample_of_all_regions_is_kmedoids(blobs, many):
    for z, numbers in ((blobs, range(2, 9)), (many, range(8, 12))):
        for clara, exact in zip(Clara(numbers, seed=4).sweep(z), KMedoids(numbers, seed=4).sweep(z), strict=True):
            np.testing.assert_array_equal(clara.medoids, exact.medoids)
            np.testing.assert_array_equal(clara.labels, exact.labels)
            assert clara.loss == pytest.approx(exact.loss, rel=1e-6)
            assert clara.silhouette == pytest.approx(exact.silhouette, abs=1e-5)


def test_larger_samples_come_close_to_kmedoids(many):
    exact = KMedoids(12)(many).loss
    losses = [Clara(12, sample_size=size)(many).loss for size in (64, 600)]
    assert exact <= losses[1] < losses[0]
    assert losses[1] < 1.02 * exact


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_memory_mapped_files_give_the_same_and_are_never_copied(tmp_path: Path, dtype, monkeypatch):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(9, 128))[rng.integers(9, size=40_000)] + 0.6 * rng.normal(size=(40_000, 128))
    z = (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(dtype)
    file = tmp_path / "region.npy"
    np.save(file, z)
    clara = Clara([6, 8], sample_size=200)
    expected = clara(z.astype(np.float32))
    monkeypatch.setattr(chunks, "ROWS", 1000)
    mapped = np.load(file, mmap_mode="r")
    chunks.as_single(mapped[:1])  # loads what was compiled, which takes memory, too
    tracemalloc.start()
    try:
        got = clara(mapped)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(got.medoids, expected.medoids)
    np.testing.assert_array_equal(got.labels, expected.labels)
    assert got.loss == pytest.approx(expected.loss, rel=1e-6)
    assert peak < 5e6, "the embeddings have 20 MB as float32, 10 MB as float16"


def test_the_size_of_the_blocks_does_not_matter(many, monkeypatch):
    expected = Clara([5, 9], sample_size=100, seed=2)(many)
    for rows in (7, 1024, 10**6):
        monkeypatch.setattr(chunks, "ROWS", rows)
        got = Clara([5, 9], sample_size=100, seed=2)(many)
        np.testing.assert_array_equal(got.medoids, expected.medoids)
        np.testing.assert_array_equal(got.labels, expected.labels)
        np.testing.assert_allclose(got.sweep, expected.sweep, rtol=1e-6)


def test_same_seed_same_result(many):
    clara = Clara(range(8, 11), seed=3, sample_size=80)
    assert_same(clara(many), clara(many))


def test_choosing_keeps_the_column_of_errors(many):
    for sample, least in ((None, 0.0), (100, 1e-6)):
        found = list(Clara([3, 5, 7], sample_size=80, silhouette_sample=sample).sweep(many))
        chosen = choose(found)
        assert list(chosen.sweep.columns) == ["n_clusters", "loss", "silhouette", "silhouette_error"]
        pd.testing.assert_frame_equal(chosen.sweep, found[-1].sweep)
        assert chosen.silhouette == chosen.sweep["silhouette"].max()
        assert (chosen.sweep["silhouette_error"] >= least).all() and chosen.sweep["silhouette_error"].max() <= 0.1


@pytest.mark.parametrize("n_regions", [2, 3, 40])
def test_identical_regions_are_refused(n_regions):
    with pytest.raises(InputError, match=f"at least two regions that differ, got {n_regions} that are all the same"):
        Clara(range(2, min(n_regions, 6) + 1), sample_size=10)(np.tile([[0.6, 0.8]], (n_regions, 1)))


def test_no_cluster_is_empty_when_there_are_fewer_different_regions_than_clusters(blobs):
    with pytest.warns(UserWarning, match="3 clusters"):
        found = list(Clara(range(2, 13), sample_size=14).sweep(np.repeat(blobs[:3], 10, axis=0)))
    assert [clustering.n_clusters for clustering in found] == [2, 3]
    for clustering in found:
        assert np.bincount(clustering.labels, minlength=clustering.n_clusters).min() >= 1
        np.testing.assert_array_equal(clustering.labels[clustering.medoids], np.arange(clustering.n_clusters))
        assert len(set(clustering.medoids)) == clustering.n_clusters


def test_progress_is_a_live_percentage(many, monkeypatch):
    monkeypatch.setattr(chunks, "ROWS", 300)
    calls = []
    Clara([4, 8], sample_size=80)(many, lambda *call: calls.append(call))
    done = [call[0] for call in calls]
    assert {call[1:] for call in calls} == {(100, "Clustering regions")}
    assert done == sorted(done) and done[0] == 0 and done[-1] == 100
    assert len(set(done)) > 60
    first = [each for each in done if each < 34]  # 4 clusters take a third of the time that 12 take
    assert 40 < len(first) < 130


def test_every_call_of_progress_can_cancel(blobs):
    calls = []
    clara = Clara([2, 4], sample_size=20, n_samples=2)
    clara(blobs, progress=lambda *call: calls.append(call))
    for stop in range(len(calls)):
        seen = []

        def progress(*call, stop=stop, seen=seen):
            seen.append(call)
            if len(seen) > stop:
                raise Cancelled

        with pytest.raises(Cancelled):
            clara(blobs, progress)
        assert len(seen) == stop + 1


def test_yielded_clusterings_do_not_change_later(blobs):
    found = [
        (each, each.labels.copy(), each.medoids.copy()) for each in Clara(range(2, 9), sample_size=20).sweep(blobs)
    ]
    for clustering, labels, medoids in found:
        np.testing.assert_array_equal(clustering.labels, labels)
        np.testing.assert_array_equal(clustering.medoids, medoids)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_size": 0}, "sample_size a whole number from 1 up, got 0"),
        ({"n_samples": 0}, "n_samples a whole number from 1 up"),
        ({"silhouette_sample": 1}, "silhouette_sample a whole number from 2 up"),
        ({"max_passes": 0}, "max_passes a whole number from 1 up"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(InputError, match=message):
        Clara(3, **settings)
