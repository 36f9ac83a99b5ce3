"""Each way of embedding regions equals its definition, computed one box at a time by other means."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from ravl_explore.errors import ModelError
from ravl_explore.models.region_encoders import DEFAULTS, METHODS, fitting, region_encoder
from ravl_explore.models.region_encoders.base import cut, patches_inside

CLOSE = {"rtol": 0, "atol": 1e-5}
WITH_CLASS_TOKEN = ["vit", "vit_layer_scale", "vit_odd_patch", "timm_token"]
WITHOUT = ["vit_average", "vit_average_clipa", "timm_registers", "timm_map"]
VITS = WITH_CLASS_TOKEN + WITHOUT


def batch(side: int, n: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def boxes_of(side: int) -> torch.Tensor:
    """In the order of no image: quadrants, the whole, slivers, and boxes smaller than a patch."""
    share = torch.tensor(
        [
            [2, 0.0, 0.0, 0.5, 0.5],
            [0, 0.5, 0.0, 1.0, 0.5],
            [1, 0.0, 0.0, 1.0, 1.0],
            [0, 0.11, 0.23, 0.78, 0.61],
            [2, 0.4, 0.05, 0.47, 0.98],
            [0, 0.51, 0.52, 0.56, 0.57],
            [2, 0.93, 0.95, 1.0, 1.0],
        ]
    )
    share[:, 1:] *= side
    return share


def slow_cut(values: np.ndarray, box: np.ndarray, side: int, scale: float) -> np.ndarray:
    """RoIAlign of one box of one map (c, h, w), sample by sample."""
    _, height, width = values.shape
    x1, y1, x2, y2 = box * scale - 0.5
    cell_w, cell_h = (x2 - x1) / side, (y2 - y1) / side
    n_x, n_y = max(1, ceil((x2 - x1) / side)), max(1, ceil((y2 - y1) / side))
    out = np.zeros((len(values), side, side))

    def sample(y: float, x: float) -> np.ndarray:
        if y < -1 or y > height or x < -1 or x > width:
            return np.zeros(len(values))
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        y0, x0 = floor(y), floor(x)
        y9, x9 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
        top = values[:, y0, x0] * (1 - (x - x0)) + values[:, y0, x9] * (x - x0)
        bottom = values[:, y9, x0] * (1 - (x - x0)) + values[:, y9, x9] * (x - x0)
        return top * (1 - (y - y0)) + bottom * (y - y0)

    for row in range(side):
        for column in range(side):
            for i in range(n_y):
                for j in range(n_x):
                    y = y1 + (row + (i + 0.5) / n_y) * cell_h
                    x = x1 + (column + (j + 0.5) / n_x) * cell_w
                    out[:, row, column] += sample(y, x) / (n_y * n_x)
    return out


def test_cut_is_roi_align() -> None:
    maps = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    boxes = torch.tensor([[0, 0, 0, 40, 40], [1, 3.0, 9.5, 31, 22], [1, 38, 39, 40, 40]])
    found = cut(maps, boxes, 2, 1 / 8)
    for box, each in zip(boxes, found, strict=True):
        expected = slow_cut(maps[int(box[0])].double().numpy(), box[1:].double().numpy(), 2, 1 / 8)
        np.testing.assert_allclose(each.numpy(), expected, atol=1e-5)


def test_patches_inside_are_those_whose_centre_is() -> None:
    boxes = torch.tensor(
        [[0, 0, 0, 16, 8], [0, 3, 3, 5, 13], [0, 9, 9, 10, 10], [0, 0, 0, 32, 32], [0, 9, 0, 11, 32]]
    ).float()
    found = patches_inside(boxes, (4, 4), 8.0).unflatten(1, (4, 4))
    assert found[0].nonzero().tolist() == [[0, 0], [0, 1]]
    assert found[1].nonzero().tolist() == [[0, 0], [1, 0]]
    assert found[2].nonzero().tolist() == [[1, 1]], "no centre inside: the nearest patch"
    assert found[4].nonzero().tolist() == [[0, 1], [1, 1], [2, 1], [3, 1]], "too thin for a centre: the nearest column"
    assert found[3].all()


# --- tokens -----------------------------------------------------------------------------------------------------------


def parts(clip: Any) -> tuple[Any, list[Any], int]:
    """(the transformer that holds the blocks, its blocks, tokens before the patches)."""
    visual = clip.visual
    if hasattr(visual, "trunk"):
        return visual.trunk, list(visual.trunk.blocks), visual.trunk.num_prefix_tokens
    return visual, list(visual.transformer.resblocks), 1


def first_tokens(clip: Any, pixels: torch.Tensor) -> torch.Tensor:
    """What the library gives to its first block, caught on the way."""
    caught: list[torch.Tensor] = []
    _, blocks, _ = parts(clip)
    hook = blocks[0].register_forward_pre_hook(lambda module, given: caught.append(given[0]))
    clip.encode_image(pixels)
    hook.remove()
    return caught[0]


def masked(block: Any, tokens: torch.Tensor, sees: torch.Tensor) -> torch.Tensor:
    """The library's own block, each token (a row of ``sees``) attending to some only."""
    return block(tokens, attn_mask=torch.zeros(sees.shape).masked_fill(~sees, -torch.inf))


