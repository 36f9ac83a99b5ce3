"""Each objective equals plain loops over its formula (method.md 8.1), survives its edges, and keeps its contract."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ravl_explore import objectives
from ravl_explore.errors import InputError
from ravl_explore.objectives import Batch, CounterfactualRegions, RegionAware, Standard, Upsampled
from ravl_explore.objectives.base import ImageObjective, clip_loss
from ravl_explore.objectives.region_aware import region_losses

OFFERED = [
    getattr(objectives, name)
    for name in objectives.__all__
    if isinstance(getattr(objectives, name), type) and issubclass(getattr(objectives, name), ImageObjective)
]


def random_batch(seed: int = 0, n_images: int = 5, n_classes: int = 3, dim: int = 6, **changes: Any) -> Batch:
    """Four 8 x 8 quadrants an image of 16 pixels; some spurious, one of the others core."""
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.tensor(
        [[i, x, y, x + 8, y + 8] for i in range(n_images) for y in (0, 8) for x in (0, 8)], dtype=torch.float32
    )
    spurious = torch.rand(len(boxes), generator=generator) < 0.3
    core = torch.zeros(len(boxes), dtype=torch.bool)
    for i in range(n_images):
        clean = torch.nonzero((boxes[:, 0] == i) & ~spurious)[:, 0]
        core[clean[:1]] = True
    arguments: dict[str, Any] = {
        "pixels": torch.rand(n_images, 3, 16, 16, generator=generator),
        "boxes": boxes,
        "spurious": spurious,
        "core": core,
        "labels": torch.randint(n_classes, (n_images,), generator=generator),
        "captions": normalize(torch.randn(n_images, dim, generator=generator), dim=1),
        "classes": normalize(torch.randn(n_classes, dim, generator=generator), dim=1),
        "temperature": 0.07,
    }
    return Batch(**(arguments | changes))


def embedded(batch: Batch, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed + 1000)
    dim = batch.captions.shape[1]
    image = normalize(torch.randn(len(batch.pixels), dim, generator=generator), dim=1)
    region = normalize(torch.randn(len(batch.boxes), dim, generator=generator), dim=1)
    return image, region


# --- contract ---------------------------------------------------------------------------------------------------------


def test_every_objective_is_offered() -> None:
    assert {each.__name__ for each in OFFERED} == {"CounterfactualRegions", "RegionAware", "Upsampled", "Standard"}
    labels = [label for each in OFFERED for label in each.menu()]
    assert len(set(labels)) == len(labels) >= len(OFFERED)


@pytest.mark.parametrize("kind", OFFERED)
def test_contract(kind: type) -> None:
    for label, arguments in kind.menu().items():
        objective = kind(*arguments)
        assert objective.name == label
        batch = random_batch()
        before = {name: value.clone() for name, value in vars(batch).items() if isinstance(value, Tensor)}
        edited = objective.edit(batch, torch.Generator().manual_seed(0))
        assert edited.pixels.shape == batch.pixels.shape
        image, region = (rows.requires_grad_() for rows in embedded(batch))
        terms = objective(image, region if objective.uses_regions else region[:0], edited)
        assert all(isinstance(value, Tensor) and value.ndim == 0 for value in terms.values())
        terms["loss"].backward()
        assert image.grad is not None and image.grad.isfinite().all() and image.grad.abs().sum() > 0
        assert objective.uses_regions == (region.grad is not None and bool(region.grad.abs().sum() > 0))
        for name, value in before.items():
            assert torch.equal(value, getattr(batch, name)), f"{name} of the original batch"
        weights = objective.sample_weights(np.array([0, 0, 1, 1, 1]), np.array([1, 0, 0, 0, 1], bool))
        if weights is not None:
            assert weights.shape == (5,) and (weights > 0).all() and weights.sum() == pytest.approx(1)


# --- CLIP's loss ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_clip_loss_equals_the_loops(seed: int) -> None:
    batch = random_batch(seed, captions=random_batch(seed).captions[[0, 0, 1, 2, 3]])
    image, _ = embedded(batch, seed)
    s = [[float(a @ b) / 0.07 for b in batch.captions] for a in image]
    total = 0.0
    for i in range(5):
        total += math.log(sum(math.exp(s[i][j]) for j in range(5))) - s[i][i]
        total += math.log(sum(math.exp(s[j][i]) for j in range(5))) - s[i][i]
    assert float(clip_loss(image, batch.captions, 0.07)) == pytest.approx(total / 10, rel=1e-4)
    for objective in (Standard(), Upsampled(), CounterfactualRegions()):
        assert float(objective(image, image, batch)["loss"]) == pytest.approx(total / 10, rel=1e-4)


# --- RaVL's region losses ---------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("duplicates", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_region_losses_equal_the_loops(seed: int, duplicates: bool) -> None:
    similarity, image_of, spurious, labels = random_regions(seed)
    expected = loops(similarity.tolist(), image_of.tolist(), spurious.tolist(), labels.tolist(), duplicates)
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


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weight", [0.0, 0.8, 1.0])
def test_region_aware_adds_its_terms(reduction: str, weight: float) -> None:
    batch = random_batch(2)
    image, region = embedded(batch, 2)
    s = (region @ batch.classes.T / 0.07).tolist()
    in_region, in_image, n = loops(
        s, batch.image_of_region.tolist(), batch.spurious.tolist(), batch.labels.tolist(), False
    )
    contrastive = float(clip_loss(image, batch.captions, 0.07))
    scale = n if reduction == "mean" else 1
    terms = RegionAware(weight, reduction)(image, region, batch)  # type: ignore[arg-type]
    assert float(terms["loss"]) == pytest.approx(
        weight * contrastive + (1 - weight) * (in_region + in_image) / scale, rel=1e-4
    )
    shown = [float(terms[name]) for name in ("clip", "L_R", "L_A")]
    assert shown == pytest.approx([contrastive, in_region / n, in_image / n], rel=1e-4)
    assert n > 1


def test_the_default_weight_is_the_papers_and_classes_count_once() -> None:
    assert (RegionAware().weight, RegionAware().labels) == (0.8, "unique")


def test_literal_duplicates_floor_the_loss() -> None:
    """Thirteen images of one class and nothing else: L_R is log 13 each, read literally; else 0."""
    n = 13
    similarity = torch.zeros(n, 1, dtype=torch.float64)
    labels, image_of, spurious = torch.zeros(n, dtype=torch.long), torch.arange(n), torch.zeros(n, dtype=torch.bool)
    literal, _, _ = region_losses(similarity, image_of, spurious, labels, duplicates=True)
    unique, in_image, _ = region_losses(similarity, image_of, spurious, labels)
    assert float(literal) / n == pytest.approx(math.log(13))
    assert float(unique) == float(in_image) == 0


@pytest.mark.parametrize("duplicates", [False, True])
def test_gradients_are_those_of_the_numbers(duplicates: bool) -> None:
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


@pytest.mark.parametrize("arguments", [{"weight": -0.1}, {"weight": 1.1}, {"reduction": "median"}, {"labels": "all"}])
def test_region_aware_refuses(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"weight from 0 to 1|reduction sum or mean"):
        RegionAware(**arguments)


# --- sampling ---------------------------------------------------------------------------------------------------------


def test_upsampled_gives_every_group_the_same_chance() -> None:
    rng = np.random.default_rng(0)
    labels, present = rng.integers(0, 3, 200), rng.random(200) < 0.1
    weights = Upsampled().sample_weights(labels, present)
    groups = {(y, there): weights[(labels == y) & (present == there)] for y in range(3) for there in (True, False)}
    for group in groups.values():
        assert group.sum() == pytest.approx(1 / 6) and np.ptp(group) == 0
    assert Standard().sample_weights(labels, present) is None


# --- counterfactual regions -------------------------------------------------------------------------------------------


def quadrants(spurious: list[int], core: list[int], n_images: int = 2) -> Batch:
    """Images of 4 x 4 pixels in four quadrants; every region has its own gray value, (1 + number) / 100."""
    boxes = torch.tensor(
        [[i, x, y, x + 2, y + 2] for i in range(n_images) for y in (0, 2) for x in (0, 2)], dtype=torch.float32
    )
    pixels = torch.zeros(n_images, 3, 4, 4)
    for number, (i, x1, y1, x2, y2) in enumerate(boxes.int().tolist()):
        pixels[i, :, y1:y2, x1:x2] = (1 + number) / 100
    flags = {"spurious": torch.zeros(len(boxes), dtype=torch.bool), "core": torch.zeros(len(boxes), dtype=torch.bool)}
    flags["spurious"][spurious] = True
    flags["core"][core] = True
    return replace(random_batch(n_images=n_images), pixels=pixels, boxes=boxes, **flags)


def shown(batch: Batch) -> list[int]:
    """Which region's gray each region of the batch now shows; fails where a region is not of one color."""
    result = []
    for i, x1, y1, x2, y2 in batch.boxes.int().tolist():
        crop = batch.pixels[i, :, y1:y2, x1:x2]
        assert torch.equal(crop, crop.flatten()[0].expand_as(crop))
        result.append(round(float(crop[0, 0, 0]) * 100) - 1)
    return result


