"""Counterfactual regions: the feature is taken away or put in, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ravl_explore.errors import InputError
from ravl_explore.objectives import (
    Batch,
    ConceptGuided,
    CounterfactualRegions,
    Projection,
    RegionAware,
    SpuriousAware,
    Standard,
    VlErm,
    VlGdro,
)
from ravl_explore.objectives.donors import MOST_DONORS, crops, gathered
from ravl_explore.objectives.editing import clean_regions, shared
from tests.unit.objectives.cases import embedded, random_batch, start_of


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


def edited(batch: Batch, probability: float = 1.0, seed: int = 0, **options: Any) -> Batch:
    return CounterfactualRegions(probability, **options).edit(batch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(10))
def test_a_spurious_region_is_erased_by_a_clean_one_of_another_image(seed: int) -> None:
    found = shown(edited(quadrants(spurious=[3], core=[0, 4]), seed=seed))
    assert found[:3] == [0, 1, 2] and found[3] in (5, 6, 7), "image 0 loses its feature, not by image 1's core"
    assert found[4] == 4, "the core of image 1 stays"
    pasted = [place for place in (5, 6, 7) if found[place] != place]
    assert len(pasted) == 1 and found[pasted[0]] == 3, "image 1 gets the feature once, over a non-core region"
    after = edited(quadrants(spurious=[3], core=[0, 4]), seed=seed)
    assert torch.nonzero(after.spurious)[:, 0].tolist() == pasted, "the flags say what is shown now"


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
    for name in ("boxes", "core", "labels", "captions"):
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


@pytest.mark.parametrize("seed", range(5))
def test_modes_do_one_half_each(seed: int) -> None:
    batch = quadrants(spurious=[3], core=[0, 4])
    erased, put = (shown(edited(batch, seed=seed, mode=mode)) for mode in ("erase", "paste"))
    assert erased[3] in (5, 6, 7) and erased[4:] == [4, 5, 6, 7], "the feature goes, and comes nowhere"
    assert put[:4] == [0, 1, 2, 3] and sorted(put[5:]).count(3) == 1, "the feature stays, and comes"
    assert not edited(batch, seed=seed, mode="erase").spurious.any()
    assert int(edited(batch, seed=seed, mode="paste").spurious.sum()) == 2


def two_features(seed: int = 0, probability: float = 1.0, **options: Any) -> tuple[list[int], list[int]]:
    """Images 0 (part 0 in region 3), 1 (part 1 in region 7) and 2 (neither); (what regions show, parts)."""
    batch = quadrants(spurious=[3, 7], core=[0, 4, 8], n_images=3)
    part = torch.full((12,), -1)
    part[3], part[7] = 0, 1
    after = edited(replace(batch, part=part), probability, seed, clusters="apart", **options)
    assert after.part is not None and torch.equal(after.part >= 0, after.spurious)
    return shown(after), after.part.tolist()


@pytest.mark.parametrize("seed", range(10))
def test_features_are_put_in_and_taken_away_independently(seed: int) -> None:
    found, part = two_features(seed)
    for image, has in enumerate(([1], [0], [0, 1])):  # each image gets what it had not and loses what it had
        own = range(4 * image, 4 * image + 4)
        assert sorted(part[r] for r in own if part[r] >= 0) == has
        assert all(found[r] == (3, 7)[part[r]] for r in own if part[r] >= 0)
    halves = [two_features(s, 0.5)[1] for s in range(40)]
    both = sum({0, 1} <= set(each[:4]) for each in halves)
    assert 3 <= both <= 18, "image 0 shows both features in a quarter of all draws"


def test_clusters_together_are_one_feature() -> None:
    batch = quadrants(spurious=[3, 7], core=[0, 4, 8], n_images=3)
    for part in (None, torch.where(batch.spurious, torch.arange(12) // 4, -1)):
        after = edited(replace(batch, part=part))
        assert after.part is None and after.spurious.tolist().count(True) == 1, "only image 2 had none"
        assert after.spurious[8:].any()
    with pytest.raises(InputError, match="regions with the number of their feature"):
        edited(batch, clusters="apart")


def test_typical_donors_are_the_quarter_most_similar() -> None:
    spurious = list(range(1, 9))
    batch = quadrants(spurious=spurious, core=[0, 12], n_images=4)
    batch = replace(batch, similarity=torch.linspace(0, 1, 16))
    finds = {tuple(shown(edited(batch, seed=seed, donors="typical"))[12:]) for seed in range(40)}
    assert {value for found in finds for value in found} - {12, 13, 14, 15} == {7, 8}
    finds = {tuple(shown(edited(batch, seed=seed))[12:]) for seed in range(80)}
    assert {value for found in finds for value in found} - {12, 13, 14, 15} == set(spurious)
    with pytest.raises(InputError, match="regions with their similarity to the feature"):
        edited(replace(batch, similarity=None), donors="typical")


def test_a_run_has_donors_from_all_data() -> None:
    batch = quadrants(spurious=[3, 11], core=[0, 4, 8, 12], n_images=4)
    run = CounterfactualRegions(1.0).begin(start_of(batch))
    assert [round(float(crop[0, 0, 0]) * 100) - 1 for crop in run.donors[0]] == [3, 11]
    lonely = quadrants(spurious=[], core=[0, 4])  # a batch without the feature still gets it
    found = shown(run.edit(lonely, torch.Generator().manual_seed(0)))
    assert sum(value in (3, 11) for value in found) == 2
    assert torch.equal(edited(lonely).pixels, lonely.pixels), "on its own the objective has the batch alone"


def test_a_run_without_the_feature_changes_nothing() -> None:
    batch = quadrants(spurious=[], core=[0, 4])
    run = CounterfactualRegions(1.0).begin(start_of(batch))
    assert run.donors == {} and torch.equal(run.edit(batch, torch.Generator().manual_seed(0)).pixels, batch.pixels)


def test_donors_are_limited_evenly_and_own_their_pixels() -> None:
    batches = [quadrants(spurious=[3], core=[0], n_images=1) for _ in range(2 * MOST_DONORS)]
    for number, batch in enumerate(batches):
        batch.pixels.fill_(number / 1000)
    donors = crops(batches, "any", "together")[0]
    assert [round(float(crop[0, 0, 0]) * 1000) for crop in donors] == list(range(0, 2 * MOST_DONORS, 2))
    assert all(crop.untyped_storage().nbytes() == 3 * 2 * 2 * 4 for crop in donors), "a crop, not the batch it is of"


def test_donors_come_from_images_with_the_feature_only() -> None:
    batch = quadrants(spurious=[3, 11], core=[0, 4, 8, 12], n_images=4)
    start, asked = start_of(batch), []

    def embedded_images(images: np.ndarray, regions: bool) -> Any:
        asked.append((images.tolist(), regions))
        return start.embedded(images, regions)

    gathered(replace(start, embedded=embedded_images), "any", "together")
    assert asked == [([0, 2], False)]


def test_overlapping_boxes() -> None:
    """Nothing that shares much with the core or the feature is taken or painted over; what is covered is flagged."""
    boxes = torch.tensor(
        [
            [0, 0, 0, 4, 4],  # core
            [0, 1, 1, 5, 5],  # shares 9/16 with it
            [0, 4, 4, 8, 8],  # free
            [0, 4, 4, 8, 7],  # free, and shares all of itself with the one before
            [0, 0, 0, 8, 8],  # holds the core
            [1, 0, 0, 4, 4],  # core
            [1, 4, 4, 8, 8],  # the feature
        ],
        dtype=torch.float32,
    )
    core, spurious = torch.zeros(7, dtype=torch.bool), torch.zeros(7, dtype=torch.bool)
    core[[0, 5]], spurious[6] = True, True
    batch = replace(random_batch(n_images=2), boxes=boxes, core=core, spurious=spurious)
    batch = replace(batch, pixels=torch.stack([torch.zeros(3, 16, 16), torch.ones(3, 16, 16)]))
    assert clean_regions(batch).tolist() == [False, False, True, True, False, False, False]
    for seed in range(6):
        after = edited(batch, seed=seed, mode="paste")
        assert after.spurious.tolist() == [False, False, True, True, False, False, True]
        assert (after.pixels[0, :, :4] == 0).all() and (after.pixels[0] == 1).any()


def test_shared_is_what_counting_pixels_says() -> None:
    generator = torch.Generator().manual_seed(0)
    corner, side = (torch.randint(low, 9, (12, 2), generator=generator).float() for low in (0, 1))
    boxes = torch.cat([torch.zeros(12, 1), corner, corner + side], 1)
    canvas = torch.zeros(12, 20, 20)
    for i, (_, x1, y1, x2, y2) in enumerate(boxes.int().tolist()):
        canvas[i, y1:y2, x1:x2] = 1
    common, area = torch.einsum("ihw,jhw->ij", canvas, canvas), canvas.sum((1, 2))
    assert torch.allclose(shared(boxes, boxes, of_first=True), common / area[:, None])
    assert torch.allclose(shared(boxes, boxes), common / torch.minimum(area[:, None], area[None]))


def test_concept_masks_follow_the_pixels() -> None:
    batch = quadrants(spurious=[3], core=[0, 4])
    everywhere = torch.ones(2, 4, 4, dtype=torch.bool)
    batch = replace(batch, promote=everywhere, suppress=~everywhere)
    after = edited(batch)
    changed = (after.pixels != batch.pixels).any(1)
    assert after.promote is not None and after.suppress is not None
    assert torch.equal(after.promote, ~changed), "what was pasted is no concept to look at"
    assert not after.suppress[0].any() and torch.equal(after.suppress[1], changed[1]), "and the feature is suppressed"
    assert everywhere.all() and not batch.suppress.any(), "the batch that came in keeps its masks"  # type: ignore[union-attr]


def test_blending_in_features_keeps_the_images_and_says_where() -> None:
    batch = quadrants(spurious=[3], core=[0, 4])
    plain, after = edited(batch), edited(batch, blend="features")
    assert torch.equal(after.pixels, plain.pixels) and torch.equal(after.spurious, plain.spurious)
    assert after.before is batch.pixels and plain.before is None and plain.share is None
    changed = (after.pixels != batch.pixels).any(1)
    assert after.share is not None and torch.equal(after.share > 0, changed) and changed.any()
    unchanged = edited(quadrants([], [0, 4]), blend="features")
    assert unchanged.share is not None and not unchanged.share.any()


@pytest.mark.parametrize("loss", [RegionAware(), RegionAware(max_spurious=1), VlErm(), VlGdro(), SpuriousAware()])
def test_any_loss_scores_the_edited_images(loss: Any) -> None:
    batch = random_batch(n_images=6)
    objective = CounterfactualRegions(1.0, loss)
    for name in ("uses_regions", "uses_relevance", "class_text"):
        assert getattr(objective, name) == getattr(loss, name)
    run = objective.begin(start_of(batch))
    seen = run.edit(batch, torch.Generator().manual_seed(0))
    by_hand = CounterfactualRegions(1.0).begin(start_of(batch))
    generator = torch.Generator().manual_seed(0)
    start = start_of(batch)  # swapped, every image may have the feature or not
    other = loss.begin(replace(start, may_be=np.ones((len(start.labels), 2), bool)))
    same = other.edit(by_hand.edit(batch, generator), generator)
    assert torch.equal(seen.pixels, same.pixels) and torch.equal(seen.spurious, same.spurious)
    image, region = embedded(seen)
    found, expected = run(image, region, seen), other(image, region, same)
    assert {name: float(value) for name, value in found.items()} == {n: float(v) for n, v in expected.items()}


def test_a_run_stores_what_its_loss_keeps() -> None:
    batch = random_batch(n_images=6)
    one, two = (CounterfactualRegions(loss=VlGdro(rate=1.0)).begin(start_of(batch)) for _ in range(2))
    one(*embedded(batch), batch)
    state = one.state()
    assert list(state) == ["log_q"] and CounterfactualRegions().begin(start_of(batch)).state() == {}
    two.restore(state)
    assert torch.equal(two.state()["log_q"], state["log_q"])


def test_names_weights_and_what_does_not_fit() -> None:
    assert CounterfactualRegions().name == "Counterfactual regions" == CounterfactualRegions(mode="erase").name
    assert CounterfactualRegions(loss=RegionAware()).name == "Counterfactual regions + RaVL"
    assert CounterfactualRegions(loss=Standard()).scored_by == CounterfactualRegions().scored_by
    labels, present = np.array([0, 0, 0]), np.array([True, True, False])
    assert CounterfactualRegions().sample_weights(labels, present) is None
    for upsampled in (CounterfactualRegions(upsample=True), CounterfactualRegions(loss=VlErm())):
        weights = upsampled.sample_weights(labels, present)
        assert weights is not None and weights.tolist() == [0.25, 0.25, 0.5]
    with pytest.raises(InputError, match="a loss to train with"):
        CounterfactualRegions(loss=Projection())
    with pytest.raises(InputError, match="equal_captions of the loss itself"):
        CounterfactualRegions(loss=Standard(), equal_captions="positives")
    with pytest.raises(InputError, match="with a loss on relevance"):
        CounterfactualRegions(loss=ConceptGuided(), blend="features")
    for name in ("mode", "blend", "donors", "clusters"):
        with pytest.raises(InputError, match=f"{name} .* got 'both'"):
            CounterfactualRegions(**{name: "both"})


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("swap", [2, 2, 1, 1]), ("erase", [2, 2, 1, 0]), ("paste", [0, 2, 1, 1])],
)
def test_the_loss_knows_the_groups_that_editing_makes(mode: Any, expected: list[int]) -> None:
    """Class 0 always has the feature, class 1 never: without the edits half of the groups are empty."""
    batch = replace(quadrants([0, 4], [1, 5, 9], n_images=3), labels=torch.tensor([0, 0, 1]))
    heard: list[Any] = []

    class Heard(VlGdro):
        def begin(self, start: Any) -> Any:
            heard.append(start)
            return super().begin(start)

    start = replace(start_of(batch), labels=np.array([0, 0, 1]), present=np.array([True, True, False]))
    run = CounterfactualRegions(1.0, mode=mode, loss=Heard(weight=0.0)).begin(start)
    assert heard[0].group_sizes.tolist()[:4] == expected
    found = run.edit(batch, torch.Generator().manual_seed(0))
    image, region = embedded(found)
    image.requires_grad_(True)
    run(image, region, found)["loss"].backward()
    assert image.grad is not None and (image.grad.abs().sum(1) > 0).all(), "every edited image is learned from"


def test_images_without_a_class_are_left_out_of_what_is_clean() -> None:
    """Nobody knows which of their regions shows an object."""
    batch = replace(quadrants([0], [1], n_images=2), labels=torch.tensor([0, -1]))
    assert clean_regions(batch).tolist() == [False, False, True, True, False, False, False, False]
    assert shown(edited(batch)) == list(range(8)), "no background to erase with, no place to paste to"


def test_a_feature_over_the_core_is_not_erased() -> None:
    batch = quadrants([0], [1], n_images=2)
    boxes = batch.boxes.clone()
    boxes[0] = torch.tensor([0, 0.0, 0, 4, 2])  # covers region 1
    batch = replace(batch, boxes=boxes)
    found = edited(batch, mode="erase")
    assert torch.equal(found.pixels, batch.pixels) and torch.equal(found.spurious, batch.spurious)