def project(clip: Any, token: torch.Tensor) -> torch.Tensor:
    """Final norm, pool and projection of one token (width,), as if the tower had seen nothing else."""
    visual = clip.visual
    if not hasattr(visual, "trunk"):
        return visual.ln_post(token) @ visual.proj
    x = visual.trunk.norm(token[None, None])
    x = visual.trunk.attn_pool(x) if visual.trunk.attn_pool is not None else x[:, 0]
    return visual.head(visual.trunk.head(visual.trunk.fc_norm(x)))[0]


@pytest.mark.parametrize("method", ["tokens", "dense_value"])
@pytest.mark.parametrize("tower", VITS)
def test_tokens_and_values_are_those_of_the_definition(make_tower: Callable[..., Any], tower: str, method: str) -> None:
    clip = make_tower(tower)
    encoder = region_encoder(clip.visual, method)
    side = encoder.image_size
    pixels, boxes = batch(side), boxes_of(side)
    _, blocks, prefix = parts(clip)
    patch = {"vit_odd_patch": 7}.get(tower, 16 if side == 160 else 8)
    with torch.no_grad():
        image, region = encoder(pixels, boxes)
        assert torch.allclose(image, clip.encode_image(pixels), **CLOSE)
        for i, one in enumerate(pixels):
            tokens = first_tokens(clip, one[None])
            for block in blocks[:-1]:
                tokens = block(tokens)
            replaced = method == "dense_value" and tower in WITH_CLASS_TOKEN
            sees = torch.eye(tokens.shape[1]) if replaced else torch.ones(2 * tokens.shape[1:2])
            tokens = masked(blocks[-1], tokens, sees.bool())
            dense = np.stack([normalize(project(clip, token), dim=0).numpy() for token in tokens[0, prefix:]])
            grid = side // patch
            maps = dense.T.reshape(-1, grid, grid)
            for box, found in zip(boxes, region, strict=True):
                if box[0] == i:
                    expected = slow_cut(maps, box[1:].numpy().astype(float), 1, 1 / patch)[:, 0, 0]
                    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("tower", VITS)
def test_the_two_differ_where_a_class_token_pools(make_tower: Callable[..., Any], tower: str) -> None:
    visual = make_tower(tower).visual
    encoders = [region_encoder(visual, method) for method in ("tokens", "dense_value")]
    side = encoders[0].image_size
    with torch.no_grad():
        one, other = (encoder(batch(side), boxes_of(side))[1] for encoder in encoders)
    assert torch.allclose(one, other, atol=1e-3) == (tower in WITHOUT)


# --- masked_cls -------------------------------------------------------------------------------------------------------


def taken(low: float, high: float, grid: int, patch: int) -> list[int]:
    """The rows (or columns) of patches with their centre between two pixels, or the nearest."""
    inside = [i for i in range(grid) if low <= (i + 0.5) * patch <= high]
    return inside or [min(range(grid), key=lambda i: abs((i + 0.5) * patch - (low + high) / 2))]


