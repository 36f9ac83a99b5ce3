"""What is known of a model's settings: the kind and range of each; :mod:`.settings` holds files against them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TypeGuard

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
MODEL_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?", re.ASCII)
Rule = Callable[[object], bool]
Rules = Mapping[str, "Rule | Rules"]


def is_repository(name: object) -> bool:
    """Whether a text is a Hugging Face repository's name, and neither a path nor an address.

    Parameters
    ----------
    name : object
        Of a file, or typed.

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
    """A whole number in a range.

    Parameters
    ----------
    least : int
        The lowest that is allowed.
    most : int
        The highest that is allowed.
    """
    return lambda value: type(value) is int and least <= value <= most


def number(least: float, most: float) -> Rule:
    """A finite number in a range.

    Parameters
    ----------
    least : float
        The lowest that is allowed.
    most : float
        The highest that is allowed.
    """
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
