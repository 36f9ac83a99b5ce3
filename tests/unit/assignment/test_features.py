"""A chosen feature tells by embeddings alone which regions show it: by clusters as the nearest medoid, or by a rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import ravl_explore as rx
from ravl_explore.assignment.features import ClusterFeature, Feature
from ravl_explore.data.known_images import Identity
from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import InputError, StorageError
from ravl_explore.objectives import RegionAware
from ravl_explore.training import TrainingSettings
from tests.unit.conftest import unit

AXES = np.eye(4, dtype=np.float32)


def nearest(region: np.ndarray, medoids: np.ndarray) -> list[int]:
    """Of each region the medoid with the highest cosine, the lower number where two are as near; by loops."""
    found = []
    for row in region:
        similarity = [float(row @ medoid) for medoid in medoids]
        found.append(similarity.index(max(similarity)))
    return found


def shown(feature: Feature, region: np.ndarray) -> list[bool]:
    return (feature.score(region) > feature.threshold).tolist()


# --- clusters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("chosen", [(0,), (6,), (1, 4), (5, 0, 2), tuple(range(7)), (3, 6, 0, 5, 1, 4, 2)])
def test_it_marks_what_the_nearest_medoid_marks(seed: int, chosen: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    medoids, region = unit(rng.normal(size=(7, 5))), unit(rng.normal(size=(300, 5)))
    region[:7] = medoids  # as near as can be
    feature, cluster = ClusterFeature(chosen, medoids, "cat"), nearest(region, medoids)
    assert shown(feature, region) == [c in chosen for c in cluster]
    looks = feature.looks(region)
    assert looks.kind.tolist() == cluster and looks.similarity.dtype == np.float32
    assert looks.similarity.tolist() == pytest.approx(
        [float(r @ medoids[c]) for r, c in zip(region, cluster, strict=True)]
    )
    assert [p for p, c in zip(looks.part, cluster, strict=True) if c in chosen] == [
        chosen.index(c) for c in cluster if c in chosen
    ]


@pytest.mark.parametrize("chosen", [(1,), (2,), (1, 3), (0, 2)])
def test_where_two_medoids_are_as_near_the_lower_number_decides(chosen: tuple[int, ...]) -> None:
    """Medoids that are equal, so that ties are exact: 0 and 2, 1 and 3."""
    medoids = AXES[[0, 1, 0, 1]]
    region = unit(np.random.default_rng(0).normal(size=(200, 4)))
    cluster = nearest(region, medoids)
    assert set(cluster) == {0, 1}
    assert shown(ClusterFeature(chosen, medoids), region) == [c in chosen for c in cluster]


@pytest.mark.parametrize(("chosen", "shows"), [(0, True), (1, False)])
def test_a_region_between_two_medoids(chosen: int, shows: bool) -> None:
    between = unit(np.array([[1.0, 1, 0, 0]]))
    similarity = between @ AXES.T
    assert similarity[0, 0] == similarity[0, 1], "a tie to the last bit"
    feature = ClusterFeature((chosen,), AXES)
    assert shown(feature, between) == [shows]
    assert (feature.score(between) > 0).tolist() == [shows] and abs(float(feature.score(between)[0])) < 1e-30


def test_the_score_is_how_much_nearer_it_is(make_discovery: Callable[..., Any]) -> None:
    discovery = make_discovery()
    region, medoids = discovery.scores.embeddings.region, discovery.medoids
    feature = discovery.choose(1, 3)
    score = feature.score(region)
    for row, found in zip(region, score, strict=True):
        similarity = [float(row @ medoid) for medoid in medoids]
        own, other = max(similarity[1], similarity[3]), max(similarity[0], similarity[2], similarity[4])
        assert float(found) == pytest.approx(own - other, abs=1e-6)
    assert feature.threshold == 0 and 0 < (score > feature.threshold).sum() < len(region)
    every = discovery.choose(*range(5))
    assert every.score(region).tolist() == pytest.approx(
        [1 + max(row @ m for m in medoids) for row in region], abs=1e-6
    )
    assert all(shown(every, -region)), "nothing is farther than a cluster that was not chosen, as there is none"


def test_no_region_has_no_score() -> None:
    feature, none = ClusterFeature((1,), AXES), np.zeros((0, 4), np.float32)
    assert feature.score(none).shape == (0,) and feature.looks(none).part.shape == (0,)
    assert feature.look_alikes(none) == ()


def test_it_is_known_by_what_was_chosen_and_where() -> None:
    feature = ClusterFeature((1, 3), AXES, "cat")
    assert feature.fingerprint() == ClusterFeature((1, 3), AXES.copy(), "cat", Identity("x", "y")).fingerprint()
    others = [
        ClusterFeature((1,), AXES, "cat"),
        ClusterFeature((3, 1), AXES, "cat"),
        ClusterFeature((1, 3), AXES[:, ::-1].copy(), "cat"),
        ClusterFeature((1, 3), AXES, "dog"),
        ClusterFeature((1, 3), AXES),
    ]
    assert len({each.fingerprint() for each in (feature, *others)}) == 6


def test_what_it_is_called_and_what_runs_say_of_it() -> None:
    one, two = ClusterFeature((3,), AXES, "cat"), ClusterFeature((3, 1), AXES, "cat")
    assert (one.name, one.short_name, two.name, two.short_name) == (
        "cluster 3", "cluster 3", "clusters 3, 1", "the feature",
    )  # fmt: skip
    assert one.settings == {"feature": "cluster 3", "discovery": two.settings["discovery"]}
    assert len(one.settings["discovery"]) == 8
    assert one.settings["discovery"] != ClusterFeature((3,), AXES[::-1].copy()).settings["discovery"]
    assert one.dim == 4 and "medoids" not in repr(one)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (((), AXES), r"at least one cluster, got none.*discovery\.choose"),
        (((4,), AXES), r"each of clusters a whole number up to 3, got 4"),
        (((-1,), AXES), r"each of clusters a whole number from 0 up, got -1"),
        (((True,), AXES), "each of clusters a whole number"),
        (((1, 1), AXES), r"each cluster once, got clusters \[1, 1\]"),
        (((1,), AXES[0]), "medoids as an array of floats"),
        (((1,), AXES.astype(int)), "medoids as an array of floats"),
        (((1,), AXES, 3), "attribute a text, got 3"),
    ],
)
def test_what_it_cannot_be(arguments: tuple[Any, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        ClusterFeature(*arguments)


# --- chosen in a discovery --------------------------------------------------------------------------------------------


def test_clusters_are_chosen_by_number_or_entry(make_discovery: Callable[..., Any]) -> None:
    discovery = make_discovery()
    entry = discovery.feature(3)
    found = discovery.choose(3, 1)
    assert isinstance(found, ClusterFeature) and found.clusters == (3, 1) and found.attribute == entry.attribute
    assert found.medoids is discovery.medoids and found.searched is discovery.scores.embeddings.identity
    for same in (discovery.choose(entry, 1), discovery.choose(np.int64(3), discovery.feature(1))):
        assert same.fingerprint() == found.fingerprint()
    assert discovery.choose(discovery.best).clusters == (discovery.features[0].cluster,)
    pruned = make_discovery(min_influence=1.0)
    assert pruned.features == () and pruned.choose(2).clusters == (2,), "a pruned one may be chosen, too"


def test_what_cannot_be_chosen(make_discovery: Callable[..., Any]) -> None:
    discovery, other = make_discovery(), make_discovery(1)
    for chosen, told in (
        ((), "at least one cluster to choose, got none"),
        ((1, 1), r"each cluster once, got clusters \[1, 1\]"),
        ((1, discovery.feature(1)), r"each cluster once, got clusters \[1, 1\]"),
        (([1, 2],), "each cluster by itself, got a list"),
        (((1, 2),), "each cluster by itself, got a tuple"),
        ((np.array([1, 2]),), "each cluster by itself, got an array"),
        ((discovery.features,), "each cluster by itself, got a tuple"),
        ((discovery,), "each cluster by itself, got a Discovery"),
        ((other.feature(1),), "a cluster of this discovery, got cluster 1 of another one"),
        ((5,), "a cluster from 0 to 4, got 5"),
        ((-1,), "cluster a whole number from 0 up, got -1"),
        (("1",), "cluster a whole number from 0 up, got '1'"),
        ((None,), "cluster a whole number from 0 up, got None"),
    ):
        with pytest.raises(InputError, match=told) as raised:
            discovery.choose(*chosen)
        assert "discovery." in str(raised.value) or "frame()" in str(raised.value) or "Leave one" in str(raised.value)


# --- a rule of one's own ----------------------------------------------------------------------------------------------


class Along(Feature):
    """Regions whose embedding lies along an axis."""

    name, attribute = "the red axis", "cat"

    def __init__(self, axis: np.ndarray, threshold: float) -> None:
        self.axis, self.dim, self.threshold = axis, len(axis), threshold

    def score(self, region: np.ndarray) -> np.ndarray:
        return region @ self.axis

    def fingerprint(self) -> str:
        return f"along {self.axis.tolist()} above {self.threshold}"


@pytest.fixture
def rule(model: Any, make_data: Callable[..., Any]) -> Along:
    """How much a region is more like red quadrants than like all."""
    data = make_data(20)
    region = embed(model, data).region.reshape(20, 4, -1)
    axis = region[data.feature_present, 3].mean(0) - region.mean((0, 1))
    return Along(axis, float((region[data.feature_present, 3] @ axis).min()) - 1e-4)


def test_a_rule_of_ones_own_marks_what_it_says(model: Any, make_data: Callable[..., Any], rule: Along) -> None:
    data = make_data(12, seed=1)
    embeddings = embed(model, data)
    found = rx.assign(embeddings, rule)
    spurious = [float(row @ rule.axis) > rule.threshold for row in embeddings.region]
    assert found.spurious.tolist() == spurious and any(spurious) and not all(spurious)
    assert found.present.tolist() == np.reshape(spurious, (12, 4)).any(1).tolist()
    assert found.part is not None and found.part.tolist() == [0 if there else -1 for there in spurious]
    assert found.similarity is not None and found.similarity.tolist() == pytest.approx(
        rule.score(embeddings.region).tolist()
    )
    assert found.attribute == "cat" and found.feature is rule
    clean = ~found.spurious.reshape(12, 4)
    assert np.array_equal(found.core.reshape(12, 4).any(1), clean.any(1))
    own = np.einsum("nd,nd->n", embeddings.region, embeddings.text[data.labels.repeat(4)]).reshape(12, 4)
    best = np.where(clean, own, -2).argmax(1)
    assert np.array_equal(found.core.reshape(12, 4).argmax(1), best), "without clusters the nearest to the class"


def test_a_rule_of_ones_own_is_checked_and_told_by_its_name(
    model: Any, make_data: Callable[..., Any], rule: Along
) -> None:
    embeddings = embed(model, make_data(12, seed=1))
    found = rx.check_features(embeddings, rule)
    present = rx.assign(embeddings, rule).present
    table = found.groups.set_index(["class_name", "present"])["n"]
    for y, name in enumerate(embeddings.class_names):
        assert table[name, True] == (present & (embeddings.labels == y)).sum()
    never = Along(rule.axis, 9.0)
    assert rx.check_features(embeddings, never).warnings[0] == (
        "No image has the red axis: there is nothing to compare with."
    )


def test_a_rule_of_ones_own_is_mitigated(model: Any, make_data: Callable[..., Any], rule: Along, tmp_path: Any) -> None:
    data = make_data(20)
    marked = rx.assign(embed(model, data), rule)
    settings = TrainingSettings(epochs=1, learning_rate=1e-3, batch_size=8)

    def weights(mitigation: Any) -> list[torch.Tensor]:
        return list(mitigation.model.state_dict.values())

    result = rx.mitigate(model, data, rule, RegionAware(), settings=settings, folder=tmp_path / "run")
    assert result.complete and result.assignment.feature is rule
    with_marks = rx.mitigate(model, data, marked, RegionAware(), settings=settings)
    assert all(torch.equal(a, b) for a, b in zip(weights(result), weights(with_marks), strict=True))
    same_flags = rx.mitigate(model, data, replace(marked, feature=None), RegionAware(), settings=settings)
    assert all(torch.equal(a, b) for a, b in zip(weights(result), weights(same_flags), strict=True))
    again = rx.mitigate(model, data, rule, RegionAware(), settings=settings, folder=tmp_path / "run")
    assert again.complete
    with pytest.raises(StorageError, match="another feature is suppressed"):
        rx.mitigate(model, data, Along(rule.axis, 0.0), RegionAware(), settings=settings, folder=tmp_path / "run")


@pytest.mark.parametrize(
    ("score", "told"),
    [
        (lambda region: region @ region[0] > 0, "scores of the red axis as an array of floats"),
        (lambda region: (region @ region[0]).tolist(), "scores of the red axis as an array of floats"),
        (lambda region: region, r"scores of the red axis as an array of floats of shape \(12,\)"),
        (lambda region: (region @ region[0])[1:], r"scores of the red axis as an array of floats of shape \(12,\)"),
        (lambda region: region @ region[0] * np.nan, "finite scores of the red axis"),
    ],
)
def test_a_rule_whose_scores_are_none_is_told(
    model: Any, make_data: Callable[..., Any], rule: Along, score: Callable[[np.ndarray], Any], told: str
) -> None:
    class Wrong(Along):
        def score(self, region: np.ndarray) -> np.ndarray:
            return score(region)

    with pytest.raises(InputError, match=told):
        rx.assign(embed(model, make_data(3)), Wrong(rule.axis, 0.0))


def test_a_rule_reads_embeddings_of_its_size_alone(make_embeddings: Callable[..., Any], rule: Along) -> None:
    with pytest.raises(InputError, match="embeddings of 32 dimensions, as the feature has, got 6"):
        rx.assign(make_embeddings(), rule)
