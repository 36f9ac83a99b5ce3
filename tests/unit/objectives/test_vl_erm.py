"""VL-ERM equals plain loops: CLIP's loss, and the cross-entropy of the zero-shot classes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ravl_explore.objectives import Upsampled, VlErm
from ravl_explore.objectives.losses import clip_loss
from tests.unit.objectives.cases import embedded, random_batch


def loops(image: Any, classes: Any, labels: list[int], temperature: float) -> list[float]:
    """-log softmax(z · G(Y) / temperature) at the label, of each image that has one."""
    found = []
    for z, y in zip(image, labels, strict=True):
        if y >= 0:
            sigma = [math.exp(float(z @ g) / temperature) for g in classes]
            found.append(-math.log(sigma[y] / sum(sigma)))
    return found


@pytest.mark.parametrize("weight", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("labels", [[0, 1, 2, 0, 0], [0, -1, 2, -1, 1], [-1] * 5])
def test_the_terms_equal_the_loops(labels: list[int], weight: float) -> None:
    batch = replace(random_batch(3), labels=torch.tensor(labels))
    image, region = embedded(batch, 3)
    losses = loops(image, batch.classes, labels, 0.07)
    expected = sum(losses) / len(losses) if losses else 0.0
    contrastive = float(clip_loss(image, batch.captions, 0.07))
    terms = VlErm(weight)(image, region, batch)
    assert float(terms["L_ERM"]) == pytest.approx(expected, rel=1e-4)
    assert float(terms["clip"]) == pytest.approx(contrastive)
    assert float(terms["loss"]) == pytest.approx(weight * contrastive + (1 - weight) * expected, rel=1e-4)


def test_it_draws_as_upsampling_does_unless_told_not_to() -> None:
    labels, present = np.array([0, 0, 1, -1]), np.array([True, False, False, False])
    assert np.array_equal(VlErm().sample_weights(labels, present), Upsampled().sample_weights(labels, present))
    assert VlErm(upsample=False).sample_weights(labels, present) is None
