"""OpenClipVit: the view of open_clip's own VisionTransformer."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear

from ravl_explore.models.region_encoders.base import Tower
from ravl_explore.models.region_encoders.vit import Block, Heads, Vit, by_head, mean_inside, resize_grid


class OpenClipVit(Vit):
    """open_clip's own VisionTransformer.

    Parameters
    ----------
    visual : Tower
        The image tower.
    """

    def __init__(self, visual: Tower) -> None:
        self._visual = visual
        self.blocks, self.n_prefix = list(visual.transformer.resblocks), 1
        self.class_token = visual.pool_type == "tok"
        self._patch = int(visual.conv1.stride[0])

    def embed(self, pixels: Float[Tensor, "b 3 s s"]) -> tuple[Float[Tensor, "b n width"], tuple[int, int]]:
        visual = self._visual  # without its patch dropout, which would drop patches of regions
        x = visual.conv1(pixels)
        grid = (x.shape[2], x.shape[3])
        x = torch.cat([visual.class_embedding.to(x.dtype).expand(len(x), 1, -1), x.flatten(2).transpose(1, 2)], 1)
        position = visual.positional_embedding
        position = torch.cat([position[:1], resize_grid(position[1:], visual.grid_size, grid)])
        return visual.ln_pre(x + position.to(x.dtype)), grid

    def image(self, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "b dim"]:
        if self.class_token:
            return self.project(tokens[:, 0])
        patches = tokens[:, 1:]
        return self.pool(patches, torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device))

    def project(self, tokens: Float[Tensor, "n width"]) -> Float[Tensor, "n dim"]:
        x = self._visual.ln_post(tokens)
        return x if self._visual.proj is None else x @ self._visual.proj

    def pool(self, patches: Float[Tensor, "n p width"], inside: Bool[Tensor, "n p"]) -> Float[Tensor, "n dim"]:
        if self._visual.final_ln_after_pool:
            return self.project(mean_inside(patches, inside))
        x = mean_inside(self._visual.ln_post(patches), inside)
        return x if self._visual.proj is None else x @ self._visual.proj

    def _split(self, block: Block, x: Tensor) -> tuple[Heads, Heads, Heads]:
        attention = block.attn
        return by_head(linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias), attention.num_heads)

    def _join(self, block: Block, x: Tensor, attended: Tensor) -> Tensor:
        x = x + block.ls_1(block.attn.out_proj(attended))
        return x + block.ls_2(block.mlp(block.ln_2(x)))


def open_clip_misfit(visual: Tower) -> str:
    if visual.attn_pool is not None:
        return "with an attentional pooler"
    if visual.pool_type not in ("tok", "avg"):
        return f"with pool_type {visual.pool_type!r}"
    if not getattr(visual.transformer, "batch_first", True):
        return "with tokens before the batch"
    for block in visual.transformer.resblocks:
        attention = block.attn
        plain = all(hasattr(block, part) for part in ("ln_1", "ls_1", "ln_2", "ls_2", "mlp"))
        plain &= getattr(attention, "in_proj_weight", None) is not None and hasattr(attention, "out_proj")
        extra = [getattr(attention, part, None) for part in ("ln_q", "ln_k", "ln_inner", "logit_scale", "head_scale")]
        extra.append(getattr(block, "ln_attn", None))
        if not plain or any(part is not None and not isinstance(part, nn.Identity) for part in extra):
            return "with attention blocks of its own kind"
    return ""
