"""RaVL's region losses equal plain loops over the equations (method.md 8.1), and survive their edges."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ravl_explore.errors import InputError
from ravl_explore.objectives import Batch, RegionAware
from ravl_explore.objectives.losses import clip_loss
from ravl_explore.objectives.region_aware import region_losses
from tests.unit.objectives.cases import embedded, random_batch


def loops(
    s: list[list[float]], image_of: list[int], spurious: list[bool], labels: list[int], duplicates: bool
) -> tuple[float, float, int]:
    """Sums of L_R (equation 5) and L_A (equation 9) over the images with a class and a clean region, as printed."""
    sigma = [[math.exp(value) for value in row] for row in s]
    classes = range(len(s[0]) if s else 0)
    clean = [[r for r in range(len(s)) if image_of[r] == i and not spurious[r]] for i in range(len(labels))]
    sigma_m = [[max((sigma[r][c] for r in clean[i]), default=None) for c in classes] for i in range(len(labels))]
    in_batch = [y for y in labels if y >= 0]
    if not duplicates:
        in_batch = sorted(set(in_batch))
    penalty = sum(max(sigma[r][c] for c in in_batch) for r in range(len(s)) if spurious[r]) if in_batch else 0
    valid = [i for i in range(len(labels)) if labels[i] >= 0 and clean[i]]
    in_region = in_image = 0.0
    for i in valid:
        y = labels[i]
        in_region -= math.log(sigma_m[i][y] / (sum(sigma_m[i][c] for c in in_batch) + penalty))
        denominator = sigma_m[i][y]
        for j in valid:
            if labels[j] != y:
                denominator += sigma_m[j][y]
        for r in range(len(s)):
            if spurious[r]:
                denominator += sigma[r][y]
        in_image -= math.log(sigma_m[i][y] / denominator)
    return in_region, in_image, len(valid)


def random_regions(seed: int, temperature: float = 0.3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Similarities, images, spurious flags and labels, with images of no region, only spurious ones, and no label."""
    rng = np.random.default_rng(seed)
    n_images, n_classes = int(rng.integers(1, 8)), int(rng.integers(1, 5))
    image_of = np.repeat(np.arange(n_images), rng.integers(0, 4, n_images))
    spurious = rng.random(len(image_of)) < rng.choice([0.0, 0.4, 0.8])
    labels = rng.integers(-1 if rng.random() < 0.5 else 0, n_classes, n_images)
    similarity = rng.uniform(-1, 1, (len(image_of), n_classes)) / temperature
    return torch.tensor(similarity), torch.tensor(image_of), torch.tensor(spurious), torch.tensor(labels)


@pytest.mark.parametrize("duplicates", ["unique", "samples"])
@pytest.mark.parametrize("seed", range(60))
def test_region_losses_equal_the_loops(seed: int, duplicates: Any) -> None:
    similarity, image_of, spurious, labels = random_regions(seed)
    expected = loops(
        similarity.tolist(), image_of.tolist(), spurious.tolist(), labels.tolist(), duplicates == "samples"
    )
    found = region_losses(similarity, image_of, spurious, labels, duplicates=duplicates)
    assert [float(value) for value in found] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_random_regions_reach_the_edges() -> None:
    cases = [random_regions(seed) for seed in range(60)]
    only_spurious = [
        [i for i in image_of.unique() if spurious[image_of == i].all() and labels[i] >= 0]
        for _, image_of, spurious, labels in cases
    ]
    assert any(only_spurious) and any((labels < 0).any() for *_, labels in cases)
    assert any(not spurious.any() for *_, spurious, _ in cases)
    assert any(region_losses(*case)[2] == 0 for case in cases)
    assert any(region_losses(*case)[2] > 4 for case in cases)
    lonely = 0  # a class that only an image without clean regions has: it stays in the denominators
    for (_, _, _, labels), images in zip(cases, only_spurious, strict=True):
        lonely += any((labels == labels[i]).sum() == 1 for i in images)
    assert lonely > 3


