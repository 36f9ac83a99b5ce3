"""The attention pool of CLIP's ResNets, worked out for the one token that it gives."""

from __future__ import annotations

import torch
from jaxtyping import Float
from open_clip.modified_resnet import AttentionPool2d
from torch import Tensor


def attention_pool(pool: AttentionPool2d, cells: Float[Tensor, "n c h w"]) -> Float[Tensor, "n dim"]:
    """What open_clip's ``AttentionPool2d`` gives, up to rounding.

    open_clip lets every token ask and throws all answers away but that of the mean. Here the mean alone asks, and keys
    and values are never spelled out: ``q (W x) = (q W) x``, so each head looks at the tokens themselves. That is two
    products with a weight matrix per region instead of three per token, of which there are 50 in an RN50. Positions are
    added to what is asked and answered, not to the tokens, so that those are not copied.

    Parameters
    ----------
    pool : AttentionPool2d
        open_clip's, whose weights are used.
    cells : Float[Tensor, "n c h w"]
        The map that each result is pooled from.
    """
    tokens = cells.flatten(2).transpose(1, 2)
    position = pool.positional_embedding.to(tokens.dtype)
    heads = pool.num_heads
    query = pool.q_proj(tokens.mean(1) + position[0]).unflatten(1, (heads, -1)) / (tokens.shape[2] // heads) ** 0.5
    key, value = (each.weight.unflatten(0, (heads, -1)) for each in (pool.k_proj, pool.v_proj))  # heads width c
    asked = torch.einsum("nhw,hwc->nhc", query, key)
    # the keys' bias adds the same to every token of a head; it is kept so that it has its gradient, zero
    constant = (query * pool.k_proj.bias.unflatten(0, (heads, -1))).sum(2)[..., None]
    by_cell = asked @ tokens.transpose(1, 2)
    scores = torch.cat([by_cell.mean(2, keepdim=True), by_cell], 2) + asked @ position.T + constant
    attention = scores.softmax(2)  # n heads tokens
    share = (
        attention[..., 1:] + attention[..., :1] / tokens.shape[1]
    )  # the mean token's, by the cells it is the mean of
    answer = torch.einsum("nhc,hwc->nhw", share @ tokens + attention @ position, value)
    return pool.c_proj(answer.flatten(1) + pool.v_proj.bias)
