"""Projection and Shift change embeddings as their formulas say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from ravl_explore.errors import InputError
from ravl_explore.objectives import Projection, Shift
from ravl_explore.objectives.training_free import Steering
from tests.unit.objectives.cases import embedded, random_batch, start_of
from tests.unit.objectives.test_spurious_aware import mean_loops

KINDS = [Projection(), Projection("regions"), Shift(), Shift("regions")]


def test_projection_equals_the_loops() -> None:
    batch = random_batch(1, n_images=8)
    image, region = embedded(batch, 7)  # what the model saw
    labels = [int(batch.labels[i]) for i in batch.image_of_region]
    means = {
        "images": mean_loops(image, batch.labels.tolist(), batch.present.tolist()),
        "regions": mean_loops(region, labels, batch.spurious.tolist()),
    }
    rows = embedded(random_batch(2), 2)[1]
    for axis, (without, present) in means.items():
        v = (present - without) / (present - without).norm()
        steering = Projection(axis).fit(start_of(batch))  # type: ignore[arg-type]
        found = steering(rows)
        for z, new in zip(rows, found, strict=True):
            left = z - float(z @ v) * v
            assert torch.allclose(new, left / left.norm(), atol=1e-5)
        assert (found @ v).abs().max() < 1e-6 and torch.allclose(steering(found), found, atol=1e-6)
        assert torch.allclose(found.norm(dim=1), torch.ones(len(rows)))


def test_shift_equals_the_loops() -> None:
    batch = random_batch(1, n_images=8)
    image, _ = embedded(batch, 7)
    without, present = mean_loops(image, batch.labels.tolist(), batch.present.tolist())
    v = (present - without) / (present - without).norm()
    along = [[float(z @ v) for z, there in zip(image, batch.present, strict=True) if there == side] for side in (0, 1)]
    means = [sum(side) / len(side) for side in along]
    steering = Shift().fit(start_of(batch))
    assert steering.shifts == pytest.approx(means, abs=1e-5) and means[0] < means[1]
    rows, sides = embedded(random_batch(2), 2)[1], set()
    for z, new in zip(rows, steering(rows), strict=True):
        side = int(abs(float(z @ v) - means[1]) < abs(float(z @ v) - means[0]))
        sides.add(side)
        left = z - means[side] * v
        assert torch.allclose(new, left / left.norm(), atol=1e-5)
    assert sides == {0, 1}


@pytest.mark.parametrize("shifts", [None, (-0.2, 0.3)])
def test_steering_has_the_gradient_of_its_numbers(shifts: Any) -> None:
    axis = normalize(torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=0)
    rows = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rows = normalize(rows, dim=1).requires_grad_()
    assert torch.autograd.gradcheck(Steering(axis, shifts), (rows,))
    assert Steering(axis, shifts)(rows[:0]).shape == (0, 4)


def test_an_embedding_along_the_axis_is_not_nan() -> None:
    axis = torch.tensor([1.0, 0.0])
    assert Steering(axis)(axis[None]).isfinite().all()


@pytest.mark.parametrize("objective", KINDS)
@pytest.mark.parametrize("side", [True, False])
def test_without_both_kinds_there_is_no_axis(objective: Any, side: bool) -> None:
    batch = replace(random_batch(), spurious=torch.full((20,), side))
    with pytest.raises(InputError, match="fine-tuning images with and without the feature, got all of one kind"):
        objective.fit(start_of(batch))


@pytest.mark.parametrize("kind", [Projection, Shift])
def test_an_unknown_axis(kind: Any) -> None:
    with pytest.raises(InputError, match="axis images or regions, got 'medoid'"):
        kind("medoid")


def test_regions_of_both_kinds_in_images_of_one() -> None:
    """There is an axis, but no image without the feature to take the shift from."""
    spurious = torch.arange(20) % 4 == 0  # one region of each image
    with pytest.raises(InputError, match="all of one kind"):
        Shift("regions").fit(start_of(replace(random_batch(), spurious=spurious)))