@pytest.mark.parametrize("duplicates", ["unique", "samples"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weight", [0.0, 0.8, 1.0])
def test_region_aware_adds_its_terms(reduction: Any, weight: float, duplicates: Any) -> None:
    batch = random_batch(2)
    image, region = embedded(batch, 2)
    s = (region @ batch.classes.T / 0.07).tolist()
    in_region, in_image, n = loops(
        s, batch.image_of_region.tolist(), batch.spurious.tolist(), batch.labels.tolist(), duplicates == "samples"
    )
    contrastive = float(clip_loss(image, batch.captions, 0.07))
    scale = n if reduction == "mean" else 1
    terms = RegionAware(weight, reduction, duplicates)(image, region, batch)
    assert float(terms["loss"]) == pytest.approx(
        weight * contrastive + (1 - weight) * (in_region + in_image) / scale, rel=1e-4
    )
    shown = [float(terms[name]) for name in ("clip", "L_R", "L_A")]
    assert shown == pytest.approx([contrastive, in_region / n, in_image / n], rel=1e-4)
    assert n > 1
    assert terms["images with region losses"] == n
    assert terms["spurious regions"] == int(batch.spurious.sum()) > 0


def test_the_default_weight_is_the_papers_and_classes_count_once() -> None:
    default = RegionAware()
    assert (default.weight, default.duplicates, default.reduction, default.max_spurious) == (
        0.8, "unique", "mean", None,
    )  # fmt: skip


def test_literal_duplicates_floor_the_loss() -> None:
    """Thirteen images of one class and nothing else: L_R is log 13 each, read literally; else 0."""
    n = 13
    similarity = torch.zeros(n, 1, dtype=torch.float64)
    labels, image_of, spurious = torch.zeros(n, dtype=torch.long), torch.arange(n), torch.zeros(n, dtype=torch.bool)
    literal, _, _ = region_losses(similarity, image_of, spurious, labels, duplicates="samples")
    unique, in_image, _ = region_losses(similarity, image_of, spurious, labels)
    assert float(literal) / n == pytest.approx(math.log(13))
    assert float(unique) == float(in_image) == 0


@pytest.mark.parametrize("duplicates", ["unique", "samples"])
def test_gradients_are_those_of_the_numbers(duplicates: Any) -> None:
    """Finite differences in float64; image 3 has only spurious regions, image 4 no label."""
    image_of = torch.tensor([0, 0, 1, 1, 2, 3, 4])
    spurious = torch.tensor([False, True, False, False, False, True, False])
    labels = torch.tensor([0, 1, 0, 2, -1])
    similarity = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def summed(values: Tensor) -> tuple[Tensor, Tensor]:
        return region_losses(values, image_of, spurious, labels, duplicates=duplicates)[:2]

    assert torch.autograd.gradcheck(summed, (similarity,))
    (gradient,) = torch.autograd.grad(sum(summed(similarity)), similarity)  # type: ignore[arg-type]
    assert (gradient[spurious].sum(1) > 0).all(), "every spurious region is pushed away"
    assert gradient[0, 0] < 0, "a clean region is pulled to its class"


def edge(image_of: list[int], spurious: list[bool], labels: list[int], n_classes: int = 2) -> list[Tensor]:
    """(L_R, L_A, gradient of their sum) of a small random case."""
    generator = torch.Generator().manual_seed(0)
    similarity = torch.randn(len(image_of), n_classes, generator=generator).requires_grad_()
    in_region, in_image, _ = region_losses(
        similarity,
        torch.tensor(image_of, dtype=torch.long),
        torch.tensor(spurious, dtype=torch.bool),
        torch.tensor(labels),
    )
    (in_region + in_image).backward()
    assert similarity.grad is not None
    return [in_region.detach(), in_image.detach(), similarity.grad]


@pytest.mark.parametrize(
    ("image_of", "spurious", "labels"),
    [
        ([0, 1], [True, True], [0, 1]),
        ([0, 1], [False, False], [-1, -1]),
        ([0, 1], [False, True], [-1, 1]),
        ([], [], [0, 1]),
    ],
    ids=["only spurious regions", "no label", "none with both", "no region"],
)
def test_without_an_image_that_counts_all_is_zero(image_of: list, spurious: list, labels: list) -> None:
    in_region, in_image, gradient = edge(image_of, spurious, labels)
    assert float(in_region) == float(in_image) == 0
    assert (gradient == 0).all() and gradient.shape == (len(image_of), 2)


def test_one_class_and_no_spurious_region_has_nothing_to_learn() -> None:
    in_region, in_image, gradient = edge([0, 0, 1], [False] * 3, [1, 1])
    assert float(in_region) == pytest.approx(0) and float(in_image) == pytest.approx(0)
    assert gradient.abs().max() < 1e-6


def test_one_class_with_a_spurious_region_still_pushes_it_away() -> None:
    in_region, in_image, gradient = edge([0, 0, 1], [False, True, False], [1, 1])
    assert float(in_region) > 0 and float(in_image) > 0
    assert gradient[1, 1] > 0 and gradient.isfinite().all()


def test_an_image_of_spurious_regions_counts_only_as_a_penalty() -> None:
    full = edge([0, 1, 2], [False, True, False], [0, 1, 1])
    without_label = edge([0, 1, 2], [False, True, False], [0, -1, 1])
    for one, other in zip(full, without_label, strict=True):
        assert torch.allclose(one, other) and one.isfinite().all()


@pytest.mark.parametrize("temperature", [0.07, 0.01, 0.001])
def test_large_logits_do_not_overflow(temperature: float) -> None:
    for sign in (1.0, -1.0):
        similarity = (sign * torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]) / temperature).requires_grad_()
        in_region, in_image, _ = region_losses(
            similarity, torch.tensor([0, 1, 1]), torch.tensor([False, False, True]), torch.tensor([0, 1])
        )
        (in_region + in_image).backward()
        assert in_region.isfinite() and in_image.isfinite()
        assert similarity.grad is not None and similarity.grad.isfinite().all()


