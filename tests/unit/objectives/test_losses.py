"""CLIP's loss equals plain loops over its formula, and groups are drawn equally often where that is asked."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ravl_explore.objectives import CounterfactualRegions, Standard, Upsampled
from ravl_explore.objectives.groups import balanced
from ravl_explore.objectives.losses import clip_loss, logits
from tests.unit.objectives.cases import embedded, random_batch


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


def test_upsampled_gives_every_group_the_same_chance() -> None:
    rng = np.random.default_rng(0)
    labels, present = rng.integers(0, 3, 200), rng.random(200) < 0.1
    weights = Upsampled().sample_weights(labels, present)
    groups = {(y, there): weights[(labels == y) & (present == there)] for y in range(3) for there in (True, False)}
    for group in groups.values():
        assert group.sum() == pytest.approx(1 / 6) and np.ptp(group) == 0
    assert Standard().sample_weights(labels, present) is None


def test_images_without_a_class_are_groups_of_their_own() -> None:
    weights = balanced(np.array([-1, -1, 0, 0, 0]), np.array([False, False, False, False, True]))
    assert weights == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 3])


@pytest.mark.parametrize("seed", range(5))
def test_equal_captions_may_share_the_target(seed: int) -> None:
    """Captions 0, 0, 0, 3, 3: the target of an image is 1/3 on each of three, or 1/2 on each of two."""
    batch = random_batch(seed)
    batch = replace(batch, captions=batch.captions[[0, 0, 0, 3, 3]])
    image, _ = embedded(batch, seed)
    groups = [[0, 1, 2], [0, 1, 2], [0, 1, 2], [3, 4], [3, 4]]
    s = [[float(a @ b) / 0.07 for b in batch.captions] for a in image]
    total = 0.0
    for i in range(5):
        for j in groups[i]:
            total += (math.log(sum(math.exp(s[i][k]) for k in range(5))) - s[i][j]) / len(groups[i])
            total += (math.log(sum(math.exp(s[k][i]) for k in range(5))) - s[j][i]) / len(groups[i])
    assert float(clip_loss(image, batch.captions, 0.07, "positives")) == pytest.approx(total / 10, rel=1e-4)
    for objective in (Standard("positives"), Upsampled("positives"), CounterfactualRegions(equal_captions="positives")):
        assert float(objective(image, image, batch)["loss"]) == pytest.approx(total / 10, rel=1e-4)


def test_captions_that_differ_are_no_ones_but_their_own() -> None:
    batch = random_batch()
    image, _ = embedded(batch)
    losses = [float(clip_loss(image, batch.captions, 0.07, way)) for way in ("negatives", "positives")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_logits_are_float32_and_float64_stays() -> None:
    batch = random_batch()
    image, _ = embedded(batch)
    expected = image.double() @ batch.captions.double().T / 0.07
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(logits(image, batch.captions, 0.07).double(), expected, atol=1e-4)
    assert logits(image.half(), batch.captions.half(), 0.07).dtype == torch.float32
    assert torch.allclose(logits(image.double(), batch.captions.double(), 0.07), expected, rtol=1e-12)