@pytest.mark.parametrize("tower", WITH_CLASS_TOKEN)
def test_masked_class_tokens_are_those_of_the_definition(make_tower: Callable[..., Any], tower: str) -> None:
    """One more class token at the end of the library's own sequence, with a mask, one box at a time."""
    clip = make_tower(tower)
    encoder = region_encoder(clip.visual, "masked_cls")
    side = encoder.image_size
    pixels, boxes = batch(side), boxes_of(side)
    _, blocks, prefix = parts(clip)
    patch = {"vit_odd_patch": 7}.get(tower, 16 if side == 160 else 8)
    grid = side // patch
    with torch.no_grad():
        image, region = encoder(pixels, boxes)
        assert torch.allclose(image, clip.encode_image(pixels), **CLOSE)
        for box, found in zip(boxes, region, strict=True):
            tokens = first_tokens(clip, pixels[int(box[0])][None])
            n = tokens.shape[1]
            tokens = torch.cat([tokens, tokens[:, :1]], 1)
            sees = torch.zeros(n + 1, n + 1, dtype=torch.bool)
            sees[:n, :n] = sees[n, n] = True
            rows, columns = (taken(float(low), float(high), grid, patch) for low, high in (box[[2, 4]], box[[1, 3]]))
            for row in rows:
                for column in columns:
                    sees[n, prefix + row * grid + column] = True
            for block in blocks:
                tokens = masked(block, tokens, sees)
            assert torch.allclose(found, project(clip, tokens[0, n]), **CLOSE)


