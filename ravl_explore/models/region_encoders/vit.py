"""One view of the ViT image towers of open_clip and timm, for the encoders that work on patch tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import interpolate, linear, scaled_dot_product_attention

from ravl_explore.errors import ModelError

Heads = Float[Tensor, "b heads n width"]


class Vit:
    """What a region encoder needs of a ViT.

    Attributes
    ----------
    blocks : the transformer's blocks, tokens -> tokens
    n_prefix : tokens before the patches (class token, registers)
    class_token : whether the class token becomes the image's embedding; else patches are pooled after the last block
    """

    blocks: Sequence[nn.Module]
    n_prefix: int
    class_token: bool
    _patch: int | None

    def embed(self, pixels: Float[Tensor, "b 3 s s"]) -> tuple[Float[Tensor, "b n width"], tuple[int, int]]:
        """Tokens before the first block, and the patch grid's (rows, columns)."""
        raise NotImplementedError

    def image(self, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "b dim"]:
        """Image embeddings of the last block's tokens, as the library pools them."""
        raise NotImplementedError

    def project(self, tokens: Float[Tensor, "n width"]) -> Float[Tensor, "n dim"]:
        """Each token through the final norm and projection, as if it were all that is pooled."""
        raise NotImplementedError

    def pool(self, patches: Float[Tensor, "n p width"], inside: Bool[Tensor, "n p"]) -> Float[Tensor, "n dim"]:
        """The pooling after the last block, of the patches inside only; for towers without ``class_token``."""
        raise NotImplementedError

    def _split(self, block: Any, x: Tensor) -> tuple[Heads, Heads, Heads]:
        """Queries, keys and values of a block's attention, by head."""
        raise NotImplementedError

    def _join(self, block: Any, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of a block after its attention: ``attended`` is (b, n, width), heads joined."""
        raise NotImplementedError

    def stride(self, pixels: Float[Tensor, "b 3 s s"], grid: tuple[int, int]) -> float:
        """Pixels from one patch to the next; where they do not divide the side, the rest is not seen."""
        return float(self._patch) if self._patch else pixels.shape[-1] / grid[1]

    def values(self, block: nn.Module, x: Float[Tensor, "b n width"]) -> Float[Tensor, "b n width"]:
        """A block whose attention is replaced by its value path: every token attends to itself alone."""
        return self._join(block, x, _joined(self._split(block, x)[2]))

    def attend(
        self, block: nn.Module, queries: Float[Tensor, "b r width"], patches: Tensor, mask: Bool[Tensor, "b r p"]
    ) -> Float[Tensor, "b r width"]:
        """Pass extra tokens through a block: each attends to itself and to the patches of its row of ``mask``."""
        q, own_k, own_v = self._split(block, queries)
        _, k, v = self._split(block, patches)
        own = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device).expand(len(mask), -1, -1)
        attended = scaled_dot_product_attention(
            q, torch.cat([k, own_k], 2), torch.cat([v, own_v], 2), torch.cat([mask, own], 2)[:, None]
        )
        return self._join(block, queries, _joined(attended))

    def weigh(
        self, block: nn.Module, x: Float[Tensor, "b n width"]
    ) -> tuple[Float[Tensor, "b n width"], Float[Tensor, "b heads n n"]]:
        """A block as it is, with its attention written out: (tokens, attention probabilities that they came from).

        The probabilities are at least float32, and take part in the gradient even where no weight of the tower does.
        """
        q, k, v = self._split(block, x)
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        weights = scores.softmax(-1, dtype=None if scores.dtype == torch.float64 else torch.float32)
        if torch.is_grad_enabled() and not weights.requires_grad:
            weights.requires_grad_()
        return self._join(block, x, _joined(weights.to(v.dtype) @ v)), weights


class OpenClipVit(Vit):
    """open_clip's own VisionTransformer."""

    def __init__(self, visual: Any) -> None:
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
            return self.project(_mean(patches, inside))
        x = _mean(self._visual.ln_post(patches), inside)
        return x if self._visual.proj is None else x @ self._visual.proj

    def _split(self, block: Any, x: Tensor) -> tuple[Heads, Heads, Heads]:
        attention = block.attn
        return _by_head(linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias), attention.num_heads)

    def _join(self, block: Any, x: Tensor, attended: Tensor) -> Tensor:
        x = x + block.ls_1(block.attn.out_proj(attended))
        return x + block.ls_2(block.mlp(block.ln_2(x)))


class TimmVit(Vit):
    """A timm VisionTransformer inside open_clip's TimmModel."""

    def __init__(self, visual: Any) -> None:
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
            return self._after_pool(_mean(x, inside))
        return self._after_pool(self._trunk.attn_pool(x, attn_mask=inside[:, None, None]))

    def _after_pool(self, x: Tensor) -> Tensor:
        trunk = self._trunk
        return self._head(trunk.head(trunk.head_drop(trunk.fc_norm(x))))

    def _split(self, block: Any, x: Tensor) -> tuple[Heads, Heads, Heads]:
        q, k, v = _by_head(block.attn.qkv(block.norm1(x)), block.attn.num_heads)
        return block.attn.q_norm(q), block.attn.k_norm(k), v

    def _join(self, block: Any, x: Tensor, attended: Tensor) -> Tensor:
        norm = getattr(block.attn, "norm", None)
        attended = attended if norm is None else norm(attended)
        x = x + block.drop_path1(block.ls1(block.attn.proj_drop(block.attn.proj(attended))))
        return x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))


def as_vit(visual: Any) -> Vit:
    """The tower's view; ModelError where :func:`vit_misfit` finds a reason."""
    misfit = vit_misfit(visual)
    if misfit:
        raise ModelError("a ViT image tower", f"{type(visual).__name__} {misfit}", "Use region_method='crop'.")
    return OpenClipVit(visual) if isinstance(visual, VisionTransformer) else TimmVit(visual)


def vit_misfit(visual: Any) -> str:
    """Why a tower's patch tokens cannot be used; empty when they can."""
    if isinstance(visual, VisionTransformer):
        return _open_clip_misfit(visual)
    if isinstance(visual, TimmModel):
        return _timm_misfit(visual)
    return "without the blocks of a ViT"


def _open_clip_misfit(visual: Any) -> str:
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


def _timm_misfit(visual: Any) -> str:
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


def resize_grid(
    positions: Float[Tensor, "p width"], grid: tuple[int, ...], wanted: tuple[int, int]
) -> Float[Tensor, "q width"]:
    """Position embeddings of one patch grid -> another, bicubic; as they are where the grids are equal."""
    if tuple(grid) == wanted:
        return positions
    square = positions.unflatten(0, tuple(grid)).permute(2, 0, 1)[None].float()
    square = interpolate(square, wanted, mode="bicubic", antialias=True, align_corners=False)
    return square[0].permute(1, 2, 0).flatten(0, 1).to(positions.dtype)


def _is_plain(patch_embed: Any) -> bool:
    return type(patch_embed).__name__ == "PatchEmbed"


def _by_head(packed: Tensor, heads: int) -> tuple[Heads, Heads, Heads]:
    q, k, v = packed.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return q, k, v


def _joined(heads: Heads) -> Float[Tensor, "b n width"]:
    return heads.transpose(1, 2).flatten(2)


def _mean(patches: Float[Tensor, "n p width"], inside: Bool[Tensor, "n p"]) -> Float[Tensor, "n width"]:
    weights = inside.to(patches.dtype)
    return (patches * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
