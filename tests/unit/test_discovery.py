"""discover() keeps, ranks and explains clusters as RaVL's Section 3.1 says, and an empty result is a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ravl_explore as rx
from ravl_explore.clustering.base import Clustering
from ravl_explore.discovery import MIN_INFLUENCE, Discovery, discover, score_clusters
from ravl_explore.errors import InputError
from ravl_explore.scores import Scores

SWEEP = pd.DataFrame({"n_clusters": [3], "loss": [0.0], "silhouette": [0.5]})


@pytest.fixture
def worked(make_embeddings: Callable[..., Any]) -> tuple[Scores, Clustering]:
    """Sixteen images of two regions and two classes, three clusters, scored by hand.

    Cluster 0 is in images 0 to 7, beside cluster 2; images 8 to 15 hold cluster 1 and 2. Class 0 (even images) is right
    only with cluster 0; class 1 (odd ones) only without it, and then its region is the top one.
    """
    region = np.tile(np.eye(3, 4, dtype=np.float32)[[0, 2]], (16, 1))
    region[16::2] = np.eye(4, dtype=np.float32)[1]
    clusters = np.tile([0, 2], 16)
    clusters[16::2] = 1
    embeddings = make_embeddings(
        counts=(2,) * 16, n_classes=2, dim=4, region=region, labels=np.tile([0, 1], 8), class_names=("shirt", "bag")
    )
    predictions = np.where(np.arange(16) < 8, 0, 1)
    shows, hides = np.eye(2)[predictions] * 0.8 + 0.1, np.eye(2)[1 - predictions] * 0.8 + 0.1
    region_scores = np.stack([shows, hides], axis=1).reshape(32, 2)  # the first region is each image's top one
    scores = Scores(np.eye(2)[predictions], region_scores, embeddings)
    return scores, Clustering(clusters, np.array([0, 16, 1]), 0.0, SWEEP)


def test_a_worked_case(worked: tuple[Scores, Clustering]) -> None:
    found = rx.discover(*worked)
    assert isinstance(found, rx.Discovery) and (found.min_influence, found.rule) == (0.25, "paper")
    zero, one, two = (found.feature(c) for c in range(3))
    assert (zero.influence, one.influence, two.influence) == (1.0, 1.0, -np.inf)
    assert (zero.performance_gap, one.performance_gap, two.performance_gap) == (2.0, 2.0, 0.0)
    assert (zero.attribute, one.attribute, two.attribute) == ("shirt", "bag", None)
    assert [each.cluster for each in found.clusters] == [0, 1, 2]
    assert [each.cluster for each in found.features] == [0, 1] and found.best is found.features[0]
    assert (zero.reason, one.reason, two.reason) == ("", "", "no error image qualifies")
    assert (zero.n_regions, zero.n_images, two.n_images) == (8, 8, 16)
    assert zero.table["gap"].tolist() == [1.0, -1.0] and zero.table["class_name"].tolist() == ["shirt", "bag"]
    assert zero.table[["n_in", "n_out"]].to_numpy().tolist() == [[4, 4], [4, 4]]
    assert found.medoids is found.medoids and (found.medoids == np.eye(3, 4)).all()
    assert found.choose(0).medoids is found.choose(1).medoids is found.medoids


def test_threshold_is_inclusive(worked: tuple[Scores, Clustering]) -> None:
    scores, clustering = worked
    region_scores = scores.region.copy()
    region_scores[[2, 6]] = [0, 1]  # of the four errors of cluster 0, two now look at cluster 2
    halved = Scores(scores.image, region_scores, scores.embeddings)
    assert discover(halved, clustering, min_influence=0.5).feature(0).kept
    pruned = discover(halved, clustering, min_influence=0.51)
    assert not pruned.feature(0).kept and pruned.feature(0).reason == "influence 0.50 below 0.51"
    assert [each.cluster for each in pruned.features] == [1]
    assert [each.cluster for each in pruned.clusters] == [1, 0, 2], "kept ones first, then by gap"


def test_default_threshold_is_the_papers() -> None:
    assert MIN_INFLUENCE == 0.25


# --- order and reasons ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rule", ["paper", "released"])
def test_order_and_reasons(make_discovery: Callable[..., Any], seed: int, rule: str) -> None:
    found: Discovery = make_discovery(seed, n_clusters=8, min_influence=0.3, rule=rule)
    assert sorted(each.cluster for each in found.clusters) == list(range(8))
    kept = [each.kept for each in found.clusters]
    assert kept == sorted(kept, reverse=True), "kept ones first"
    for part in (True, False):
        gaps = [each.performance_gap for each in found.clusters if each.kept == part]
        assert gaps == sorted(gaps, reverse=True)
    for each in found.clusters:
        gap = each.table["gap"]
        if each.influence == -np.inf:
            expected = "no error image qualifies"
        elif each.influence < 0.3:
            expected = f"influence {each.influence:.2f} below 0.3"
        elif rule == "released" and not ((gap > 0).any() and (gap < 0).any()):
            expected = "gaps of one sign only"
        else:
            expected = ""
        assert each.reason == expected and each.kept == (expected == "")
    assert found.features == tuple(each for each in found.clusters if each.kept)


def test_one_sided_clusters_are_pruned_by_the_released_rule_only(make_discovery: Callable[..., Any]) -> None:
    pairs = [
        (make_discovery(seed, min_influence=0, rule="paper"), make_discovery(seed, min_influence=0, rule="released"))
        for seed in range(8)
    ]
    one_sided = [
        (paper.feature(each.cluster).kept, each.kept)
        for paper, released in pairs
        for each in released.clusters
        if each.reason == "gaps of one sign only"
    ]
    assert one_sided and set(one_sided) == {(True, False)}


def test_ties_go_by_influence_then_by_number(worked: tuple[Scores, Clustering]) -> None:
    scores, clustering = worked
    region_scores = scores.region.copy()
    region_scores[0::2][1] = [0, 1]  # one error of cluster 0 looks elsewhere: the same gap, less influence
    found = discover(Scores(scores.image, region_scores, scores.embeddings), clustering)
    assert [each.performance_gap for each in found.features] == [2.0, 2.0]
    assert [each.cluster for each in found.features] == [1, 0]
    assert [each.influence for each in found.features] == [1.0, 0.75]
    assert [each.cluster for each in discover(scores, clustering).features] == [0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_members_are_ranked_by_similarity_to_the_medoid(make_discovery: Callable[..., Any], seed: int) -> None:
    found: Discovery = make_discovery(seed)
    region, labels = found.scores.embeddings.region, found.clustering.labels
    for each in found.clusters:
        medoid = int(found.clustering.medoids[each.cluster])
        assert sorted(each.region_index) == np.flatnonzero(labels == each.cluster).tolist()
        assert each.region_index[0] == medoid
        similarity = region[each.region_index] @ region[medoid]
        assert (np.diff(similarity) <= 1e-6).all()
        image_index = found.scores.embeddings.regions.image_index
        assert each.n_images == len(set(image_index[each.region_index].tolist()))


def test_attribute_is_the_class_that_gains_most_unweighted(make_discovery: Callable[..., Any]) -> None:
    found: Discovery = make_discovery(1)
    for each in found.clusters:
        gain = (each.table["accuracy_in"] - each.table["accuracy_out"]).tolist()
        assert each.attribute == each.table["class_name"][gain.index(max(gain))]


# --- tables -----------------------------------------------------------------------------------------------------------


def test_frame_and_gaps(make_discovery: Callable[..., Any]) -> None:
    found: Discovery = make_discovery()
    frame, gaps = found.frame(), found.gaps()
    assert frame["rank"].tolist() == [1, 2, 3, 4, 5]
    for row, each in zip(frame.itertuples(), found.clusters, strict=True):
        assert (row.cluster, row.kept, row.reason, row.n_regions) == (
            each.cluster,
            each.kept,
            each.reason,
            each.n_regions,
        )
        assert (row.influence, row.performance_gap, row.attribute) == (
            each.influence,
            each.performance_gap,
            each.attribute,
        )
    assert len(gaps) == 5 * 3
    summed = gaps.assign(gap=gaps["gap"].abs()).groupby("cluster")["gap"].sum()
    for each in found.clusters:
        assert summed[each.cluster] == pytest.approx(each.performance_gap)
    _, expected, influences = score_clusters(found.scores, found.clustering.labels, 5)
    np.testing.assert_allclose([found.feature(c).performance_gap for c in range(5)], expected.total)
    np.testing.assert_allclose([found.feature(c).influence for c in range(5)], influences)


# --- empty results ----------------------------------------------------------------------------------------------------


def test_no_error_no_feature(worked: tuple[Scores, Clustering]) -> None:
    scores, clustering = worked
    right = Scores(np.eye(2)[scores.embeddings.labels], scores.region, scores.embeddings)
    found = discover(right, clustering)
    assert found.features == () and len(found.frame()) == 3 and not found.frame()["kept"].any()
    assert found.why_none() == "the model made no error on these images, so nothing can have influenced one"
    with pytest.raises(InputError, match="made no error"):
        _ = found.best


def test_no_cluster_survives(worked: tuple[Scores, Clustering]) -> None:
    scores, clustering = worked
    looking_away = Scores(scores.image, scores.region[:, ::-1], scores.embeddings)
    found = discover(looking_away, clustering)
    assert found.features == ()
    assert found.why_none() == "all 3 clusters were pruned, most because: influence below 0.25"
    with pytest.raises(InputError, match="all 3 clusters were pruned") as raised:
        _ = found.best
    assert "Lower min_influence" in str(raised.value)


def test_why_none_is_empty_when_one_survived(worked: tuple[Scores, Clustering]) -> None:
    assert discover(*worked).why_none() == ""


def test_one_cluster_of_everything_has_no_gap(make_embeddings: Callable[..., Any]) -> None:
    embeddings = make_embeddings(counts=(2,) * 6)
    clustering = Clustering(np.zeros(12, np.int64), np.array([0]), 0.0, SWEEP)
    found = discover(rx.zero_shot(embeddings), clustering)
    assert found.features == () and found.clusters[0].performance_gap == 0 and found.clusters[0].attribute is None


# --- what does not fit ------------------------------------------------------------------------------------------------


def test_a_clustering_of_other_regions(worked: tuple[Scores, Clustering]) -> None:
    scores, clustering = worked
    other = Clustering(clustering.labels[:-1], clustering.medoids, 0.0, SWEEP)
    with pytest.raises(InputError, match="a clustering of these 32 regions, got one of 31"):
        discover(scores, other)


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_influence_out_of_range(worked: tuple[Scores, Clustering], value: float) -> None:
    with pytest.raises(InputError, match="min_influence from 0 to 1"):
        discover(*worked, min_influence=value)


def test_unknown_rule_and_cluster(worked: tuple[Scores, Clustering]) -> None:
    with pytest.raises(InputError, match="got 'strict'"):
        discover(*worked, rule="strict")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a cluster from 0 to 2, got 3"):
        discover(*worked).feature(3)
