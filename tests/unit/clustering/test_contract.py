"""What every clusterer named in ``clustering.__all__`` must do, and how the scikit-learn-extra adapter fails."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from ravl_explore import clustering
from ravl_explore.clustering import Clara, Clusterer, Clustering, KMedoids, SklearnExtraKMedoids
from ravl_explore.errors import Cancelled, InputError, MissingDependencyError

CLUSTERERS = [
    part
    for part in map(vars(clustering).__getitem__, clustering.__all__)
    if isinstance(part, type) and isinstance(getattr(part, "name", None), str)
]


class FakeKMedoids:
    """Stands in for ``sklearn_extra.cluster.KMedoids``: the first regions as medoids; remembers how it was called."""

    calls: list[SimpleNamespace] = []  # noqa: RUF012

    def __init__(self, **settings):
        self.settings = settings

    def fit(self, distance):
        self.calls.append(SimpleNamespace(settings=self.settings, distance=distance.copy()))
        self.medoid_indices_ = np.arange(self.settings["n_clusters"], dtype=np.int32)
        self.labels_ = distance[:, self.medoid_indices_].argmin(axis=1)
        return self


@pytest.fixture
def sklearn_extra(monkeypatch) -> list[SimpleNamespace]:
    """Let ``import sklearn_extra.cluster`` find the fake; gives its calls."""
    module = ModuleType("sklearn_extra.cluster")
    module.__dict__["KMedoids"] = FakeKMedoids
    monkeypatch.setitem(sys.modules, "sklearn_extra", ModuleType("sklearn_extra"))
    monkeypatch.setitem(sys.modules, "sklearn_extra.cluster", module)
    monkeypatch.setattr(FakeKMedoids, "calls", [])
    return FakeKMedoids.calls


def test_all_names_the_clusterers():
    assert [part.__name__ for part in CLUSTERERS] == ["KMedoids", "Clara", "SklearnExtraKMedoids"]
    assert len({part.name for part in CLUSTERERS}) == len(CLUSTERERS)


@pytest.mark.usefixtures("sklearn_extra")
@pytest.mark.parametrize("part", CLUSTERERS)
class TestContract:
    def test_result(self, part, blobs):
        clusterer = part(range(2, 6), seed=1)
        assert isinstance(clusterer, Clusterer)
        before = blobs.copy()
        result = clusterer(blobs)
        np.testing.assert_array_equal(blobs, before)
        assert isinstance(result, Clustering)
        assert result.labels.shape == (60,)
        assert result.labels.dtype == result.medoids.dtype == np.int64
        np.testing.assert_array_equal(np.unique(result.labels), np.arange(result.n_clusters))
        np.testing.assert_array_equal(result.labels[result.medoids], np.arange(result.n_clusters))
        z = blobs.astype(np.float64)
        loss = sum(1 - z[o] @ z[result.medoids[result.labels[o]]] for o in range(60))
        assert result.loss == pytest.approx(loss, abs=1e-5)
        assert list(result.sweep.columns)[:3] == ["n_clusters", "loss", "silhouette"]
        assert result.sweep["n_clusters"].tolist() == [2, 3, 4, 5]
        assert result.silhouette == result.sweep["silhouette"].max()
        assert result.loss == result.sweep["loss"][result.n_clusters - 2]
        assert "n_clusters=[2, 3, 4, 5], seed=1" in repr(clusterer)

    def test_progress_and_cancelling(self, part, blobs):
        calls = []
        part(range(2, 6))(blobs, lambda *call: calls.append(call))
        done, (total,), (stage,) = [call[0] for call in calls], {call[1] for call in calls}, {call[2] for call in calls}
        assert (done[0], done[-1], stage) == (0, total, "Clustering regions")
        assert done == sorted(done) and len(set(done)) >= 4

        def cancel(*_call):
            raise Cancelled

        with pytest.raises(Cancelled):
            part(3)(blobs, cancel)

    def test_errors(self, part, blobs):
        with pytest.raises(InputError, match="unit norm"):
            part(3)(2 * blobs)
        with pytest.raises(InputError, match="n_clusters=61"):
            part(61)(blobs)
        with pytest.raises(InputError, match="at least 2 clusters"):
            part(1)


COPIES = [2, 7]  # of these two regions there are 15 each


@pytest.mark.parametrize("part", [KMedoids, Clara])
class TestFewerRegionsThanClusters:
    """Identical regions are one point: no cluster may stand where another stands."""

    @pytest.mark.parametrize("numbers", [[5], [2, 3, 4], [2], [4, 9]])
    @pytest.mark.parametrize("noise", [0, 3e-8])
    def test_there_are_as_many_as_differ(self, part, blobs, numbers, noise):
        copies = np.repeat(blobs[COPIES], 15, axis=0)
        copies = copies + noise * np.random.default_rng(0).normal(size=copies.shape).astype(np.float32)
        copies = copies[np.random.default_rng(1).permutation(30)]
        told = (
            pytest.warns(UserWarning, match=f"^2 clusters were made, not {numbers[-1]}")
            if numbers != [2]
            else nullcontext()
        )
        with told:
            result = part(numbers, seed=0)(copies)
        assert result.n_clusters == 2 and sorted(np.bincount(result.labels)) == [15, 15]
        assert result.sweep["n_clusters"].tolist() == [2]
        assert result.silhouette == pytest.approx(1, abs=1e-4)

    def test_smaller_numbers_are_tried_all_the_same(self, part, blobs):
        copies = np.concatenate([np.repeat(blobs[:4], 5, axis=0), blobs[:1]])
        with pytest.warns(UserWarning, match="4 clusters"):
            result = part([2, 3, 6, 8], seed=0)(copies)
        assert result.sweep["n_clusters"].tolist() == [2, 3, 4]

    def test_one_region_many_times_is_refused(self, part, blobs):
        with pytest.raises(InputError, match="at least two regions that differ, got 9 that are all the same"):
            part([2, 3])(np.repeat(blobs[:1], 9, axis=0))


@pytest.mark.usefixtures("sklearn_extra")
@pytest.mark.parametrize("numbers", [[2, 3, 4], [5], [2]])
def test_adapter_gives_as_many_clusters_as_regions_differ(blobs, numbers):
    copies = np.tile(blobs[COPIES], (15, 1))  # the stand-in's medoids are the first regions
    with pytest.warns(UserWarning, match="^2 clusters") if numbers != [2] else nullcontext():
        result = SklearnExtraKMedoids(numbers)(copies)
    assert result.sweep["n_clusters"].tolist() == [2] and list(result.sweep.columns)[-1] == "silhouette"
    assert np.bincount(result.labels).tolist() == [15, 15]
    with pytest.raises(InputError, match="at least two regions that differ"):
        SklearnExtraKMedoids(3)(np.repeat(blobs[:1], 5, axis=0))


def test_a_sample_that_misses_what_differs_gives_fewer(blobs):
    """CLARA sees copies alone: what it gives is no two clusters of one point."""
    copies = np.concatenate([np.repeat(blobs[COPIES], 500, axis=0), blobs[20:24]])
    with pytest.warns(UserWarning, match="clusters were made, not 6"):
        result = Clara([6], seed=0, sample_size=10, n_samples=1)(copies)
    assert 2 <= result.n_clusters <= 6
    assert len(np.unique(copies[result.medoids], axis=0)) == result.n_clusters


@pytest.mark.parametrize("part", CLUSTERERS)
@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        (10**12, "at most 100,000 clusters"),
        (range(2, 10**15), "at most 100,000 clusters"),
        ([3, True], "whole numbers of clusters, got True"),
        ([3, 2.5], "whole numbers of clusters, got 2.5"),
        ("3", "whole numbers of clusters, got '3'"),
        (range(9, 2), "at least one number of clusters"),
        (None, "whole numbers of clusters, got None"),
    ],
)
def test_impossible_numbers_are_refused_at_once(part, numbers, told):
    with pytest.raises(InputError, match=told):
        part(numbers)


@pytest.mark.parametrize("part", CLUSTERERS)
@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, "0", None, True])
def test_seeds_that_nobody_can_hold(part, seed):
    with pytest.raises(InputError, match="seed a whole number"):
        part(3, seed=seed)


def test_adapter_runs_as_the_released_code(blobs, sklearn_extra):
    result = SklearnExtraKMedoids([4, 3], seed=0)(blobs)
    settings = {"metric": "precomputed", "method": "alternate", "init": "k-medoids++", "max_iter": 300}
    expected = [{"n_clusters": k, **settings, "random_state": 0} for k in (3, 4, result.n_clusters)]
    assert [call.settings for call in sklearn_extra] == expected
    distance = sklearn_extra[0].distance
    np.testing.assert_allclose(distance, np.clip(1 - blobs @ blobs.T, 0, 1), atol=1e-6)
    assert (blobs @ blobs.T).min() < -0.1  # so that the clip at 1 matters here


@pytest.mark.usefixtures("sklearn_extra")
def test_adapter_with_undefined_silhouettes(blobs):
    """Each region its own cluster: 0, where scikit-learn raises."""
    assert SklearnExtraKMedoids(5)(blobs[:5]).silhouette == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (None, "ModuleNotFoundError"),
        ("raise ValueError('numpy.dtype size changed')", "ValueError: numpy.dtype size changed"),
    ],
)
def test_adapter_says_why_it_cannot_import(blobs, monkeypatch, tmp_path, code, reason):
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn_extra"]:
        monkeypatch.delitem(sys.modules, name)
    if code is None:
        monkeypatch.setitem(sys.modules, "sklearn_extra", None)
    else:
        (tmp_path / "sklearn_extra").mkdir()
        (tmp_path / "sklearn_extra" / "__init__.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match=reason) as error:
        SklearnExtraKMedoids(3)(blobs)
    assert "conda-forge" in error.value.remedy
    assert "numpy<2" in error.value.remedy
