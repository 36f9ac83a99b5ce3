"""Architectures: the configuration that weights belong to, read off their shapes and names."""

from __future__ import annotations

import re
from collections.abc import Mapping

import open_clip
import torch
from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.building import build, named_config
from ravl_explore.models.checkpoints.settings import Config, Settings
from ravl_explore.models.checkpoints.shapes import closest, matching, shape_of
from ravl_explore.models.checkpoints.weights import require, some
from ravl_explore.models.demo import demo_config

HEAD_WIDTH = 64  # of every published CLIP ResNet and text tower, and of most ViTs
MOST_BUILT = 12  # candidates compared weight by weight
OPTIONAL = ("num_batches_tracked", "logit_bias", "embeddings.position_ids")  # not needed for embeddings
TWIN = "-quickgelu"  # ends the names of architectures that differ in nothing else


def as_text_tower(tensors: dict[str, Tensor], has_text: bool) -> dict[str, Tensor]:
    """Move the text tower's names under ``text.`` or out of it, as the model has them.

    Parameters
    ----------
    tensors : dict[str, Tensor]
        Weights by name.
    has_text : bool
        Whether the model has its text tower under ``text.``.
    """
    if has_text and "token_embedding.weight" in tensors:
        return convert_to_custom_text_state_dict(tensors)
    if not has_text and "text.token_embedding.weight" in tensors:
        return {key.removeprefix("text."): value for key, value in tensors.items()}
    return tensors


