"""Layouts: key names and settings of transformers' CLIPModel and SiglipModel, turned into open_clip's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt

import torch
from torch import Tensor

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.architectures import HEAD_WIDTH, mlp_ratio
from ravl_explore.models.checkpoints.settings import Config, Settings
from ravl_explore.models.checkpoints.transformers_names import (
    BLOCK,
    CLIP_NAMES,
    SIGLIP_NAMES,
    TIMM_BLOCK,
    Tensors,
    axes_of,
    rename_weights,
)
from ravl_explore.models.checkpoints.weights import require

ACTIVATIONS = {"quick_gelu": "quick_gelu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh"}

FAMILIES = ("clip", "metaclip_2", "siglip")  # whose embeddings here were compared with transformers'
TRANSPOSED = ("text_projection", "visual.proj")  # a matrix in open_clip, a layer's weight in transformers


def is_transformers(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of transformers' two-tower models.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights in the file's own names.
    """
    return any(key.startswith("vision_model.") for key in tensors)


def is_siglip(tensors: Mapping[str, Tensor], settings: Settings, origin: str) -> bool:
    """Whether it is a SigLIP: by its attention pool, and by ``model_type``, which must agree.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights in transformers' names.
    settings : Settings
        transformers' ``config.json``, or empty.
    origin : str
        Where it is from, for messages.

    Raises
    ------
    ModelError
        For a family whose embeddings are not known to come out right here.
    """
    siglip = any(key.startswith("vision_model.head.") for key in tensors)
    family = settings.get("model_type")
    if family is None and not siglip:
        return False
    known = {"siglip"} if siglip else {"clip", "metaclip_2"}
    if family is not None and family not in known:
        raise ModelError(
            f"a model of transformers of type {' or '.join(sorted(FAMILIES))}, with weights to match",
            f"model_type {str(family)[:40]!r} in {origin!r}, whose weights are those of {' or '.join(sorted(known))}",
            "Take open_clip's version of it where there is one, or write a VisionLanguageModel around it.",
        )
    return siglip


def from_clip(tensors: Mapping[str, Tensor], settings: Settings, origin: str) -> tuple[Config, Tensors]:
    """CLIPModel -> (open_clip configuration, tensors); ``settings`` is its ``config.json``, or empty.

    Without settings, what shapes do not tell is CLIPModel's default: QuickGELU, and heads 64 wide.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights in transformers' names.
    settings : Settings
        transformers' ``config.json``, or empty.
    origin : str
        Where it is from, for messages.
    """
    text, vision = _parts(settings, origin)
    converted = rename_weights(
        tensors, CLIP_NAMES, {"text_model": ("", BLOCK), "vision_model": ("visual.", BLOCK)}, origin
    )
    for key in TRANSPOSED:
        converted[key] = converted[key].T.contiguous()
    activation = _activation(vision, "quick_gelu", origin)
    if activation == "gelu_tanh" or activation != _activation(text, "quick_gelu", origin):
        raise ModelError(
            "QuickGELU or GELU in both towers",
            f"{text.get('hidden_act')!r} and {vision.get('hidden_act')!r} in {origin!r}",
            "Open models of other activations with a loader of your own.",
        )
    text_width, width = converted["ln_final.weight"].shape[0], converted["visual.class_embedding"].shape[0]
    patch = converted["visual.conv1.weight"].shape[-1]
    config: Config = {
        "embed_dim": converted["visual.proj"].shape[1],
        "quick_gelu": activation == "quick_gelu",
        "vision_cfg": {
            "image_size": patch * isqrt(converted["visual.positional_embedding"].shape[0] - 1),
            "layers": _count_blocks(tensors, "vision_model"),
            "width": width,
            "patch_size": patch,
            "head_width": width // _heads(vision, width, origin),
            "mlp_ratio": _ratio(tensors, "vision_model", width),
        },
        "text_cfg": {
            "context_length": converted["positional_embedding"].shape[0],
            "vocab_size": converted["token_embedding.weight"].shape[0],
            "width": text_width,
            "heads": _heads(text, text_width, origin),
            "layers": _count_blocks(tensors, "text_model"),
            "mlp_ratio": _ratio(tensors, "text_model", text_width),
        },
    }
    for name, part in (("vision_cfg", vision), ("text_cfg", text)):
        if part.get("layer_norm_eps", 1e-5) != 1e-5:
            config[name]["norm_kwargs"] = {"eps": part["layer_norm_eps"]}
    end = _end_token(text, settings, origin)
    if end not in (None, config["text_cfg"]["vocab_size"] - 1):
        config["text_cfg"] |= {"pool_type": "eos", "eos_id": end}
    return config, converted


def _end_token(text: Settings, settings: Settings, origin: str) -> int | None:
    """Number of the token where a text's embedding is read; None for the highest that the text has."""
    old_mistake = settings.get("model_type") != "metaclip_2"  # in CLIPs, 2 stands for the highest; in MetaCLIP 2, for 2
    end = text.get("eos_token_id", 2 if old_mistake else 49407)
    if old_mistake and (end is None or end == 2):
        return None
    if type(end) is not int:
        raise ModelError("the number of one end token", f"{end!r} in {origin!r}", "Download config.json again.")
    return end