def test_half_precision_similarities_are_summed_in_float32() -> None:
    """A thousand spurious regions: their sum of exp(14) is beyond what float16 can hold."""
    similarity = torch.full((1001, 2), 14.0, dtype=torch.float16).requires_grad_()
    spurious = torch.arange(1001) > 0
    in_region, in_image, _ = region_losses(similarity, torch.zeros(1001, dtype=torch.long), spurious, torch.tensor([0]))
    assert in_region.dtype == in_image.dtype == torch.float32
    assert float(in_region.detach()) == float(in_image.detach()) == pytest.approx(math.log(1001))
    (in_region + in_image).backward()
    assert similarity.grad is not None and similarity.grad.isfinite().all()


# --- fewer spurious regions -------------------------------------------------------------------------------------------


def capped(batch: Batch, most: int | None, seed: int = 0) -> Batch:
    return RegionAware(max_spurious=most).edit(batch, torch.Generator().manual_seed(seed))


def test_max_spurious_leaves_out_spurious_regions_only() -> None:
    batch = random_batch(2)
    n_spurious = int(batch.spurious.sum())
    assert n_spurious > 2
    for most in range(n_spurious + 1):
        kept = capped(batch, most)
        assert int(kept.spurious.sum()) == most and len(kept.boxes) == len(batch.boxes) - n_spurious + most
        assert torch.equal(kept.boxes[~kept.spurious], batch.boxes[~batch.spurious])
        assert torch.equal(kept.core[~kept.spurious], batch.core[~batch.spurious])
        there = {tuple(box) for box in batch.boxes[batch.spurious].tolist()}
        assert {tuple(box) for box in kept.boxes[kept.spurious].tolist()} <= there
        assert (kept.image_of_region.diff() >= 0).all(), "still in the order of the images"
        for name in ("pixels", "labels", "captions"):
            assert getattr(kept, name) is getattr(batch, name)
    assert capped(batch, None) is capped(batch, n_spurious) is capped(batch, 99) is batch


def test_max_spurious_draws_all_and_by_its_generator_alone() -> None:
    batch = random_batch(2)
    drawn = [tuple(capped(batch, 1, seed).boxes[capped(batch, 1, seed).spurious][0].tolist()) for seed in range(60)]
    assert set(drawn) == {tuple(box) for box in batch.boxes[batch.spurious].tolist()}


def test_max_spurious_lowers_what_regions_add() -> None:
    """Forty-eight spurious regions, all alike: each L_R falls from log 49 to log 3 when two are kept."""
    batch = random_batch(0, n_images=16, n_classes=1)
    batch = replace(batch, spurious=torch.arange(64) % 4 > 0, labels=torch.zeros(16, dtype=torch.long))
    for most, expected in ((None, math.log(49)), (2, math.log(3)), (0, 0.0)):
        seen = capped(batch, most)
        alike = seen.classes[:1].expand(len(seen.boxes), -1)
        terms = RegionAware(max_spurious=most)(batch.captions, alike, seen)
        assert float(terms["L_R"]) == float(terms["L_A"]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"reduction": "median"}, "reduction mean or sum, got 'median'"),
        ({"duplicates": "all"}, "duplicates unique or samples, got 'all'"),
        ({"max_spurious": -1}, "max_spurious a whole number from 0 up, got -1. None lets all count"),
    ],
)
def test_region_aware_refuses(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        RegionAware(**arguments)