def edited(batch: Batch, probability: float = 1.0, seed: int = 0) -> Batch:
    return CounterfactualRegions(probability).edit(batch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(10))
def test_a_spurious_region_is_erased_by_a_clean_one_of_another_image(seed: int) -> None:
    found = shown(edited(quadrants(spurious=[3], core=[0, 4]), seed=seed))
    assert found[:3] == [0, 1, 2] and found[3] in (5, 6, 7), "image 0 loses its feature, not by image 1's core"
    assert found[4] == 4, "the core of image 1 stays"
    pasted = [place for place in (5, 6, 7) if found[place] != place]
    assert len(pasted) == 1 and found[pasted[0]] == 3, "image 1 gets the feature once, over a non-core region"


def test_every_spurious_region_of_an_image_is_erased() -> None:
    found = shown(edited(quadrants(spurious=[1, 2, 3], core=[0, 4])))
    assert found[0] == 0 and set(found[1:4]) <= {5, 6, 7}


def test_all_donors_and_places_are_used() -> None:
    finds = [shown(edited(quadrants(spurious=[3], core=[0, 4]), seed=seed)) for seed in range(60)]
    assert {found[3] for found in finds} == {5, 6, 7}
    assert {place for found in finds for place in (5, 6, 7) if found[place] == 3} == {5, 6, 7}


