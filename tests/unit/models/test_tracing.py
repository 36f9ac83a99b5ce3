"""Traced embeddings are the encoder's; relevance equals naive loops and can be differentiated, also twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ravl_explore.errors import ModelError
from ravl_explore.models.region_encoders import fitting
from ravl_explore.models.region_encoders.vits import as_vit
from ravl_explore.models.tracing import activation_map, rollout, trace, trace_vit
from tests.unit.models.conftest import VITS

Make = Callable[..., Any]
CLOSE = {"rtol": 0, "atol": 1e-5}


def pixels_of(side: int, n: int = 2, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def direction(dim: int) -> Tensor:
    return torch.randn(dim, generator=torch.Generator().manual_seed(5))


# --- the embedding is encode's ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tower", [*VITS, "resnet"])
def test_the_image_is_that_of_encode_for_every_region_method(
    make_clip_model: Make, make_tower: Make, tower: str
) -> None:
    for method in fitting(make_tower(tower).visual):
        model = make_clip_model(tower, method)
        pixels = pixels_of(model.image_size)
        with torch.no_grad():
            expected, _ = model.encode(pixels, None)
        image, relevance = model.trace(pixels)
        assert torch.allclose(image, expected, **CLOSE), method
        found = relevance(image @ direction(model.dim), False)
        assert found.shape[0] == 2 and found.shape[1] == found.shape[2] > 1
        assert found.dtype == torch.float32 and (found >= 0).all() and found.sum() > 0


@pytest.mark.parametrize("checkpoint", ["spurious", "vit-spurious"])
def test_the_demos(checkpoint: str) -> None:
    from ravl_explore.models import Demo

    model = Demo(checkpoint)
    pixels = pixels_of(model.image_size, 3)
    with torch.no_grad():
        expected, _ = model.encode(pixels, None)
    image, relevance = model.trace(pixels)
    assert torch.allclose(image, expected, **CLOSE)
    side = 8 if checkpoint.startswith("vit") else 4
    assert relevance(image[:, 0], False).shape == (3, side, side)


def test_another_input_size_gives_another_grid(make_clip_model: Make) -> None:
    for tower, side, grid in (("vit", 48, 6), ("resnet", 128, 2)):  # a ResNet's map is cut to what its pool takes
        model = make_clip_model(tower)
        with torch.no_grad():
            expected, _ = model.encode(pixels_of(side), None)
        image, relevance = model.trace(pixels_of(side))
        assert torch.allclose(image, expected, **CLOSE)
        assert relevance(image[:, 0], False).shape == (2, grid, grid)


@pytest.mark.parametrize("tower", ["vit", "timm_token", "resnet"])
def test_a_frozen_tower_without_gradient_around_it(make_clip_model: Make, tower: str) -> None:
    model = make_clip_model(tower)
    pixels, toward = pixels_of(model.image_size), direction(model.dim)
    image, relevance = model.trace(pixels)
    expected = relevance(image @ toward, False).detach()
    model.visual.requires_grad_(False)
    with torch.no_grad():
        image, relevance = model.trace(pixels)
        with torch.enable_grad():
            target = image @ toward
        assert torch.allclose(relevance(target, False), expected, **CLOSE)


@pytest.mark.parametrize("tower", ["timm_convnext", "vit_pooler"])
def test_a_tower_that_cannot_be_traced_is_refused(make_clip_model: Make, tower: str) -> None:
    model = make_clip_model(tower)
    with pytest.raises(ModelError, match=r"Expected a ViT of open_clip or timm, or CLIP's ModifiedResNet.* Take"):
        model.trace(pixels_of(model.image_size))


# --- relevance equals its definition ----------------------------------------------------------------------------------


def slow_rollout(attentions: list[np.ndarray], gradients: list[np.ndarray], n_prefix: int, token: bool) -> np.ndarray:
    """Chefer et al.'s rollout as written, one entry at a time."""
    n_images, n_heads, n, _ = attentions[0].shape
    out = np.zeros((n_images, n - n_prefix))
    for image in range(n_images):
        r = np.eye(n)
        for a, g in zip(attentions, gradients, strict=True):
            bar = np.zeros((n, n))
            for i in range(n):
                for j in range(n):
                    bar[i, j] = sum(max(g[image, h, i, j] * a[image, h, i, j], 0.0) for h in range(n_heads)) / n_heads
            r = r + np.array([[sum(bar[i, k] * r[k, j] for k in range(n)) for j in range(n)] for i in range(n)])
        if token:
            out[image] = r[0, n_prefix:]
        else:
            rows = r - np.eye(n)
            out[image] = [np.mean([rows[i, j] for i in range(n_prefix, n)]) for j in range(n_prefix, n)]
    return out


