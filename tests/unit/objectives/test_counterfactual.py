"""Counterfactual regions: the feature is taken away or put in, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ravl_explore.errors import InputError
from ravl_explore.objectives import Batch, CounterfactualRegions
from tests.unit.objectives.cases import random_batch


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
