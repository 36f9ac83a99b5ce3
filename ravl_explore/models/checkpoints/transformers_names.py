"""Names of weights in transformers' CLIPModel and SiglipModel, and what open_clip calls the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ravl_explore.models.checkpoints.weights import require

Tensors = dict[str, Tensor]
IGNORED = re.compile(r"(\.|^)position_ids$|^logit_bias$")
BLOCK_KEY = r"(\w+)\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)"
BLOCK = {  # transformers -> open_clip, within one block
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
TIMM_BLOCK = {  # transformers -> timm
    "self_attn.out_proj": "attn.proj",
    "layer_norm1": "norm1",
    "layer_norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
CLIP_NAMES = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",  # transformers' own spelling
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "visual_projection.weight": "visual.proj",
    "logit_scale": "logit_scale",
}
SIGLIP_NAMES = {
    "text_model.embeddings.token_embedding.weight": "text.token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "text.positional_embedding",
    "text_model.final_layer_norm.weight": "text.ln_final.weight",
    "text_model.final_layer_norm.bias": "text.ln_final.bias",
    "text_model.head.weight": "text.text_projection.weight",
    "text_model.head.bias": "text.text_projection.bias",
    "vision_model.embeddings.patch_embedding.weight": "visual.trunk.patch_embed.proj.weight",
    "vision_model.embeddings.patch_embedding.bias": "visual.trunk.patch_embed.proj.bias",
    "vision_model.embeddings.position_embedding.weight": "visual.trunk.pos_embed",
    "vision_model.post_layernorm.weight": "visual.trunk.norm.weight",
    "vision_model.post_layernorm.bias": "visual.trunk.norm.bias",
    "vision_model.head.probe": "visual.trunk.attn_pool.latent",
    "vision_model.head.attention.out_proj.weight": "visual.trunk.attn_pool.proj.weight",
    "vision_model.head.attention.out_proj.bias": "visual.trunk.attn_pool.proj.bias",
    "vision_model.head.layernorm.weight": "visual.trunk.attn_pool.norm.weight",
    "vision_model.head.layernorm.bias": "visual.trunk.attn_pool.norm.bias",
    "vision_model.head.mlp.fc1.weight": "visual.trunk.attn_pool.mlp.fc1.weight",
    "vision_model.head.mlp.fc1.bias": "visual.trunk.attn_pool.mlp.fc1.bias",
    "vision_model.head.mlp.fc2.weight": "visual.trunk.attn_pool.mlp.fc2.weight",
    "vision_model.head.mlp.fc2.bias": "visual.trunk.attn_pool.mlp.fc2.bias",
    "logit_scale": "logit_scale",
    "logit_bias": "logit_bias",
}
EXPECTED = "all weights of transformers' CLIPModel or SiglipModel, and no others"


def rename_weights(
    tensors: Mapping[str, Tensor],
    names: Mapping[str, str],
    blocks: Mapping[str, tuple[str, Mapping[str, str]]],
    origin: str,
) -> Tensors:
    """Rename by table, and the blocks' parts by theirs; queries, keys and values are packed into one.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights in transformers' names.
    names : Mapping[str, str]
        transformers' name -> open_clip's, outside of blocks.
    blocks : Mapping[str, tuple[str, Mapping[str, str]]]
        Tower -> what stands before its blocks' names in open_clip, and the table of their parts.
    origin : str
        Where it is from, for messages.
    """
    kept = {key: value for key, value in tensors.items() if not IGNORED.search(key) or key in names}
    needed = _needed(tensors, names, blocks)
    unknown = kept.keys() - needed.keys() - names.keys()
    require(tensors, needed, EXPECTED, origin, "Save the whole model with save_pretrained().", unknown)
    converted: Tensors = {}
    for key, value in kept.items():
        if key in names:
            converted[names[key]] = value
            continue
        inside = re.fullmatch(BLOCK_KEY, key)
        assert inside is not None, key  # else it would be unknown
        tower, number, part, kind = inside.groups()
        prefix, table = blocks[tower]
        where = f"{prefix}{'blocks' if table is TIMM_BLOCK else 'transformer.resblocks'}.{number}"
        if part in table:
            converted[f"{where}.{table[part]}.{kind}"] = value
        elif part == "self_attn.q_proj":
            pack = f"qkv.{kind}" if table is TIMM_BLOCK else f"in_proj_{kind}"
            converted[f"{where}.attn.{pack}"] = torch.cat(
                [kept[key.replace("q_proj", f"{each}_proj")] for each in "qkv"]
            )
    return converted


def _needed(
    tensors: Mapping[str, Tensor], names: Mapping[str, str], blocks: Mapping[str, tuple[str, Mapping[str, str]]]
) -> dict[str, int]:
    """Every weight of both towers -> its axes; a tower has as many blocks as the highest number tells, or one."""
    keys = [key for key in names if not IGNORED.search(key) and key != "logit_scale"]
    for tower, (_, table) in blocks.items():
        parts = [*table, *(f"self_attn.{part}_proj" for part in "qkv")]
        numbers = [int(found[1]) for key in tensors if (found := re.match(rf"{tower}\.encoder\.layers\.(\d+)\.", key))]
        for i in range(min(max(numbers, default=0), len(tensors)) + 1):  # a number alone asks for nothing
            keys += [f"{tower}.encoder.layers.{i}.{part}.{kind}" for part in parts for kind in ("weight", "bias")]
    return {key: axes_of(key) for key in keys}


def axes_of(key: str) -> int:
    """How many axes a weight has.

    Parameters
    ----------
    key : str
        Its name in transformers.
    """
    if key.endswith("patch_embedding.weight"):
        return 4
    if key.endswith("head.probe"):
        return 3
    return 1 if key.endswith(("bias", "class_embedding")) or "norm" in key else 2
