"""RoIAlign as products, the pool of one query, layer 4 before the cut: the plain ways' numbers, up to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from ravl_explore.models.region_encoders.attention_pool import attention_pool
from ravl_explore.models.region_encoders.base import cut, whole_boxes
from ravl_explore.models.region_encoders.separable import separable_cut


def some_boxes(n: int, n_images: int, side: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(n, 2, 2, generator=generator) * side
    place = torch.randint(n_images, (n, 1), generator=generator).float()
    return torch.cat([place, corners.amin(1), corners.amax(1)], 1)


@pytest.mark.parametrize("side", [1, 3, 8])
def test_cutting_by_products(side: int) -> None:
    maps = torch.randn(5, 3, 8, 9, generator=torch.Generator().manual_seed(0), requires_grad=True)
    boxes = some_boxes(60, 5, 128)
    boxes[0, 1:] = torch.tensor([0.0, 0, 128, 128])
    boxes[1, 1:] = torch.tensor([50, 50, 50.5, 50.2])
    boxes[2, 1:] = torch.tensor([-60.0, -50, 200, 190])  # beyond the map
    boxes[3, 1:] = 40.0  # no size
    weight = torch.randn(60, 3, side, side, generator=torch.Generator().manual_seed(1))
    expected, found = cut(maps, boxes, side, 1 / 16), separable_cut(maps, boxes, side, 1 / 16)
    assert torch.allclose(found, expected, atol=1e-5)
    (one,), (other,) = (torch.autograd.grad((each * weight).sum(), maps) for each in (expected, found))
    assert torch.allclose(one, other, atol=1e-4)
    assert separable_cut(maps, boxes[:0], side, 1 / 16).shape == (0, 3, side, side)


@pytest.mark.parametrize("images", [[0, 1, 2, 3, 4], [1, 2, 3], [0, 2], [3, 1]])
def test_cutting_as_many_boxes_of_every_image(images: list[int]) -> None:
    maps = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    boxes = some_boxes(3 * len(images), 1, 128)
    boxes[:, 0] = torch.tensor(images).repeat_interleave(3)
    expected, found = cut(maps, boxes, 4, 1 / 16), separable_cut(maps, boxes, 4, 1 / 16)
    assert torch.allclose(found, expected, atol=1e-5)
    (one,), (other,) = (torch.autograd.grad((each**2).sum(), maps) for each in (expected, found))
    assert torch.allclose(one, other, atol=1e-4)


def test_cutting_and_pooling_at_once() -> None:
    maps, boxes = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)), some_boxes(30, 4, 128)
    expected = torch.nn.functional.avg_pool2d(cut(maps, boxes, 8, 1 / 16), 2)
    assert torch.allclose(separable_cut(maps, boxes, 8, 1 / 16, 2), expected, atol=1e-5)


def test_the_pool_of_one_query(make_model: Callable[..., Any]) -> None:
    pool = make_model().visual.attnpool
    cells = torch.randn(6, 256, 2, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    expected, found = pool(cells), attention_pool(pool, cells)
    assert torch.allclose(found, expected, atol=1e-5)
    inputs = [cells, *pool.parameters()]
    one, other = (torch.autograd.grad((each**2).sum(), inputs) for each in (expected, found))
    scale = max(float(each.abs().max()) for each in one)
    assert all(torch.allclose(a, b, atol=1e-5 * scale) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("side", [64, 96])
def test_regions_are_as_by_the_plain_way(make_model: Callable[..., Any], frozen: bool, side: int) -> None:
    """Embeddings and gradients of every weight; with moving statistics, too, where layer 4 must see the boxes whole."""
    model = make_model()
    visual = model.visual
    for module in visual.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train(not frozen)
            module.momentum = 0.0
    pixels = torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    boxes = some_boxes(12, 4, side)

    def plain() -> tuple[torch.Tensor, torch.Tensor]:
        x = visual.stem((pixels - model._mean) / model._std)
        features = visual.layer3(visual.layer2(visual.layer1(x)))
        scale = features.shape[-1] / side
        image, region = (
            visual.attnpool(visual.layer4(cut(features, each, 4, scale))) for each in (whole_boxes(pixels), boxes)
        )
        return normalize(image, dim=1), normalize(region, dim=1)

    results = []
    for way in (plain, lambda: model.encode(pixels, boxes)):
        visual.zero_grad()
        image, region = way()
        (image[:, 0].sum() + (region**3).sum()).backward()
        results.append((image.detach(), region.detach(), [p.grad.clone() for p in visual.parameters()]))
    (image, region, gradients), (new_image, new_region, new_gradients) = results
    assert torch.allclose(new_image, image, atol=1e-5) and torch.allclose(new_region, region, atol=1e-5)
    old, new = (torch.cat([each.flatten() for each in every]) for every in (gradients, new_gradients))
    # rounding may turn one ReLU that is at zero, which moves the gradient by about a hundredth
    assert float((new - old).norm() / old.norm()) < (1e-4 if frozen else 3e-2)
