"""Spurious-Aware's two losses equal plain loops, and what stands in for the texts is what it says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ravl_explore.errors import InputError
from ravl_explore.objectives import Batch, SpuriousAware
from ravl_explore.objectives.losses import clip_loss
from ravl_explore.objectives.prototypes import MOST_IMAGES, prototypes, spread
from ravl_explore.objectives.spurious_aware import class_contrast
from tests.unit.objectives.cases import embedded, random_batch, start_of


def contrast_loops(image: Any, labels: list[int]) -> float:
    """Mean over i of -mean_j cos [same] + mean_j cos [other], over the images that have a class."""
    known = [i for i, y in enumerate(labels) if y >= 0]
    total = 0.0
    for i in known:
        same = other = 0.0
        for j in known:
            if labels[i] == labels[j]:
                same += float(image[i] @ image[j])
            else:
                other += float(image[i] @ image[j])
        total += -same / len(known) + other / len(known)
    return total / len(known) if known else 0.0


def feature_loops(image: Any, stand_in: Any, present: list[bool], temperature: float) -> float:
    total = 0.0
    for z, there in zip(image, present, strict=True):
        sigma = [math.exp(float(z @ t) / temperature) for t in stand_in]
        total -= math.log(sigma[int(there)] / sum(sigma))
    return total / len(image)


def mean_loops(rows: Any, labels: list[int], shows: list[bool]) -> list[Tensor]:
    """Class means without and with the feature, averaged over the classes that have both, made unit-norm."""
    both = [y for y in set(labels) - {-1} if len({s for s, own in zip(shows, labels, strict=True) if own == y}) == 2]
    sides = []
    for side in (False, True):
        means = []
        for y in both:
            mine = [r for r, own, s in zip(rows, labels, shows, strict=True) if own == y and s == side]
            means.append(sum(mine) / len(mine))
        mean = sum(means) / len(means)
        sides.append(mean / mean.norm())
    return sides


@pytest.mark.parametrize("labels", [[0, 1, 2, 0, 0], [0, -1, 2, -1, 0], [1] * 5, [-1] * 5])
@pytest.mark.parametrize("seed", range(3))
def test_class_contrast_equals_the_loops(labels: list[int], seed: int) -> None:
    image, _ = embedded(random_batch(seed), seed)
    expected = contrast_loops(image, labels)
    assert float(class_contrast(image, torch.tensor(labels))) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_terms_equal_the_loops(seed: int) -> None:
    batch = random_batch(seed, n_images=8)
    image, region = embedded(batch, seed)
    run = SpuriousAware(0.5, 2.0).begin(start_of(batch))
    terms = run(image, region[:0], batch)
    of_class = contrast_loops(image, batch.labels.tolist())
    seen = embedded(batch, 7)[0]  # what the model saw before the first step
    stand_in = mean_loops(seen, batch.labels.tolist(), batch.present.tolist())
    of_feature = feature_loops(image, stand_in, batch.present.tolist(), 0.07)
    contrastive = float(clip_loss(image, batch.captions, 0.07))
    shown = [float(terms[name]) for name in ("clip", "L_vc", "L_vs", "loss")]
    expected = [contrastive, of_class, of_feature, contrastive + 0.5 * of_class + 2 * of_feature]
    assert shown == pytest.approx(expected, rel=1e-4)
    assert 0 < batch.present.sum() < 8 and SpuriousAware().sample_weights(np.zeros(2), np.zeros(2)) is None


def test_regions_stand_in_where_asked() -> None:
    batch = random_batch(1, n_images=8)
    image, _ = embedded(batch, 1)
    _, region = embedded(batch, 7)
    labels = [int(batch.labels[i]) for i in batch.image_of_region]
    stand_in = mean_loops(region, labels, batch.spurious.tolist())
    found = SpuriousAware(stand_in="regions").begin(start_of(batch))(image, image[:0], batch)["L_vs"]
    assert float(found) == pytest.approx(feature_loops(image, stand_in, batch.present.tolist(), 0.07), rel=1e-4)


def test_texts_stand_in_where_given() -> None:
    batch, texts = random_batch(1), ("street", "street with a car")
    image, _ = embedded(batch, 1)
    start = start_of(batch)
    found = SpuriousAware(stand_in="text", descriptions=texts).begin(start)(image, image[:0], batch)["L_vs"]
    expected = feature_loops(image, start.embed_prompts(texts), batch.present.tolist(), 0.07)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_the_batch_stands_in_where_asked_and_gets_no_gradient() -> None:
    batch = random_batch(1, n_images=8)
    image = embedded(batch, 1)[0].requires_grad_()
    run = SpuriousAware(0.0, 1.0, stand_in="batch").begin(start_of(batch))
    values = run(image, image[:0], batch)
    stand_in = mean_loops(image.detach(), batch.labels.tolist(), batch.present.tolist())
    assert float(values["L_vs"].detach()) == pytest.approx(
        feature_loops(image.detach(), stand_in, batch.present.tolist(), 0.07), rel=1e-4
    )
    (found,) = torch.autograd.grad(values["L_vs"], image)
    held = image.detach().requires_grad_()
    logits = held @ torch.stack(stand_in).T / 0.07
    torch.nn.functional.cross_entropy(logits, batch.present.long()).backward()
    assert held.grad is not None and torch.allclose(found, held.grad, atol=1e-5)


def test_class_means_take_the_class_out() -> None:
    """Nine in ten of class 0 show the feature, one in ten of class 1: the axis is the feature's all the same."""
    labels = torch.arange(200) % 2
    shows = torch.where(labels == 0, torch.arange(200) % 20 != 0, torch.arange(200) % 20 == 1)
    rows = torch.zeros(200, 3)
    rows[:, 2] = 1
    rows[:, 0] = torch.where(labels == 0, 1.0, -1.0)  # the class
    rows[:, 1] = torch.where(shows, 1.0, -1.0)  # the feature
    found = prototypes(rows, labels, shows)
    assert found is not None
    difference = normalize(found[1] - found[0], dim=0)
    assert difference.tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    plain = rows[shows].mean(0) - rows[~shows].mean(0)
    assert abs(float(normalize(plain, dim=0)[0])) > 0.5, "plain means would tell the class"