@pytest.mark.parametrize(("n_prefix", "token"), [(1, True), (3, True), (2, False), (0, False)])
def test_rollout_is_its_definition(n_prefix: int, token: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    layers = [torch.randn(2, 3, 6, 6, generator=generator, dtype=torch.float64).softmax(-1) for _ in range(3)]
    gradients = [torch.randn(2, 3, 6, 6, generator=generator, dtype=torch.float64) for _ in range(3)]
    found = rollout(layers, gradients, n_prefix, token)
    expected = slow_rollout([a.numpy() for a in layers], [g.numpy() for g in gradients], n_prefix, token)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("tower", ["vit", "vit_average", "timm_token", "timm_registers", "timm_map"])
def test_relevance_is_the_rollout_of_the_librarys_own_attention(make_tower: Make, tower: str) -> None:
    """Gradients by finite differences: each probability of one block is moved, and the rest of the tower run again."""
    visual = make_tower(tower).visual.double()
    vit = as_vit(visual)
    pixels = pixels_of(32 if tower in ("timm_token", "timm_registers") else 16, 1).double()  # 2 x 2 patches
    image, relevance = trace_vit(vit, pixels)
    toward = direction(image.shape[1]).double()
    found = relevance(image @ toward, False)[0].flatten()

    def run(layer: int, change: Tensor | float) -> tuple[Tensor, list[Tensor]]:
        x, _ = vit.embed(pixels)
        kept = []
        for number, block in enumerate(vit.blocks):
            q, k, v = vit._split(block, x)
            a = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
            kept.append(a)
            a = a + change if number == layer else a
            x = vit._join(block, x, (a @ v).transpose(1, 2).flatten(2))
        return vit.image(x) @ toward, kept

    with torch.no_grad():
        _, layers = run(-1, 0.0)
        gradients = []
        for number, a in enumerate(layers):
            step = 1e-4 * torch.eye(a.numel(), dtype=a.dtype).reshape(-1, *a.shape[1:])  # one probability a row
            gradients.append(((run(number, step)[0] - run(number, -step)[0]) / 2e-4).reshape(a.shape))
    expected = slow_rollout([a.numpy() for a in layers], [g.numpy() for g in gradients], vit.n_prefix, vit.class_token)
    np.testing.assert_allclose(found.detach().numpy(), expected[0], rtol=1e-5, atol=1e-9)


def test_the_activation_map_is_its_definition(make_clip_model: Make) -> None:
    model = make_clip_model("resnet")
    pixels, toward = pixels_of(64), direction(model.dim)
    image, relevance = model.trace(pixels)
    found = relevance(image @ toward, False)
    caught: list[Tensor] = []
    hook = model.visual.attnpool.register_forward_pre_hook(lambda module, given: caught.append(given[0]))
    normal = (pixels - torch.tensor(model.mean).view(1, 3, 1, 1)) / torch.tensor(model.std).view(1, 3, 1, 1)
    target = (normalize(model.visual(normal), dim=1) @ toward).sum()
    hook.remove()
    (gradient,) = torch.autograd.grad(target, caught[0])
    features, found = caught[0].detach(), found.detach()
    for b in range(2):
        for y in range(2):
            for x in range(2):
                value = sum(float(g.mean()) * float(f[y, x]) for g, f in zip(gradient[b], features[b], strict=True))
                assert float(found[b, y, x]) == pytest.approx(max(value, 0.0), rel=1e-4, abs=1e-6)
    assert activation_map(torch.ones(1, 2, 1, 1), -torch.ones(1, 2, 1, 1)).item() == 0


@pytest.mark.parametrize("tower", ["vit", "vit_average", "resnet"])
def test_an_images_relevance_is_its_own(make_clip_model: Make, tower: str) -> None:
    model = make_clip_model(tower)
    pixels, toward = pixels_of(model.image_size, 3), direction(model.dim)
    image, relevance = model.trace(pixels)
    together = relevance(image @ toward, False)
    for i in range(3):
        image, relevance = model.trace(pixels[i : i + 1])
        assert torch.allclose(relevance(image @ toward, False)[0], together[i], **CLOSE)


# --- it can be differentiated -----------------------------------------------------------------------------------------


def small_vit(make_tower: Make) -> Any:
    visual = make_tower("vit").visual.double()
    return visual, pixels_of(32, 2, 3).double(), direction(64).double()


def loss_of(found: Tensor) -> Tensor:
    return (found * torch.linspace(-1, 1, found[0].numel(), dtype=found.dtype).reshape(found.shape[1:])).sum()


@pytest.mark.parametrize("tower", ["vit", "timm_map", "resnet"])
def test_second_order_gradients_are_those_of_the_numbers(make_tower: Make, tower: str) -> None:
    """Finite differences of the map along a random direction of all weights; without the graph they differ."""
    visual = make_tower(tower).visual.double()
    pixels = pixels_of(64 if tower == "resnet" else 32, 2, 3).double()
    toward = direction(48 if tower == "timm_map" else 64).double() * (-1 if tower == "resnet" else 1)

    def loss(create_graph: bool) -> Tensor:
        image, relevance = trace(visual, pixels, "tokens")
        return loss_of(relevance(image @ toward, create_graph))

    generator = torch.Generator().manual_seed(1)
    parameters = list(visual.parameters())
    step = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]

    def along(create_graph: bool) -> float:
        gradients = torch.autograd.grad(loss(create_graph), parameters, allow_unused=True)
        return float(sum((g * s).sum() for g, s in zip(gradients, step, strict=True) if g is not None))

    exact, first_order = along(True), along(False)
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, s in zip(parameters, step, strict=True):
                p.add_(sign * 1e-8 * s)
        ends.append(float(loss(False).detach()))
        with torch.no_grad():
            for p, s in zip(parameters, step, strict=True):
                p.sub_(sign * 1e-8 * s)
    assert exact == pytest.approx((ends[0] - ends[1]) / 2e-8, rel=1e-3)
    assert first_order != pytest.approx(exact, rel=1e-2) and np.isfinite(first_order)


