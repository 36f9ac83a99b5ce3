"""check_features() warns of clusters that are the class itself, and is silent about a planted shortcut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ravl_explore.assignment.core_regions import core_regions
from ravl_explore.assignment.features import ClusterFeature
from ravl_explore.assignment.precheck import MIN_IMAGES, check_features
from ravl_explore.errors import InputError

AXES = np.eye(6, dtype=np.float32)
SQUARE, CAT, DOG, BLACK = 2, 0, 1, 3  # medoids; classes look like CAT and DOG


def feature(*clusters: int, attribute: str | None = "cat", medoids: np.ndarray = AXES) -> ClusterFeature:
    return ClusterFeature(clusters, medoids, attribute)


@pytest.fixture
def scene(make_embeddings: Callable[..., Any]) -> Any:
    """20 cats, 18 of them with a square; 20 dogs, 6 with one. Each image: the animal, the square or black, black."""
    square = np.r_[np.arange(20) < 18, np.arange(20) < 6]
    animal, beside = np.arange(40) // 20, np.where(square, SQUARE, BLACK)
    region = AXES[np.stack([animal, beside, np.full(40, BLACK)], 1).ravel()]
    noise = np.random.default_rng(0).normal(size=region.shape).astype(np.float32)
    region = region + 0.03 * noise
    region /= np.linalg.norm(region, axis=1, keepdims=True)
    return make_embeddings(
        counts=(3,) * 40, dim=6, region=region, text=AXES[:2], labels=np.arange(40) // 20, class_names=("cat", "dog")
    )


def test_a_shortcut_gives_no_warning(scene: Any) -> None:
    found = check_features(scene, feature(SQUARE))
    assert found.warnings == () and found.ok and found.empty == ()
    assert found.groups.values.tolist() == [["cat", 0, 2], ["cat", 1, 18], ["dog", 0, 14], ["dog", 1, 6]]
    assert found.classes.values.tolist() == [["cat", 18, 0.0], ["dog", 6, 0.0]]


def test_a_shortcut_may_be_most_like_the_class_it_pulls_towards(scene: Any) -> None:
    tilted = scene.text.copy()
    tilted[0] = AXES[SQUARE]  # the model took the square for the cat
    object.__setattr__(scene, "text", tilted)
    found = check_features(scene, feature(SQUARE))
    assert found.classes["core"].tolist() == [1.0, 0.0] and found.ok


def test_the_class_itself_is_warned_of(scene: Any) -> None:
    dogs = check_features(scene, feature(DOG))
    assert dogs.warnings[0] == (
        "In 100% of the 20 images of classes other than cat with cluster 1, the region that shows the image's own "
        "class is in it (dog: 100%). It may be what those classes look like: suppressing it takes them away."
    )
    assert "100% of the 20 images with cluster 1 are of the class dog" in dogs.warnings[1]
    assert dogs.empty == ("cat, with", "dog, without")
    assert dogs.warnings[2].startswith("No image is in 2 of the groups (class; with or without cluster 1): cat")
    cats = check_features(scene, feature(CAT))  # only of the class it pulls towards: the second sign is left
    assert len(cats.warnings) == 2 and "the class cat: the data cannot tell" in cats.warnings[0]


def test_a_background_is_warned_of(scene: Any) -> None:
    everywhere = check_features(scene, feature(BLACK))
    assert everywhere.warnings[0] == "Every image has cluster 3: there is nothing to compare with."
    nowhere = check_features(scene, feature(5))
    assert nowhere.warnings[0] == "No image has cluster 5: there is nothing to compare with."
    assert nowhere.classes["core"].isna().all()


def test_nearly_everywhere_and_whole_images(make_embeddings: Callable[..., Any]) -> None:
    region = np.repeat(AXES[[BLACK] * 39 + [SQUARE]], 2, axis=0)
    scene = make_embeddings(
        counts=(2,) * 40, dim=6, region=region, text=AXES[:2], labels=np.arange(40) % 2, class_names=("cat", "dog")
    )
    told = check_features(scene, feature(BLACK)).warnings
    assert any(each.startswith("98% of the images have cluster 3: it is more likely back") for each in told)
    assert any(each.startswith("In 39 of 39 images with cluster 3 every region shows it") for each in told)


def test_parts_of_one_feature_that_were_not_chosen_are_named(scene: Any) -> None:
    """Squares lie around two medoids that are as near as the squares are to each other."""
    rng, region = np.random.default_rng(0), scene.region.copy()
    squares = region[:, SQUARE] > 0.5
    side = rng.random(squares.sum()) < 0.5
    region[squares] = AXES[SQUARE] + 0.1 * np.where(side, 1, -1)[:, None] * AXES[5]
    region[squares] += 0.1 * rng.normal(size=(squares.sum(), 6))
    region /= np.linalg.norm(region, axis=1, keepdims=True)
    object.__setattr__(scene, "region", region.astype(np.float32))
    medoids = AXES.copy()
    medoids[[SQUARE, 4]] = AXES[SQUARE] + np.array([[0.1], [-0.1]]) * AXES[5]
    medoids /= np.linalg.norm(medoids, axis=1, keepdims=True)
    told = check_features(scene, feature(SQUARE, medoids=medoids)).warnings
    assert told[0] == (
        "Cluster 4 looks much like what you chose and is left as it is. If it shows the same feature, choose it too."
    )
    assert check_features(scene, feature(SQUARE, 4, medoids=medoids)).ok


@pytest.mark.parametrize("seed", range(4))
def test_groups_and_classes_equal_the_loops(
    make_discovery: Callable[..., Any], make_embeddings: Callable[..., Any], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    counts = tuple(rng.integers(0, 4, 30).tolist())
    other = make_embeddings(seed, counts=counts)
    names = other.class_names
    labels = rng.integers(-1, len(names), 30)
    one = make_discovery(seed).choose(1)
    found = check_features(other, one, labels=labels)
    image_index = other.regions.image_index
    own_text = other.text[labels[image_index]]
    similarity = np.array([float(z @ text) for z, text in zip(other.region, own_text, strict=True)])
    cluster = np.array([int(np.argmax(one.medoids @ z)) for z in other.region])
    core = core_regions(similarity, labels[image_index] >= 0, image_index, cluster, labels[image_index])
    rows = np.split(np.arange(sum(counts)), np.cumsum(counts)[:-1])
    sizes = {(name, there): 0 for name in (*names, "(no class)") for there in (False, True)}
    with_it, hits = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for i, own in enumerate(rows):
        shows = [int(np.argmax([other.region[r] @ m for m in one.medoids])) == 1 for r in own]
        name = names[labels[i]] if labels[i] >= 0 else "(no class)"
        sizes[name, any(shows)] += 1
        if labels[i] >= 0 and any(shows):
            with_it[name] += 1
            hits[name] += shows[core[own].tolist().index(True)]
    table = {(r.class_name, r.present): r.n for r in found.groups.itertuples()}
    assert table == sizes
    for row in found.classes.itertuples():
        assert row.n_with == with_it[row.class_name]
        assert row.core == pytest.approx(hits[row.class_name] / row.n_with) if row.n_with else np.isnan(row.core)


def test_few_images_are_not_spoken_of(make_embeddings: Callable[..., Any]) -> None:
    def told(n_dogs: int) -> tuple[str, ...]:
        labels = np.repeat([0, 1], [20, n_dogs])
        region = AXES[np.stack([labels, np.where(labels == 0, SQUARE, BLACK)], 1).ravel()]
        return check_features(
            make_embeddings(
                counts=(2,) * len(labels),
                dim=6,
                region=region,
                text=AXES[:2],
                labels=labels,
                class_names=("cat", "dog"),
            ),
            feature(DOG),
        ).warnings

    assert not any("shows the image's own class" in each for each in told(MIN_IMAGES - 1))
    assert any("shows the image's own class" in each for each in told(MIN_IMAGES))


def test_what_cannot_be_checked(scene: Any) -> None:
    with pytest.raises(InputError, match=r"feature a Feature, got a list.*discovery\.choose"):
        check_features(scene, [])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="one integer label for each of 40 images"):
        check_features(scene, feature(SQUARE), labels=np.zeros(3, np.int64))