@pytest.mark.parametrize("seed", range(20))
def test_core_regions_and_the_original_never_change(seed: int) -> None:
    batch = quadrants(spurious=[1, 6, 11, 14], core=[0, 4, 8, 12], n_images=4)
    before = batch.pixels.clone()
    after = edited(batch, seed=seed)
    assert torch.equal(batch.pixels, before) and not torch.equal(after.pixels, before)
    assert [shown(after)[place] for place in (0, 4, 8, 12)] == [0, 4, 8, 12]
    for name in ("boxes", "spurious", "core", "labels", "captions"):
        assert getattr(after, name) is getattr(batch, name)
    for place, value in enumerate(shown(after)):  # nothing is pasted from the same image, and from no core
        if value != place:
            assert value // 4 != place // 4 and value not in (0, 4, 8, 12)


@pytest.mark.parametrize(
    ("spurious", "core"),
    [
        ([], [0, 4]),
        ([3, 4, 5, 6, 7], [0]),
        ([3], [0, 4, 5, 6, 7]),
        ([0, 1, 2, 3, 4, 5, 6, 7], []),
    ],
    ids=["no feature", "no clean donor", "nothing but core", "all spurious"],
)
def test_without_a_donor_an_image_stays(spurious: list[int], core: list[int]) -> None:
    batch = quadrants(spurious, core)
    assert torch.equal(edited(batch).pixels[0], batch.pixels[0])