def from_siglip(tensors: Mapping[str, Tensor], settings: Settings, origin: str) -> tuple[Config, Tensors]:
    """SiglipModel -> (open_clip configuration with a timm trunk, tensors); ``settings`` is its ``config.json``.

    Without settings, what shapes do not tell is SiglipModel's default: GELU by tanh, and heads 64 wide (72 for the
    width of SO400M).

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights in transformers' names.
    settings : Settings
        transformers' ``config.json``, or empty.
    origin : str
        Where it is from, for messages.
    """
    text, vision = _parts(settings, origin)
    blocks = {"text_model": ("text.", BLOCK), "vision_model": ("visual.trunk.", TIMM_BLOCK)}
    packed = {f"vision_model.head.attention.in_proj_{kind}" for kind in ("weight", "bias")}
    require(tensors, {key: axes_of(key) for key in packed}, "SigLIP's attention pool", origin, "Save the whole model.")
    rest = {key: value for key, value in tensors.items() if key not in packed}
    converted = rename_weights(rest, SIGLIP_NAMES, blocks, origin)
    converted["visual.trunk.pos_embed"] = converted["visual.trunk.pos_embed"][None]
    for kind in ("weight", "bias"):
        q, k, v = tensors[f"vision_model.head.attention.in_proj_{kind}"].chunk(3)
        converted |= {f"visual.trunk.attn_pool.q.{kind}": q, f"visual.trunk.attn_pool.kv.{kind}": torch.cat([k, v])}
    width = converted["visual.trunk.norm.weight"].shape[0]
    text_width = converted["text.ln_final.weight"].shape[0]
    patch = converted["visual.trunk.patch_embed.proj.weight"].shape[-1]
    grid = isqrt(converted["visual.trunk.pos_embed"].shape[1])
    acts = [_activation(part, "gelu_pytorch_tanh", origin) for part in (text, vision)]
    if "quick_gelu" in acts:
        raise ModelError("GELU in SigLIP's towers", f"QuickGELU in {origin!r}", "Open it with a loader of your own.")
    config: Config = {
        "embed_dim": converted["text.text_projection.weight"].shape[0],
        "custom_text": True,
        "init_logit_bias": -10,
        "vision_cfg": {
            "image_size": _side(vision, patch, grid, origin),
            "timm_vit": {
                "patch_size": patch,
                "embed_dim": width,
                "depth": _count_blocks(tensors, "vision_model"),
                "num_heads": _heads(vision, width, origin),
                "mlp_ratio": _ratio(tensors, "vision_model", width),
                "class_token": False,
                "global_pool": "map",
                "act_layer": acts[1],
                "norm_eps": vision.get("layer_norm_eps", 1e-6),
            },
        },
        "text_cfg": {
            "context_length": converted["text.positional_embedding"].shape[0],
            "vocab_size": converted["text.token_embedding.weight"].shape[0],
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "width": text_width,
            "heads": _heads(text, text_width, origin),
            "layers": _count_blocks(tensors, "text_model"),
            "mlp_ratio": _ratio(tensors, "text_model", text_width),
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "norm_kwargs": {"eps": text.get("layer_norm_eps", 1e-6)},
        },
    }
    if acts[0] == "gelu_tanh":
        config["text_cfg"]["act_kwargs"] = {"approximate": "tanh"}
    return config, converted


def _parts(settings: Settings, origin: str) -> tuple[Settings, Settings]:
    found = tuple(settings.get(name) or {} for name in ("text_config", "vision_config"))
    if not all(isinstance(part, Mapping) for part in found):
        raise ModelError(
            "text_config and vision_config whose settings fit together", f"others in {origin!r}", "Download it again."
        )
    return found[0], found[1]


def _side(vision: Settings, patch: int, grid: int, origin: str) -> int:
    """Side of the input in pixels; it need not be a multiple of the patch's."""
    side = vision.get("image_size", patch * grid)
    if type(side) is not int or side // patch != grid:
        raise ModelError(
            f"an image_size of {grid} patches of {patch} pixels, as the weights have it",
            f"{side!r} in {origin!r}",
            "Download config.json again.",
        )
    return side


def _activation(part: Settings, default: str, origin: str) -> str:
    given = part.get("hidden_act", default)
    if given not in ACTIVATIONS:
        raise ModelError(
            f"an activation of {', '.join(ACTIVATIONS)}", f"{given!r} in {origin!r}", "Open another model."
        )
    return ACTIVATIONS[given]


def _heads(part: Settings, width: int, origin: str) -> int:
    heads = part.get("num_attention_heads")
    if heads is None:
        heads = max(1, width // (72 if width == 1152 else HEAD_WIDTH))
    if type(heads) is not int or heads < 1 or width % heads:
        raise ModelError(
            f"attention heads that share {width} numbers evenly", f"{heads!r} in {origin!r}", "Download it again."
        )
    return heads


def _ratio(tensors: Mapping[str, Tensor], tower: str, width: int) -> float:
    return mlp_ratio(tensors[f"{tower}.encoder.layers.0.mlp.fc1.weight"], width)


def _count_blocks(tensors: Mapping[str, Tensor], tower: str) -> int:
    return len({match[1] for key in tensors if (match := re.match(rf"{tower}\.encoder\.layers\.(\d+)\.", key))})
