"""The attention pool of CLIP's ResNets, worked out for the one token that it gives."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def attention_pool(pool: Any, cells: Float[Tensor, "n c h w"]) -> Float[Tensor, "n dim"]:
    """What open_clip's ``AttentionPool2d`` gives, up to rounding.

    open_clip lets every token ask and throws all answers away but that of the mean. Here the mean alone asks, and keys
    and values are never spelled out: ``q (W x) = (q W) x``, so each head looks at the tokens themselves. That is two
    products with a weight matrix per region instead of three per token, of which there are 50 in an RN50.
    """
    tokens = cells.flatten(2).transpose(1, 2)
    tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1)
    tokens = tokens + pool.positional_embedding.to(tokens.dtype)
    heads = pool.num_heads
    query = pool.q_proj(tokens[:, 0]).unflatten(1, (heads, -1)) / (tokens.shape[2] // heads) ** 0.5
    key, value = (each.weight.unflatten(0, (heads, -1)) for each in (pool.k_proj, pool.v_proj))  # heads width c
    asked = torch.einsum("nhw,hwc->nhc", query, key)
    # the keys' bias adds the same to every token of a head; it is kept so that it has its gradient, zero
    constant = (query * pool.k_proj.bias.unflatten(0, (heads, -1))).sum(2)
    attention = (asked @ tokens.transpose(1, 2) + constant[..., None]).softmax(2)  # n heads tokens
    answer = torch.einsum("nhc,hwc->nhw", attention @ tokens, value)
    return pool.c_proj(answer.flatten(1) + pool.v_proj.bias)