def test_gradients_of_gradients_check(make_tower: Make) -> None:
    """``torch.autograd.gradcheck`` of the map with respect to the pixels, of which a patch is moved."""
    visual, pixels, toward = small_vit(make_tower)

    def found(patch: Tensor) -> Tensor:
        shown = pixels[:1].clone()
        shown[0, :, 8:10, 8:10] = patch
        image, relevance = trace_vit(as_vit(visual), shown)
        return relevance(image @ toward, True)

    assert torch.autograd.gradcheck(found, (pixels[0, :, 8:10, 8:10].clone().requires_grad_(),))


def test_the_map_moves_every_block(make_clip_model: Make) -> None:
    model = make_clip_model("vit")
    image, relevance = model.trace(pixels_of(32))
    loss_of(relevance(image @ direction(model.dim), True)).backward()
    for block in model.visual.transformer.resblocks:
        assert block.attn.in_proj_weight.grad.abs().sum() > 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.visual.parameters())


@pytest.mark.parametrize("tower", ["vit", "timm_token", "resnet"])
def test_autocast_rounds_the_tower_only(make_clip_model: Make, tower: str) -> None:
    model = make_clip_model(tower)
    model.visual.train()
    for module in model.visual.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    pixels, toward = pixels_of(model.image_size), direction(model.dim)
    exact, relevance = model.trace(pixels)
    expected = relevance(exact @ toward, True).detach()
    with torch.autocast("cpu", torch.bfloat16):
        image, relevance = model.trace(pixels)
        found = relevance((image.float() * toward).sum(1), True)
    assert image.dtype == found.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(found.flatten(1), expected.flatten(1)).min() > 0.9
    found.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.visual.parameters())
