"""What a search left for a mitigation: its clusters as one feature, images with other classes, the experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore.assignment.precheck import check_features
from ravl_explore.errors import InputError
from ravl_explore.experiments.embedded_once import EmbeddedOnce
from ravl_explore.regions import Grid
from ravl_explore.widgets.mitigation.searched import Searched

Make = Callable[..., Any]


def nothing(done: int, total: int, stage: str) -> None:
    """Progress that nobody hears."""


@pytest.fixture
def searched(model: Any, make_data: Make, cluster: Make) -> Searched:
    data, proposer = make_data(24), Grid(2, 2)
    embeddings = rx.embed(model, data, proposer)
    found = rx.discover(rx.zero_shot(embeddings), cluster(embeddings.region, [0, 1, 2, 3]), min_influence=0.0)
    embedded = EmbeddedOnce()
    embedded.keep_only(embeddings, model, data, proposer)
    return Searched(model, data, proposer, found, embedded)


def test_clusters_are_one_feature_and_none_is_none(searched: Searched) -> None:
    clusters = [each.cluster for each in searched.discovery.features[:2]]
    feature = searched.feature(clusters)
    assert searched.feature(()) is None and feature is not None
    assert feature.fingerprint() == searched.discovery.choose(*clusters).fingerprint()
    expected = check_features(searched.discovery.scores.embeddings, feature).warnings
    assert searched.doubts(feature) == tuple(expected)


def test_marks_as_assign_does(searched: Searched, make_data: Make) -> None:
    feature = searched.feature([searched.discovery.features[0].cluster])
    assert feature is not None
    train = make_data(24, 1)
    assert searched.labelled(train, None, nothing) is train
    marked = searched.marked(train, nothing, feature)
    expected = rx.assign(rx.embed(searched.model, train, searched.proposer), feature)
    np.testing.assert_array_equal(marked.present, expected.present)
    np.testing.assert_array_equal(marked.core, expected.core)


def test_images_to_compare_on_need_the_class_of_the_feature(searched: Searched, make_data: Make) -> None:
    feature = searched.feature([searched.discovery.features[0].cluster])
    assert feature is not None and feature.attribute is not None
    train, test = make_data(24, 1), make_data(30, 2)
    experiment = searched.experiment(train, test, feature)
    assert (experiment.model, experiment.train_data, experiment.test_data) == (searched.model, train, test)
    assert experiment.embedded is searched.embedded and experiment.feature is feature
    test.class_names = tuple(f"other {name}" for name in test.class_names)
    with pytest.raises(InputError, match="Pick one with the classes that were searched"):
        searched.experiment(train, test, feature)