@pytest.mark.parametrize("tower", WITHOUT)
def test_masked_pools_see_the_box_only(make_tower: Callable[..., Any], tower: str) -> None:
    """The library's pool, run on nothing but the patches of the box."""
    clip = make_tower(tower)
    encoder = region_encoder(clip.visual, "masked_cls")
    side = encoder.image_size
    pixels, boxes = batch(side), boxes_of(side)
    holder, blocks, prefix = parts(clip)
    patch = 16 if side == 160 else 8
    with torch.no_grad():
        image, region = encoder(pixels, boxes)
        assert torch.allclose(image, clip.encode_image(pixels), **CLOSE)
        for box, found in zip(boxes, region, strict=True):
            tokens = first_tokens(clip, pixels[int(box[0])][None])
            for block in blocks:
                tokens = block(tokens)
            inside = patches_inside(box[None], (side // patch, side // patch), patch)[0]
            few = torch.cat([tokens[:, :prefix], tokens[:, prefix:][:, inside]], 1)
            if holder is clip.visual:
                expected = clip.visual._pool(few)[0] @ clip.visual.proj
            else:
                expected = clip.visual.head(holder.forward_head(holder.norm(few)))
            assert torch.allclose(found, expected[0], **CLOSE)


# --- crop -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tower", ["vit", "timm_convnext", "resnet"])
def test_crops_are_embedded_like_images(make_tower: Callable[..., Any], tower: str) -> None:
    clip = make_tower(tower)
    encoder = region_encoder(clip.visual, "crop")
    own = encoder.image_size // 2
    pixels = batch(2 * own)
    half = own / 2
    boxes = torch.tensor([[1, own, 0, 2 * own, own], [2, 0, 0, 2 * own, 2 * own], [0, 3.5, 7.25, 3.5 + half, 9 + half]])
    close = {"rtol": 1e-4, "atol": 1e-4}  # of embeddings up to 10 long
    with torch.no_grad():
        image, region = encoder(pixels, boxes)
        whole = torch.nn.functional.avg_pool2d(pixels, 2)
        assert torch.allclose(image, clip.encode_image(whole), **close)
        assert torch.allclose(region[0], clip.encode_image(pixels[1:2, :, :own, own:])[0], **close), "as it is"
        assert torch.allclose(region[1], image[2], **close), "the crop of the whole is the image"
        small = slow_cut(pixels[0].double().numpy(), boxes[2, 1:].double().numpy(), own, 1.0)
        assert torch.allclose(region[2], clip.encode_image(torch.from_numpy(small).float()[None])[0], **close)
        assert torch.allclose(encoder(whole, None)[0], image, **close), "an image of the tower's size is left alone"


def test_many_crops_are_embedded_in_parts(make_tower: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = region_encoder(make_tower("vit").visual, "crop")
    pixels, boxes = batch(64), boxes_of(64)
    with torch.no_grad():
        whole = encoder(pixels, boxes)[1]
        monkeypatch.setattr("ravl_explore.models.region_encoders.crop.CHUNK", 2)
        assert torch.allclose(encoder(pixels, boxes)[1], whole, **CLOSE)


# --- all --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tower", [*VITS, "resnet", "timm_convnext", "vit_pooler"])
def test_every_method_that_fits(
    make_clip_model: Callable[..., Any], make_tower: Callable[..., Any], tower: str
) -> None:
    """Order, batching, single images, no boxes, unit norm and gradients, whatever the method."""
    for method in fitting(make_tower(tower).visual):
        model = make_clip_model(tower, method)
        side = model.image_size
        pixels, boxes = batch(side).sigmoid(), boxes_of(side)
        image, region = model.encode(pixels, boxes)
        assert region.shape == (len(boxes), model.dim) and image.shape == (3, model.dim)
        for rows in (image, region):
            assert torch.allclose(rows.norm(dim=1), torch.ones(len(rows)), **CLOSE), method
        with torch.no_grad():
            for i in range(3):
                mine = boxes[boxes[:, 0] == i].clone()
                mine[:, 0] = 0
                one_image, one_region = model.encode(pixels[i : i + 1], mine)
                assert torch.allclose(image[i], one_image[0], atol=3e-5), method
                assert torch.allclose(region[boxes[:, 0] == i], one_region, atol=3e-5), method
            only_image, none = model.encode(pixels, None)
            assert torch.allclose(only_image, image, **CLOSE) and none.shape == (0, model.dim), method
            assert model.encode(pixels, boxes[:0])[1].shape == (0, model.dim)
        (region[:, 0].sum() + image[:, 0].sum()).backward()
        assert sum(float(p.grad.abs().sum()) for p in model.visual.parameters() if p.grad is not None) > 0, method


@pytest.mark.parametrize("tower", ["vit", "vit_average_clipa", "timm_token", "timm_registers", "timm_map"])
def test_other_input_sizes_move_the_positions(make_tower: Callable[..., Any], tower: str) -> None:
    """At another size the position embeddings are those that the library itself resamples for it."""
    clip = make_tower(tower)
    encoder = region_encoder(clip.visual, "dense_value")
    side = 2 * encoder.image_size
    pixels = batch(side, 2)
    with torch.no_grad():
        found = encoder(pixels, boxes_of(side)[1:2])[0]
        if hasattr(clip.visual, "trunk"):
            clip.visual.trunk.set_input_size((side, side))
        else:
            from open_clip.model import resize_pos_embed

            clip.visual.grid_size = (side // 8, side // 8)
            state = {"visual.positional_embedding": clip.visual.positional_embedding.data}
            resize_pos_embed(state, clip)
            clip.visual.positional_embedding = torch.nn.Parameter(state["visual.positional_embedding"])
        assert torch.allclose(found, clip.encode_image(pixels), **CLOSE)


@pytest.mark.parametrize(
    ("tower", "default"),
    [
        ("resnet", "roi"),
        ("vit", "dense_value"),
        ("timm_map", "dense_value"),
        ("timm_convnext", "crop"),
        ("vit_pooler", "crop"),
    ],
)
def test_defaults(make_tower: Callable[..., Any], tower: str, default: str) -> None:
    assert region_encoder(make_tower(tower).visual).name == default


@pytest.mark.parametrize(
    ("tower", "method", "why"),
    [
        ("resnet", "dense_value", "blocks of a ViT"),
        ("vit", "roi", "ModifiedResNet"),
        ("timm_convnext", "masked_cls", "ConvNeXt"),
        ("vit_pooler", "tokens", "attentional pooler"),
    ],
)
def test_a_method_that_does_not_fit_names_those_that_do(
    make_tower: Callable[..., Any], tower: str, method: str, why: str
) -> None:
    with pytest.raises(ModelError, match=f"{why}.*'crop'"):
        region_encoder(make_tower(tower).visual, method)


@pytest.mark.parametrize("change", ["qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn"])
def test_attention_of_another_kind_is_cropped(change: str, make_tower: Callable[..., Any]) -> None:
    import open_clip

    visual = make_tower("vit").visual
    vision = {"image_size": 32, "patch_size": 8, "width": 64, "head_width": 32, "layers": 1, change: True}
    other = open_clip.CLIP(64, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(layers=1, width=32, heads=1))
    assert "dense_value" in fitting(visual) and fitting(other.visual) == ["crop"]


def test_unknown_methods() -> None:
    with pytest.raises(ModelError, match=r"'roi', 'dense_value', 'tokens', 'masked_cls', 'crop'.*'attention'"):
        region_encoder(None, "attention")
    assert set(DEFAULTS) <= set(METHODS)
