"""What a file may say of a model: the settings that are known, their kinds and ranges. All else is refused.

A configuration comes from ``open_clip_config.json``, from the header of a .safetensors file, or is made of
transformers' ``config.json``. Libraries that are told what a file says would also fetch repositories, read other paths
and run code, so only what describes the model's structure goes on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeGuard

from ravl_explore.errors import ModelError

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
MODEL_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?", re.ASCII)
Config = dict[str, Any]
"""Nested settings as JSON holds them: open_clip's of a model, or a part of them."""

Settings = Mapping[str, Any]
"""As :data:`Config`, to be read alone: of open_clip or of transformers."""

Rule = Callable[[object], bool]
Rules = Mapping[str, "Rule | Rules"]


def is_repository(name: object) -> bool:
    """Whether a text is a Hugging Face repository's name, and neither a path nor an address.

    Examples
    --------
    >>> is_repository("openai/clip-vit-base-patch32"), is_repository("../secret"), is_repository("hf-hub:a/b")
    (True, False, False)
    """
    return isinstance(name, str) and bool(REPOSITORY.fullmatch(name)) and ".." not in name


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number as JSON has them: not yes or no, which Python counts as numbers too.

    Parameters
    ----------
    value : object
        Of a file.

    Examples
    --------
    >>> is_number(1), is_number(0.5), is_number(True), is_number("1")
    (True, True, False, False)
    """
    return type(value) in (int, float)


def whole(least: int, most: int) -> Rule:
    """A whole number in a range."""
    return lambda value: type(value) is int and least <= value <= most


def number(least: float, most: float) -> Rule:
    """A finite number in a range."""
    return lambda value: is_number(value) and math.isfinite(value) and least <= value <= most


def one_of(*words: object) -> Rule:
    """One of a few values."""
    return lambda value: any(type(value) is type(word) and value == word for word in words)


def either(*rules: Rule) -> Rule:
    """What one of several rules allows."""
    return lambda value: any(rule(value) for rule in rules)


def _is_timm(name: object) -> bool:
    import timm

    return isinstance(name, str) and bool(MODEL_NAME.fullmatch(name)) and timm.is_model(name)


def _layers(value: object) -> bool:
    one = whole(1, 256)
    return one(value) or (isinstance(value, list | tuple) and len(value) == 4 and all(map(one, value)))


def _square(value: object) -> bool:
    side = whole(1, 4096)
    return side(value) or (
        isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1] and side(value[0])
    )


FLAG, WIDTH, COUNT = one_of(True, False), whole(1, 32768), whole(1, 512)
NOTHING = one_of(None)
MOST_POSITIONS = 2**23  # numbers; the largest published ViT, of 48 x 48 patches of 1664, has half of them
RATIO, SMALL, SHARE = number(0.01, 64), number(0, 1), number(0, 1)
TRANSFORMER: Rules = {
    "width": WIDTH,
    "mlp_ratio": RATIO,
    "ls_init_value": either(NOTHING, number(-100, 100)),
    "norm_kwargs": {"eps": SMALL},
    "act_kwargs": {"approximate": one_of("tanh", "none")},
    "block_type": one_of(None, "default", "custom"),
    "output_tokens": FLAG,
    **dict.fromkeys(
        ("qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"), FLAG
    ),
    "final_ln_after_pool": FLAG,
}
TIMM_VIT: Rules = {
    "patch_size": whole(1, 512),
    "embed_dim": WIDTH,
    "depth": whole(1, 256),
    "num_heads": COUNT,
    "mlp_ratio": RATIO,
    "class_token": FLAG,
    "global_pool": one_of("map", "avg", "token", ""),
    "act_layer": one_of("gelu", "gelu_tanh"),
    "norm_eps": SMALL,
}
VISION: Rules = {
    **TRANSFORMER,
    "layers": _layers,
    "head_width": WIDTH,
    "patch_size": either(NOTHING, whole(1, 512)),
    "image_size": _square,
    "attentional_pool": either(FLAG, one_of("parallel", "cascade")),
    "attn_pooler_queries": whole(1, 4096),
    "attn_pooler_heads": COUNT,
    "no_ln_pre": FLAG,
    "pos_embed_type": one_of("learnable", "sin_cos_2d"),
    "pool_type": one_of("tok", "avg", "none"),
    "timm_model_name": either(NOTHING, _is_timm),
    "timm_pool": one_of("", "avg", "max", "avgmax", "map", "token", "abs_attn", "rot_attn"),
    "timm_proj": one_of(None, "", "linear", "mlp", "none"),
    "timm_proj_bias": FLAG,
    "timm_vit": TIMM_VIT,
}
HF_TEXT: Rules = {  # of the towers that open_clip takes from transformers
    "model_type": one_of("bert", "roberta", "xlm-roberta", "mt5", "m2m_100"),
    "vocab_size": whole(1, 2_000_000),
    **dict.fromkeys(("hidden_size", "intermediate_size", "d_model", "d_ff", "d_kv"), WIDTH),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), WIDTH),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "encoder_layers", "decoder_layers"), whole(0, 256)),
    "num_decoder_layers": either(NOTHING, whole(0, 256)),
    **dict.fromkeys(("num_attention_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads"), COUNT),
    **dict.fromkeys(("relative_attention_num_buckets", "relative_attention_max_distance"), whole(1, 4096)),
    "max_position_embeddings": whole(1, 4096),
    "type_vocab_size": whole(1, 64),
    **dict.fromkeys(("layer_norm_eps", "layer_norm_epsilon"), SMALL),
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), either(NOTHING, whole(-1, 2_000_000))),
    "decoder_start_token_id": either(NOTHING, whole(-1, 2_000_000)),
    **dict.fromkeys(
        ("hidden_act", "activation_function"), one_of("gelu", "relu", "gelu_new", "silu", "gelu_pytorch_tanh")
    ),
    "feed_forward_proj": one_of("relu", "gated-gelu"),
    "position_embedding_type": one_of("absolute"),
    **dict.fromkeys(("scale_embedding", "tie_word_embeddings", "is_encoder_decoder"), FLAG),
}
TEXT: Rules = {
    **TRANSFORMER,
    "context_length": whole(1, 4096),
    "vocab_size": whole(1, 2_000_000),
    "heads": COUNT,
    "layers": whole(0, 256),
    "embed_cls": FLAG,
    "pad_id": whole(0, 2_000_000),
    "eos_id": whole(0, 2_000_000),
    "no_causal_mask": FLAG,
    "pool_type": one_of("first", "last", "argmax", "eos", "none"),
    "proj_bias": FLAG,
    "proj_type": one_of(None, "linear", "none"),
    "hf_model_name": either(NOTHING, is_repository),
    "hf_config": HF_TEXT,
    "hf_proj_type": one_of(None, "linear", "mlp"),
    "hf_pooler_type": one_of(None, "mean_pooler", "max_pooler", "cls_pooler", "cls_last_hidden_state_pooler"),
    "hf_tokenizer_name": either(NOTHING, is_repository),
    "tokenizer_mode": one_of(None, "clips"),
    "tokenizer_kwargs": {
        "clean": one_of("canonicalize", "lower", "whitespace"),
        "strip_sep_token": FLAG,
    },
}
MODEL: Rules = {
    "embed_dim": WIDTH,
    "quick_gelu": FLAG,
    "custom_text": FLAG,
    "init_logit_scale": number(-1000, 1000),
    "init_logit_bias": either(NOTHING, number(-1000, 1000)),
    "nonscalar_logit_scale": FLAG,
    "vision_cfg": VISION,
    "text_cfg": TEXT,
    "multimodal_cfg": {
        **TEXT,
        "dim_head": WIDTH,
        "n_queries": whole(1, 4096),
        "attn_pooler_heads": COUNT,
    },
}
OF_TRAINING = (  # all weights come from the file, and nothing is trained with these
    *("timm_model_pretrained", "hf_model_pretrained", "pretrained", "pretrained_hf"),
    *("pretrained_image", "cast_dtype", "timm_drop", "timm_drop_path", "patch_dropout"),
    *("output_dict",),
)


def checked_config(config: Settings, origin: str) -> Config:
    """open_clip's configuration, of known settings alone, each of a possible value; those of training are left out.

    Raises
    ------
    ModelError
        For a setting that is not known, or of another kind or range; it is named.
    """
    found = _checked(config, MODEL, OF_TRAINING, "", origin)
    for part in ("vision_cfg", "text_cfg"):
        if part not in found:
            raise ModelError("a configuration of open_clip", f"{origin!r} without {part}", "Save the model again.")
    if "embed_dim" not in found:
        raise ModelError("a configuration of open_clip", f"{origin!r} without embed_dim", "Save the model again.")
    vision = found["vision_cfg"]
    if isinstance(vision.get("image_size"), list | tuple):
        vision["image_size"] = vision["image_size"][0]
    if vision.get("pos_embed_type") == "sin_cos_2d":
        _check_computed_positions(vision, origin)
    return found


def _check_computed_positions(vision: Settings, origin: str) -> None:
    """Refuse positions that open_clip computes, whatever the weights are, and that would take all memory."""
    side = vision.get("image_size", 224) // (vision.get("patch_size") or 16)
    width = vision.get("width", 768)
    if side * side * width > MOST_POSITIONS:
        raise ModelError(
            f"at most {MOST_POSITIONS:,} numbers of sin_cos_2d positions",
            f"vision_cfg.image_size, patch_size and width of {side} x {side} positions of {width} in {origin!r}",
            "Correct them, or download the model's files again.",
        )


def checked_text_tower(config: Settings, origin: str) -> Config:
    """The structure of a text tower of transformers, from its ``config.json``; the rest of the file is left out.

    Raises
    ------
    ModelError
        For a tower of another kind than open_clip's, or a value out of range.
    """
    return _checked({key: value for key, value in config.items() if key in HF_TEXT}, HF_TEXT, (), "", origin)


def _checked(given: Settings, rules: Rules, left_out: Collection[str], where: str, origin: str) -> Config:
    found: Config = {}
    for key, value in given.items():
        if key in left_out:
            continue
        rule, name = rules.get(key), f"{where}{key}"
        if rule is None:
            raise ModelError(
                "settings that describe a model, and nothing else",
                f"{name!r}, which is not known, in {origin!r}",
                "Take it out where it does not matter; or update ravl_explore.",
            )
        if isinstance(rule, Mapping):
            if value is None:
                continue
            if isinstance(value, Mapping):
                found[key] = _checked(value, rule, left_out, f"{name}.", origin)
                continue
        elif rule(value):
            found[key] = value
            continue
        raise ModelError(
            "settings in the range of models",
            f"{name} = {_shortened(value)} in {origin!r}",
            "Correct it, or download the model's files again.",
        )
    return found


def _shortened(value: object, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
