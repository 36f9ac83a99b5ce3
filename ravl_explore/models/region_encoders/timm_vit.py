"""TimmVit: the view of a timm VisionTransformer, inside open_clip's TimmModel."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ravl_explore.models.region_encoders.base import Tower
from ravl_explore.models.region_encoders.vit import Block, Heads, Vit, by_head, mean_inside, resize_grid


class TimmVit(Vit):
    """A timm VisionTransformer inside open_clip's TimmModel.

    Parameters
    ----------
    visual : Tower
        The image tower.
    """

    def __init__(self, visual: Tower) -> None:
        self._trunk, self._head = visual.trunk, visual.head
        self.blocks, self.n_prefix = list(visual.trunk.blocks), int(visual.trunk.num_prefix_tokens)
        self.class_token = visual.trunk.global_pool == "token"
        embed = visual.trunk.patch_embed
        self._patch = int(embed.proj.stride[0]) if _is_plain(embed) else None

    def embed(self, pixels: Float[Tensor, "b 3 s s"]) -> tuple[Float[Tensor, "b n width"], tuple[int, int]]:
        trunk = self._trunk
        own_grid = tuple(trunk.patch_embed.grid_size)
        if _is_plain(trunk.patch_embed):
            x = trunk.patch_embed.proj(pixels)
            grid = (x.shape[2], x.shape[3])
            x = trunk.patch_embed.norm(x.flatten(2).transpose(1, 2))
        else:  # a convolutional stem: it takes the tower's own size only
            x, grid = trunk.patch_embed(pixels), own_grid
            x = x.flatten(1, 2) if x.ndim == 4 else x
        prefix = [token.expand(len(x), -1, -1) for token in (trunk.cls_token, trunk.reg_token) if token is not None]
        position = trunk.pos_embed
        if position is None:
            return trunk.norm_pre(torch.cat([*prefix, x], 1)), grid
        n = 0 if trunk.no_embed_class else self.n_prefix  # prefix tokens with a position of their own
        x = x + resize_grid(position[0, n:], own_grid, grid)
        if prefix:
            first = torch.cat(prefix, 1)
            x = torch.cat([first + position[:, :n] if n else first, x], 1)
        return trunk.norm_pre(trunk.pos_drop(x)), grid

    def image(self, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "b dim"]:
        return self._head(self._trunk.forward_head(self._trunk.norm(tokens)))

    def project(self, tokens: Float[Tensor, "n width"]) -> Float[Tensor, "n dim"]:
        x = self._trunk.norm(tokens)
        return self._after_pool(x if self._trunk.attn_pool is None else self._trunk.attn_pool(x[:, None]))

    def pool(self, patches: Float[Tensor, "n p width"], inside: Bool[Tensor, "n p"]) -> Float[Tensor, "n dim"]:
        x = self._trunk.norm(patches)
        if self._trunk.attn_pool is None:
            return self._after_pool(mean_inside(x, inside))
        return self._after_pool(self._trunk.attn_pool(x, attn_mask=inside[:, None, None]))

    def _after_pool(self, x: Tensor) -> Tensor:
        trunk = self._trunk
        return self._head(trunk.head(trunk.head_drop(trunk.fc_norm(x))))

    def _split(self, block: Block, x: Tensor) -> tuple[Heads, Heads, Heads]:
        q, k, v = by_head(block.attn.qkv(block.norm1(x)), block.attn.num_heads)
        return block.attn.q_norm(q), block.attn.k_norm(k), v

    def _join(self, block: Block, x: Tensor, attended: Tensor) -> Tensor:
        norm = getattr(block.attn, "norm", None)
        attended = attended if norm is None else norm(attended)
        x = x + block.drop_path1(block.ls1(block.attn.proj_drop(block.attn.proj(attended))))
        return x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))


def timm_misfit(visual: Tower) -> str:
    from timm.models.vision_transformer import Block
    from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer

    trunk = visual.trunk
    if type(trunk) is not TimmVisionTransformer:
        return f"with a timm trunk {type(trunk).__name__}"
    if trunk.global_pool not in ("token", "avg", "map"):
        return f"with pooling {trunk.global_pool!r}"
    if trunk.global_pool == "map" and type(trunk.attn_pool).__name__ != "AttentionPoolLatent":
        return f"with a pool {type(trunk.attn_pool).__name__}"
    if trunk.global_pool == "map" and getattr(trunk.attn_pool, "pos_embed", None) is not None:
        return "with an attention pool that has positions"
    if getattr(trunk, "pool_include_prefix", False):
        return "with a pool over the class token and the patches"
    if any(type(block) is not Block or not hasattr(block.attn, "qkv") for block in trunk.blocks):
        return "with attention blocks of its own kind"
    if any(getattr(block.attn, "gate", None) is not None for block in trunk.blocks):
        return "with gated attention"
    return ""


def _is_plain(patch_embed: nn.Module) -> bool:
    return type(patch_embed).__name__ == "PatchEmbed"
