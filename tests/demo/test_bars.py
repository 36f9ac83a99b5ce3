"""What the shipped demo promises, measured on the shipped files; the three-seed table is a benchmark's (see README)."""

from __future__ import annotations

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore import clustering, data, metrics, models, regions
from ravl_explore.plots.layout import cached_layout


@pytest.fixture(scope="module")
def val() -> data.Demo:
    return data.Demo("val")


@pytest.fixture(scope="module")
def discovery(val: data.Demo) -> rx.Discovery:
    embeddings = rx.embed(models.Demo("spurious"), val, regions.Grid(2, 2))
    clusters = clustering.KMedoids(n_clusters=range(20, 50), seed=0)(embeddings.region)
    return rx.discover(rx.zero_shot(embeddings), clusters)


def test_the_square_is_tied_to_shirts_in_train_and_to_nothing_elsewhere(val: data.Demo) -> None:
    train, test = data.Demo("train"), data.Demo("test")
    shirt = train.class_names.index("shirt")
    share = [train.feature_present[train.labels == y].mean() for y in range(10)]
    assert share[shirt] == pytest.approx(0.98)
    assert [share[y] for y in range(10) if y != shirt] == pytest.approx([0.02] * 9)
    for split, per_group in ((val, 50), (test, 250)):
        sizes = np.bincount(split.labels * 2 + split.feature_present, minlength=20)
        assert sizes.tolist() == [per_group] * 20
    assert not any("square" in caption or "red" in caption.split() for caption in train.captions or ())


def test_no_garment_of_val_is_in_test(val: data.Demo) -> None:
    garments = [
        {each.image(i)[each.image(i)[..., 1] > 0].tobytes() for i in range(len(each))}
        for each in (val, data.Demo("test"))
    ]
    assert len(garments[0]) == 1000
    assert not garments[0] & garments[1]


def test_the_clean_model_knows_garments(val: data.Demo) -> None:
    evaluation = rx.evaluate(rx.zero_shot(rx.embed(models.Demo("clean"), val)))
    assert evaluation.image.overall >= 0.85


def test_the_spurious_model_has_the_shortcut(val: data.Demo) -> None:
    evaluation = rx.evaluate(rx.zero_shot(rx.embed(models.Demo("spurious"), val)))
    first, second = evaluation.shortcut("shirt")
    assert first >= 0.40
    assert second >= 0.40


def test_discovery_finds_the_square_first_and_names_the_class(discovery: rx.Discovery, val: data.Demo) -> None:
    best = discovery.best
    assert best.attribute == "shirt"
    assert metrics.precision_at_k(best.region_index, val.region_feature, k=10) == 1.0
    assert best.n_regions == val.region_feature.sum()


def test_core_regions_are_the_garments(discovery: rx.Discovery, val: data.Demo) -> None:
    embeddings = rx.embed(models.Demo("spurious"), val)
    core = rx.assign(embeddings, discovery.choose(discovery.best)).core.reshape(-1, 4)
    assert (core.sum(1) == 1).all()
    garment = np.asarray(val.region_labels).reshape(-1, 4) >= 0
    assert (core & garment).any(1).mean() >= 0.99  # the region most similar to the class: 0.94


@pytest.mark.parametrize("checkpoint", ["spurious", "clean"])
def test_the_map_of_val_ships_ready(checkpoint: str, val: data.Demo) -> None:
    xy = cached_layout(rx.embed(models.Demo(checkpoint), val, regions.Grid(2, 2)))
    assert xy is not None
    assert xy.shape == (4000, 2)


def test_the_released_rule_finds_it_too(discovery: rx.Discovery) -> None:
    released = rx.discover(discovery.scores, discovery.clustering, rule="released")
    assert released.best.cluster == discovery.best.cluster
