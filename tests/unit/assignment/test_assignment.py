"""assign() gives regions to the nearest medoid, whatever data they are of, and finds each image's core region."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore.assignment.assignment import assign, assign_embeddings
from ravl_explore.assignment.core_regions import core_regions
from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import InputError, ModelError


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("chosen", [[1], [0, 3]])
def test_assignment_equals_the_loops(
    make_discovery: Callable[..., Any], make_embeddings: Callable[..., Any], seed: int, chosen: list[int]
) -> None:
    features = [make_discovery(seed).feature(c) for c in chosen]
    medoids = features[0].medoids
    for each in features:
        object.__setattr__(each, "medoids", medoids)  # make_discovery made one anew for each
    counts = tuple(np.random.default_rng(seed).integers(0, 4, 15).tolist())
    other = make_embeddings(seed + 100, counts=counts)
    found = assign_embeddings(other, features)
    row = 0
    for i, n in enumerate(counts):
        rows = range(row, row + n)
        row += n
        spurious = []
        for r in rows:
            similarity = [float(other.region[r] @ medoid) for medoid in medoids]
            spurious.append(similarity.index(max(similarity)) in chosen)
        assert found.spurious[list(rows)].tolist() == spurious
        assert found.present[i] == any(spurious)
        assert sum(bool(found.core[r]) for r in rows) == (not all(spurious))
    label = other.labels[other.regions.image_index]
    own = np.array([float(z @ other.text[y]) for z, y in zip(other.region, label, strict=True)])
    cluster = np.array([int(np.argmax(medoids @ z)) for z in other.region])
    core = core_regions(own, ~found.spurious, other.regions.image_index, cluster, label)
    assert found.core.tolist() == core.tolist()
    assert found.regions is other.regions and found.attribute == features[0].attribute


def test_core_is_the_first_of_a_tie_and_absent_where_all_is_spurious(make_embeddings: Callable[..., Any]) -> None:
    axes = np.eye(3, dtype=np.float32)
    region = axes[[0, 0, 1, 2, 2]]
    other = make_embeddings(counts=(3, 2), dim=3, region=region, text=axes, labels=np.array([0, 2]))
    feature = SimpleNamespace(medoids=axes, cluster=2, attribute="dog")
    found = assign_embeddings(other, [feature])
    assert found.core.tolist() == [True, False, False, False, False]
    assert found.spurious.tolist() == [False, False, False, True, True]
    assert found.present.tolist() == [False, True] and found.attribute == "dog"


def test_labels_stand_in_and_an_image_without_one_has_no_core(make_embeddings: Callable[..., Any]) -> None:
    axes = np.eye(3, dtype=np.float32)
    other = make_embeddings(counts=(3, 3, 1), dim=3, region=axes[[0, 1, 2, 0, 1, 2, 0]], text=axes,
                            labels=np.array([0, 0, 0]))  # fmt: skip
    feature = SimpleNamespace(medoids=axes, cluster=2, attribute="dog")
    assert assign_embeddings(other, [feature]).core.tolist() == [True, False, False, True, False, False, True]
    found = assign_embeddings(other, [feature], labels=np.array([1, -1, -1]))
    assert found.core.tolist() == [False, True, False, False, False, False, False]
    assert found.spurious.tolist() == [False, False, True, False, False, True, False]
    assert found.present.tolist() == [True, True, False]
    for labels, said in (
        (np.array([0, 1]), r"for each of 3 images, got int64 of \(2,\)"),
        (np.array([0.0, 1, 2]), "float64"),
        (np.array([0, 1, 3]), r"labels from -1 \(none\) to 2, got 0 to 3"),
        (np.array([0, 1, -2]), "got -2 to 1"),
    ):
        with pytest.raises(InputError, match=said):
            assign_embeddings(other, [feature], labels)


def test_assign_takes_the_labels_of_captions(
    model: Any, make_data: Callable[..., Any], find_features: Callable[..., Any]
) -> None:
    features = find_features(make_data())[:1]
    data = make_data(6, seed=1)
    labels = np.where(np.arange(6) % 2, data.labels, -1)
    found = assign(model, data, features, labels=labels)
    assert not found.core.reshape(6, 4)[::2].any() and found.core.reshape(6, 4)[1::2].any(1).all()
    with pytest.raises(InputError, match="for each of 6 images"):
        assign(model, data, features, labels=labels[:5])


def test_assign_embeds_with_the_searched_model(
    model: Any, make_data: Callable[..., Any], find_features: Callable[..., Any]
) -> None:
    features = find_features(make_data())
    bottom_right = next(each for each in features if each.cluster == 3)  # of image 0: the red quadrant
    data = make_data(6, seed=1)
    told: list[int] = []
    found = rx.assign(model, data, [bottom_right], progress=lambda done, total, stage: told.append(done))
    again = assign_embeddings(embed(model, data), [bottom_right])
    assert told[-1] == 6 and isinstance(found, rx.Assignment)
    assert found.spurious.tolist() == again.spurious.tolist() and found.core.tolist() == again.core.tolist()
    red = data.feature_present
    assert found.spurious.reshape(6, 4)[red, 3].all(), "every red quadrant is nearest to the red medoid"


def test_what_cannot_be_assigned(
    model: Any, make_data: Callable[..., Any], find_features: Callable[..., Any], make_discovery: Callable[..., Any]
) -> None:
    data = make_data(3)
    with pytest.raises(InputError, match="at least one feature to suppress, got none"):
        assign(model, data, [])
    with pytest.raises(InputError, match="features of one discovery"):
        assign(model, data, [find_features(data)[0], find_features(data)[0]])
    with pytest.raises(ModelError, match="a model with 6 embedding dimensions, got one with 32"):
        assign(model, data, make_discovery().clusters[:1])
