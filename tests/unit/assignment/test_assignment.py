"""assign() gives regions to the nearest medoid, whatever data they are of, and finds each image's core region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore.assignment.assignment import assign
from ravl_explore.assignment.core_regions import core_regions
from ravl_explore.assignment.features import ClusterFeature
from ravl_explore.data.known_images import UNKNOWN
from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import InputError


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("chosen", [[1], [0, 3]])
def test_assignment_equals_the_loops(
    make_discovery: Callable[..., Any], make_embeddings: Callable[..., Any], seed: int, chosen: list[int]
) -> None:
    discovery = make_discovery(seed)
    feature, medoids = discovery.choose(*chosen), discovery.medoids
    counts = tuple(np.random.default_rng(seed).integers(0, 4, 15).tolist())
    other = make_embeddings(seed + 100, counts=counts)
    found = assign(other, feature)
    row = 0
    for i, n in enumerate(counts):
        rows = range(row, row + n)
        row += n
        spurious = []
        for r in rows:
            similarity = [float(other.region[r] @ medoid) for medoid in medoids]
            spurious.append(similarity.index(max(similarity)) in chosen)
        assert found.spurious[list(rows)].tolist() == spurious
        nearest = [int(np.argmax(medoids @ other.region[r])) for r in rows]
        assert found.part is not None and found.similarity is not None
        assert found.part[list(rows)].tolist() == [chosen.index(c) if c in chosen else -1 for c in nearest]
        closest = [float(other.region[r] @ medoids[c]) for r, c in zip(rows, nearest, strict=True)]
        assert found.similarity[list(rows)].tolist() == pytest.approx(closest, abs=1e-6)
        assert found.present[i] == any(spurious)
        assert sum(bool(found.core[r]) for r in rows) == (not all(spurious))
    label = other.labels[other.regions.image_index]
    own = np.array([float(z @ other.text[y]) for z, y in zip(other.region, label, strict=True)])
    cluster = np.array([int(np.argmax(medoids @ z)) for z in other.region])
    core = core_regions(own, ~found.spurious, other.regions.image_index, cluster, label)
    assert found.core.tolist() == core.tolist()
    assert found.regions is other.regions and found.feature is feature
    assert found.attribute == discovery.feature(chosen[0]).attribute


def test_core_is_the_first_of_a_tie_and_absent_where_all_is_spurious(make_embeddings: Callable[..., Any]) -> None:
    axes = np.eye(3, dtype=np.float32)
    region = axes[[0, 0, 1, 2, 2]]
    other = make_embeddings(counts=(3, 2), dim=3, region=region, text=axes, labels=np.array([0, 2]))
    found = assign(other, ClusterFeature((2,), axes, "dog"))
    assert found.core.tolist() == [True, False, False, False, False]
    assert found.spurious.tolist() == [False, False, False, True, True]
    assert found.present.tolist() == [False, True] and found.attribute == "dog"


def test_labels_stand_in_and_an_image_without_one_has_no_core(make_embeddings: Callable[..., Any]) -> None:
    axes = np.eye(3, dtype=np.float32)
    other = make_embeddings(counts=(3, 3, 1), dim=3, region=axes[[0, 1, 2, 0, 1, 2, 0]], text=axes,
                            labels=np.array([0, 0, 0]))  # fmt: skip
    feature = ClusterFeature((2,), axes, "dog")
    assert assign(other, feature).core.tolist() == [True, False, False, True, False, False, True]
    found = assign(other, feature, labels=np.array([1, -1, -1]))
    assert found.core.tolist() == [False, True, False, False, False, False, False]
    assert found.spurious.tolist() == [False, False, True, False, False, True, False]
    assert found.present.tolist() == [True, True, False]
    assert found.labels is not None and found.labels.tolist() == [1, -1, -1] and assign(other, feature).labels is None
    for labels, said in (
        (np.array([0, 1]), r"for each of 3 images, got int64 of \(2,\)"),
        (np.array([0.0, 1, 2]), "float64"),
        (np.array([0, 1, 3]), r"labels from -1 \(none\) to 2, got 0 to 3"),
        (np.array([0, 1, -2]), "got -2 to 1"),
    ):
        with pytest.raises(InputError, match=said):
            assign(other, feature, labels=labels)


def test_assign_takes_the_labels_of_captions(
    model: Any, make_data: Callable[..., Any], find_discovery: Callable[..., Any]
) -> None:
    discovery = find_discovery(make_data())
    feature = discovery.choose(discovery.clusters[0])
    data = make_data(6, seed=1)
    embeddings, labels = embed(model, data), np.where(np.arange(6) % 2, data.labels, -1)
    found = assign(embeddings, feature, labels=labels)
    assert not found.core.reshape(6, 4)[::2].any() and found.core.reshape(6, 4)[1::2].any(1).all()
    with pytest.raises(InputError, match="for each of 6 images"):
        assign(embeddings, feature, labels=labels[:5])


def test_what_is_assigned_was_embedded_by_the_searched_model(
    model: Any, make_data: Callable[..., Any], find_feature: Callable[..., Any]
) -> None:
    bottom_right = find_feature(make_data(), 3)  # of image 0: the red quadrant
    data = make_data(6, seed=1)
    embeddings = embed(model, data)
    found = rx.assign(embeddings, bottom_right)
    assert isinstance(found, rx.Assignment) and found.regions is embeddings.regions
    assert found.identity is embeddings.identity
    red = data.feature_present
    assert found.spurious.reshape(6, 4)[red, 3].all(), "every red quadrant is nearest to the red medoid"


def test_what_cannot_be_assigned(model: Any, make_data: Callable[..., Any], make_discovery: Callable[..., Any]) -> None:
    embeddings = embed(model, make_data(3))
    for wrong, came in (
        ([], "got a list"),
        ((1, 7), "got a tuple"),
        (make_discovery(), "got a Discovery"),
        (1, "got 1"),
    ):
        with pytest.raises(InputError, match=rf"feature a Feature, {came}.*discovery\.choose"):
            assign(embeddings, wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a Feature, got a SpuriousFeature"):
        assign(embeddings, make_discovery().clusters[0])
    with pytest.raises(InputError, match=r"embeddings of 6 dimensions, as the feature has, got 32\..*searched model"):
        assign(embeddings, make_discovery().choose(0))
    with pytest.raises(InputError, match=r"embeddings an Embeddings, got .*rx\.embed"):
        assign(make_data(3), make_discovery().choose(0))


# --- whose images it is of --------------------------------------------------------------------------------------------


def test_it_goes_with_embeddings_of_the_same_images_by_any_model(
    model: Any, make_model: Callable[..., Any], make_data: Callable[..., Any], find_feature: Callable[..., Any]
) -> None:
    data = make_data(6)
    found = assign(embed(model, data), find_feature(data, 3))
    found.check_with(embed(make_model(1), data))
    found.check_with(embed(make_model(1), make_data(6)))
    unknown = replace(found, identity=UNKNOWN)
    for others, told in ((make_data(6, seed=1), "other images, of 'pictures'"), (make_data(9), "got one of 6")):
        embeddings = embed(model, others)
        with pytest.raises(InputError, match=told) as raised:
            found.check_with(embeddings)
        assert "rx.assign(scores.embeddings, feature)" in str(raised.value)
        if len(others) == 6:
            unknown.check_with(embeddings)
            found.check_with(replace(embeddings, identity=UNKNOWN))
        else:
            with pytest.raises(InputError, match="an assignment of these 9 images, got one of 6"):
                unknown.check_with(embeddings)


def test_it_goes_with_data_of_the_same_images_and_classes(
    make_data: Callable[..., Any], find_feature: Callable[..., Any], mark: Callable[..., Any]
) -> None:
    data = make_data(6)
    found = mark(data, find_feature(data, 3), labels=np.full(6, 2))
    found.check_of(make_data(6))
    for others, told in ((make_data(6, seed=1), "other images"), (make_data(9), "these 9 images, got one of 6")):
        with pytest.raises(InputError, match=told):
            found.check_of(others)
    fewer = make_data(6, class_names=("cat", "dog"), labels=data.labels % 2)
    with pytest.raises(InputError, match=r"labels from -1 \(none\) to 1, got 2 to 2"):
        replace(found, identity=UNKNOWN).check_of(fewer)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("part", lambda x: x[:-1], "part as an array of"),
        ("part", lambda x: x - 5, "part from -1 up"),
        ("part", lambda x: np.where(x < 0, 0, x), "the same images and regions marked by spurious, present and part"),
        ("similarity", lambda x: x * np.nan, "finite similarity"),
        ("identity", lambda x: "mine", "identity an Identity, got 'mine'"),
        ("feature", lambda x: [3], "feature a Feature, got a list"),
        ("labels", lambda x: np.zeros(2, np.int64), "labels as an array of signed integers"),
        ("labels", lambda x: np.full(6, -2), "labels from -1 up"),
    ],
)
def test_what_an_assignment_cannot_hold(
    make_data: Callable[..., Any],
    find_feature: Callable[..., Any],
    mark: Callable[..., Any],
    field: str,
    value: Callable[[Any], Any],
    told: str,
) -> None:
    data = make_data(6)
    found = mark(data, find_feature(data, 3))
    with pytest.raises(InputError, match=told):
        replace(found, **{field: value(getattr(found, field))})