def test_a_lonely_image_stays() -> None:
    batch = quadrants([3], [0], n_images=1)
    assert torch.equal(edited(batch).pixels, batch.pixels)


def test_probability() -> None:
    batch = quadrants(spurious=[3, 11, 19, 27], core=[0, 4, 8, 12, 16, 20, 24, 28], n_images=8)
    assert torch.equal(edited(batch, 0.0).pixels, batch.pixels)
    touched = torch.stack(
        [(edited(batch, 0.5, seed).pixels != batch.pixels).flatten(1).any(1).float() for seed in range(100)]
    )
    assert 0.4 < float(touched.mean()) < 0.6
    assert (edited(batch, 1.0).pixels != batch.pixels).flatten(1).any(1).all()
    for probability in (-0.1, 1.1):
        with pytest.raises(InputError, match="probability from 0 to 1"):
            CounterfactualRegions(probability)


def test_the_generator_decides_everything() -> None:
    batch = quadrants(spurious=[3, 11], core=[0, 4, 8, 12], n_images=4)
    torch.manual_seed(1)
    one = edited(batch, 0.5, seed=3)
    torch.manual_seed(2)
    assert torch.equal(one.pixels, edited(batch, 0.5, seed=3).pixels)
    assert any(not torch.equal(one.pixels, edited(batch, 0.5, seed=seed).pixels) for seed in range(4, 9))


@pytest.mark.parametrize(
    ("target", "donor"),
    [((0, 0, 4, 2), (4, 4, 6, 8)), ((1, 1, 3, 3), (0, 0, 8, 8)), ((0.4, 0.6, 3.6, 4.4), (2, 2, 6, 6))],
)
def test_boxes_of_other_sizes_are_resized_to_fit(target: tuple, donor: tuple) -> None:
    """A donor of one color fills the target, whole pixels only, and nothing beside it."""
    boxes = torch.tensor([[0, *target], [1, *donor]], dtype=torch.float32)
    pixels = torch.zeros(2, 3, 8, 8)
    u1, v1, u2, v2 = (round(value) for value in donor)
    pixels[1, :, v1:v2, u1:u2] = torch.tensor([0.2, 0.4, 0.6])[:, None, None]
    flags = {"spurious": torch.tensor([True, False]), "core": torch.zeros(2, dtype=torch.bool)}
    batch = replace(random_batch(n_images=2), pixels=pixels, boxes=boxes, **flags)
    after = edited(batch).pixels
    x1, y1, x2, y2 = (round(value) for value in target)
    expected = torch.zeros(3, 8, 8)
    expected[:, y1:y2, x1:x2] = torch.tensor([0.2, 0.4, 0.6])[:, None, None]
    assert torch.allclose(after[0], expected, atol=1e-6)
    assert torch.equal(after[1, :, v1:v2, u1:u2][:, 0, 0], after[1, :, v1, u1])


def test_tiny_boxes_at_the_border_take_one_pixel() -> None:
    boxes = torch.tensor([[0, 7.8, 7.8, 8, 8], [1, 0, 0, 0.3, 0.3]], dtype=torch.float32)
    pixels = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    flags = {"spurious": torch.tensor([True, False]), "core": torch.zeros(2, dtype=torch.bool)}
    after = edited(replace(random_batch(n_images=2), pixels=pixels, boxes=boxes, **flags)).pixels
    assert torch.nonzero(after[0, 0]).tolist() == [[7, 7]]
    assert torch.nonzero(after[1, 0] == 0).tolist() == [[0, 0]]