def infer_config(tensors: Mapping[str, Tensor], origin: str, from_openai: bool = False) -> Config:
    """open_clip's configuration of a CLIP whose weights have open_clip's (and OpenAI's) names, read off their shapes.

    What no shape tells is taken from the published architecture of these shapes: the width of the heads, and the
    activation. ResNets, ViTs of shapes that OpenAI published, and files with OpenAI's numbers (``from_openai``) are
    taken to use QuickGELU, since most checkpoints of these shapes descend from OpenAI's; others, and the demo's, not.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights in open_clip's or OpenAI's names.
    origin : str
        Where it is from, for messages.
    from_openai : bool
        Whether OpenAI's numbers (``input_resolution`` ...) were among them.

    Raises
    ------
    ModelError
        When the names are of another layout, or of a tower whose architecture must be named.
    """
    shape = shape_of(tensors)
    names = matching(shape)
    if shape.get("tower") == "timm" or ("text_width" not in shape and any(key.startswith("text.") for key in tensors)):
        names = same_weights(tensors)
        if len({str(named_config(name)) for name in names}) == 1:
            return named_config(names[0])
        several = f"one of {', '.join(names)}" if names else f"{closest(shape)[0][0]!r} is closest"
        raise ModelError(
            "the name of the architecture, which this kind of tower does not show",
            f"none for {origin!r}",
            f"Give architecture=..., of open_clip's ({several}).",
        )
    text = "text." if any(key.startswith("text.") for key in tensors) else ""
    require(
        tensors,
        _needed(tensors, text),
        "a CLIP in the layout of open_clip, OpenAI or transformers",
        f"{origin}, with keys such as {some(tensors, 4)}",
        "Save the whole model's state_dict().",
    )
    width, text_width, demo_text = shape["width"], shape["text_width"], demo_config()["text_cfg"]
    ours = text_width == demo_text["width"]  # narrower than any published CLIP
    known = named_config(names[0]) if names else {}
    vision: Config = {"layers": shape["layers"], "width": width, "patch_size": shape.get("patch")}
    vision["image_size"] = shape["image_size"] if shape["tower"] == "resnet" else shape["patch"] * shape["grid"]
    vision["head_width"] = known.get("vision_cfg", {}).get("head_width", HEAD_WIDTH)
    if shape["tower"] == "vit":
        vision["head_width"] = min(vision["head_width"], width)
        vision["mlp_ratio"] = mlp_ratio(tensors["visual.transformer.resblocks.0.mlp.c_fc.weight"], width)
    config = {
        "embed_dim": shape["embed_dim"],
        "quick_gelu": not ours and (from_openai or shape["tower"] == "resnet" or is_openai_shape(names)),
        "vision_cfg": vision,
        "text_cfg": {
            "context_length": shape["context"],
            "vocab_size": shape["vocabulary"],
            "width": text_width,
            "heads": demo_text["heads"] if ours else max(1, text_width // HEAD_WIDTH),
            "layers": shape.get("text_layers", 0),
        },
    }
    if text:
        config["custom_text"] = True
    return config


def _needed(tensors: Mapping[str, Tensor], text: str) -> dict[str, int]:
    """Weights that tell a CLIP's sizes -> their axes."""
    needed = {"token_embedding.weight": 2, "positional_embedding": 2, "ln_final.weight": 1, "text_projection": 2}
    needed = {f"{text}{name}": axes for name, axes in needed.items()} | {"visual.conv1.weight": 4}
    needed[f"{text}transformer.resblocks.0.ln_1.weight"] = 1
    if any(re.match(r"visual\.(layer\d|attnpool)\.", key) for key in tensors):
        needed |= {f"visual.layer{i}.0.conv1.weight": 4 for i in (1, 2, 3, 4)}
        return needed | {"visual.attnpool.positional_embedding": 2}
    vit = {"class_embedding": 1, "positional_embedding": 2, "proj": 2, "transformer.resblocks.0.mlp.c_fc.weight": 2}
    return needed | {f"visual.{name}": axes for name, axes in vit.items()}


def is_openai_shape(names: list[str]) -> bool:
    """Whether OpenAI published weights of one of these architectures.

    Parameters
    ----------
    names : list[str]
        open_clip's names of architectures.
    """
    return any((name, "openai") in open_clip.list_pretrained() for name in names)


def name_of(config: Settings, tensors: Mapping[str, Tensor]) -> str | None:
    """open_clip's name of the architecture that has these shapes and this activation, if there is one.

    Parameters
    ----------
    config : Settings
        open_clip's configuration.
    tensors : Mapping[str, Tensor]
        The weights, in open_clip's names.
    """
    wanted, names = bool(config.get("quick_gelu")), matching(shape_of(tensors))
    names.sort(key=lambda name: named_config(name) != config)  # shapes do not tell all of timm's trunks apart
    return next((name for name in names if bool(named_config(name).get("quick_gelu")) == wanted), None)


def mlp_ratio(hidden: Tensor, width: int) -> float:
    """A hidden layer's width by the tower's, so that ``int(width * ratio)``, as libraries take it, is the former again.

    Parameters
    ----------
    hidden : Tensor
        The layer's weight.
    width : int
        The tower's.

    Examples
    --------
    >>> mlp_ratio(torch.zeros(3072, 768), 768), int(49 * mlp_ratio(torch.zeros(1, 49), 49)), int(49 * (1 / 49))
    (4.0, 1, 0)
    """
    n = hidden.shape[0]
    return n / width if int(width * (n / width)) == n else (n + 0.5) / width


def same_weights(tensors: Mapping[str, Tensor]) -> list[str]:
    """open_clip's architectures that have exactly these weights; the likely ones are built, without any memory.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights in open_clip's names.
    """
    found = []
    for name, differ in closest(shape_of(tensors))[:MOST_BUILT]:
        if differ > 1 or (differ and found):
            break
        if "hf_model_name" in named_config(name)["text_cfg"]:
            continue
        with torch.device("meta"):
            clip = build(named_config(name))
        own = {key: value.shape for key, value in clip.state_dict().items() if not key.endswith(OPTIONAL)}
        given = as_text_tower(dict(tensors), hasattr(clip, "text"))
        if own == {key: value.shape for key, value in given.items() if not key.endswith(OPTIONAL)}:
            found.append(name)
    return found


def suggestion(tensors: Mapping[str, Tensor], used: str | None = None) -> str:
    """What to do about weights that do not fit; ``used`` is the architecture that was tried.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights by name.
    used : str, optional
        The architecture that was tried, if one was named.
    """
    if names := [name for name in same_weights(tensors) if name != used][:2]:
        return f"These are the weights of {' or '.join(map(repr, names))}: give it as architecture=..."
    shape = shape_of(tensors)
    name, differ = closest(shape)[0]
    if differ > len(shape) // 2 or (used and name.removesuffix(TWIN) == used.removesuffix(TWIN)):
        return "Save the whole model's state_dict()."
    return f"The closest architecture is {name!r} (see architecture=...). Save the whole model's state_dict()."
