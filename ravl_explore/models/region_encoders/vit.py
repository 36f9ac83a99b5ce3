"""One view of the ViT image towers of open_clip and timm, for the encoders that work on patch tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate, scaled_dot_product_attention

Heads = Float[Tensor, "b heads n width"]
Block = Any  # one of a transformer's, open_clip's or timm's: its parts have no types


class Vit:
    """What a region encoder needs of a ViT.

    Attributes
    ----------
    blocks : Sequence[Block]
        The transformer's blocks, tokens -> tokens.
    n_prefix : int
        Tokens before the patches (class token, registers).
    class_token : bool
        Whether the class token becomes the image's embedding; else patches are pooled after the last block.
    """

    blocks: Sequence[Block]
    n_prefix: int
    class_token: bool
    _patch: int | None

    def embed(self, pixels: Float[Tensor, "b 3 s s"]) -> tuple[Float[Tensor, "b n width"], tuple[int, int]]:
        """Tokens before the first block, and the patch grid's (rows, columns).

        Parameters
        ----------
        pixels : Float[Tensor, "b 3 s s"]
            RGB, normalised for the tower.
        """
        raise NotImplementedError

    def image(self, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "b dim"]:
        """Image embeddings of the last block's tokens, as the library pools them.

        Parameters
        ----------
        tokens : Float[Tensor, "b n width"]
            Tokens after the last block.
        """
        raise NotImplementedError

    def project(self, tokens: Float[Tensor, "n width"]) -> Float[Tensor, "n dim"]:
        """Each token through the final norm and projection, as if it were all that is pooled.

        Parameters
        ----------
        tokens : Float[Tensor, "n width"]
            Tokens after the last block, of patches or of the class.
        """
        raise NotImplementedError

    def pool(self, patches: Float[Tensor, "n p width"], inside: Bool[Tensor, "n p"]) -> Float[Tensor, "n dim"]:
        """The pooling after the last block, of the patches inside only; for towers without ``class_token``.

        Parameters
        ----------
        patches : Float[Tensor, "n p width"]
            Patch tokens after the last block.
        inside : Bool[Tensor, "n p"]
            Which patches count, in each row.
        """
        raise NotImplementedError

    def _split(self, block: Block, x: Tensor) -> tuple[Heads, Heads, Heads]:
        """Queries, keys and values of a block's attention, by head."""
        raise NotImplementedError

    def _join(self, block: Block, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of a block after its attention: ``attended`` is (b, n, width), heads joined."""
        raise NotImplementedError

    def stride(self, pixels: Float[Tensor, "b 3 s s"], grid: tuple[int, int]) -> float:
        """Pixels from one patch to the next; where they do not divide the side, the rest is not seen.

        Parameters
        ----------
        pixels : Float[Tensor, "b 3 s s"]
            RGB, normalised for the tower.
        grid : tuple[int, int]
            Rows and columns of patches.
        """
        return float(self._patch) if self._patch else pixels.shape[-1] / grid[1]

    def values(self, block: Block, x: Float[Tensor, "b n width"]) -> Float[Tensor, "b n width"]:
        """A block whose attention is replaced by its value path: every token attends to itself alone.

        Parameters
        ----------
        block : Block
            One of ``blocks``.
        x : Float[Tensor, "b n width"]
            Tokens before the block.
        """
        return self._join(block, x, joined(self._split(block, x)[2]))

    def attend(
        self, block: Block, queries: Float[Tensor, "b r width"], patches: Tensor, mask: Bool[Tensor, "b r p"]
    ) -> Float[Tensor, "b r width"]:
        """Pass extra tokens through a block: each attends to itself and to the patches of its row of ``mask``.

        Parameters
        ----------
        block : Block
            One of ``blocks``.
        queries : Float[Tensor, "b r width"]
            The extra tokens.
        patches : Tensor
            The patches' tokens, before the block.
        mask : Bool[Tensor, "b r p"]
            Which patches each extra token sees.
        """
        q, own_k, own_v = self._split(block, queries)
        _, k, v = self._split(block, patches)
        own = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device).expand(len(mask), -1, -1)
        attended = scaled_dot_product_attention(
            q, torch.cat([k, own_k], 2), torch.cat([v, own_v], 2), torch.cat([mask, own], 2)[:, None]
        )
        return self._join(block, queries, joined(attended))

    def weigh(
        self, block: Block, x: Float[Tensor, "b n width"]
    ) -> tuple[Float[Tensor, "b n width"], Float[Tensor, "b heads n n"]]:
        """A block as it is, with its attention written out: (tokens, attention probabilities that they came from).

        The probabilities are at least float32, and take part in the gradient even where no weight of the tower does.

        Parameters
        ----------
        block : Block
            One of ``blocks``.
        x : Float[Tensor, "b n width"]
            Tokens before the block.
        """
        q, k, v = self._split(block, x)
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        weights = scores.softmax(-1, dtype=None if scores.dtype == torch.float64 else torch.float32)
        if torch.is_grad_enabled() and not weights.requires_grad:
            weights.requires_grad_()
        return self._join(block, x, joined(weights.to(v.dtype) @ v)), weights


def resize_grid(
    positions: Float[Tensor, "p width"], grid: tuple[int, ...], wanted: tuple[int, int]
) -> Float[Tensor, "q width"]:
    """Position embeddings of one patch grid -> another, bicubic; as they are where the grids are equal.

    Parameters
    ----------
    positions : Float[Tensor, "p width"]
        One a patch, row by row.
    grid : tuple[int, ...]
        Rows and columns that they are of.
    wanted : tuple[int, int]
        Rows and columns of the result.
    """
    if tuple(grid) == wanted:
        return positions
    square = positions.unflatten(0, tuple(grid)).permute(2, 0, 1)[None].float()
    square = interpolate(square, wanted, mode="bicubic", antialias=True, align_corners=False)
    return square[0].permute(1, 2, 0).flatten(0, 1).to(positions.dtype)


def by_head(packed: Tensor, heads: int) -> tuple[Heads, Heads, Heads]:
    """Queries, keys and values by head.

    Parameters
    ----------
    packed : Tensor
        Queries, keys and values beside each other, (b, n, 3 width).
    heads : int
        How many heads share the width.
    """
    q, k, v = packed.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return q, k, v


def joined(heads: Heads) -> Float[Tensor, "b n width"]:
    """The heads' results beside each other again.

    Parameters
    ----------
    heads : Heads
        One result a head.
    """
    return heads.transpose(1, 2).flatten(2)


def mean_inside(patches: Float[Tensor, "n p width"], inside: Bool[Tensor, "n p"]) -> Float[Tensor, "n width"]:
    """Mean of some patches.

    Parameters
    ----------
    patches : Float[Tensor, "n p width"]
        Patch tokens.
    inside : Bool[Tensor, "n p"]
        Which of them count, in each row.
    """
    weights = inside.to(patches.dtype)
    return (patches * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