def test_without_a_class_of_both_kinds_plain_means_stand_in() -> None:
    rows, _ = embedded(random_batch())
    shows = torch.tensor([True, True, False, False, False])
    for labels in (torch.tensor([0, 0, 1, 1, 2]), torch.full((5,), -1)):
        found = prototypes(rows, labels, shows)
        assert found is not None
        assert torch.allclose(found, normalize(torch.stack([rows[2:].mean(0), rows[:2].mean(0)]), dim=1))


@pytest.mark.parametrize("side", [True, False])
def test_without_both_kinds_there_is_nothing_to_tell_apart(side: bool) -> None:
    batch = random_batch()
    batch = replace(batch, spurious=torch.full((20,), side))
    image, region = embedded(batch)
    assert prototypes(image, batch.labels, batch.present) is None
    for stand_in in ("images", "regions", "batch"):
        terms = SpuriousAware(stand_in=stand_in).begin(start_of(batch))(image, region, batch)
        assert float(terms["L_vs"]) == 0 and float(terms["loss"]) == pytest.approx(float(terms["clip"] + terms["L_vc"]))


def test_prototypes_are_fixed_before_the_first_step() -> None:
    batch, looks = random_batch(1), []

    def look(images: np.ndarray, regions: bool) -> Iterator[tuple[Tensor, Tensor, Batch]]:
        looks.append(regions)
        image, region = embedded(batch, len(looks))
        yield image, region, batch

    run = SpuriousAware().begin(replace(start_of(batch), embedded=look))
    image, region = embedded(batch, 3)
    once, twice = (float(run(image, region, batch)["L_vs"]) for _ in range(2))
    assert once == twice and looks == [False]


def test_a_run_can_be_taken_up_again_with_its_own_prototypes() -> None:
    """A run that goes on from a checkpoint begins with another model, whose prototypes would be others."""
    batch = random_batch(1)
    image, region = embedded(batch, 3)
    first = SpuriousAware().begin(start_of(batch))
    again = SpuriousAware().begin(start_of(random_batch(3)))
    values = [float(run(image, region, batch)["L_vs"]) for run in (first, again)]
    again.restore(first.state())
    assert values[0] != values[1] and float(again(image, region, batch)["L_vs"]) == values[0]
    again.restore(SpuriousAware(stand_in="batch").begin(start_of(batch)).state())
    assert again.stand_in is None


def test_images_are_looked_at_evenly_from_all_groups() -> None:
    rng = np.random.default_rng(0)
    labels, present = rng.integers(0, 3, 20_000), rng.random(20_000) < 0.01
    chosen = spread(labels, present)
    assert (np.diff(chosen) > 0).all() and len(chosen) <= MOST_IMAGES
    for y in range(3):
        for there in (True, False):
            mine = (labels[chosen] == y) & (present[chosen] == there)
            assert mine.sum() == min(MOST_IMAGES // 6, ((labels == y) & (present == there)).sum())
    assert np.array_equal(spread(labels[:50], present[:50]), np.arange(50)), "few images: all of them"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"class_weight": -1.0}, "class_weight of 0 or more"),
        ({"spurious_weight": float("nan")}, "spurious_weight of 0 or more"),
        ({"stand_in": "dreams"}, "stand_in images or regions or text or batch, got 'dreams'"),
        ({"stand_in": "text"}, "descriptions together with stand_in='text'"),
        ({"descriptions": ("a", "b")}, "descriptions together with stand_in='text'"),
        ({"stand_in": "text", "descriptions": ("a",)}, "two descriptions"),
        ({"stand_in": "text", "descriptions": "ab"}, "descriptions as a list, got 'ab'"),
    ],
)
def test_settings_out_of_range(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        SpuriousAware(**arguments)
