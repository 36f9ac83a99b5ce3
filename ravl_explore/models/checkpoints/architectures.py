"""Architectures: filling models with weights, and recognising by its shapes what weights belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import isqrt

import open_clip
import torch
from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.building import all_configs, build, named_config
from ravl_explore.models.checkpoints.settings import Config, Settings
from ravl_explore.models.checkpoints.weights import require, some
from ravl_explore.models.demo import demo_config

HEAD_WIDTH = 64  # of every published CLIP ResNet and text tower, and of most ViTs
MOST_BUILT = 12  # candidates compared weight by weight
OPTIONAL = ("num_batches_tracked", "logit_bias", "embeddings.position_ids")  # not needed for embeddings
TWIN = "-quickgelu"  # ends the names of architectures that differ in nothing else
Shape = Config
"""What shapes tell of a model, by a name of ours: a number, a tower's kind, or the layers of a ResNet."""


def as_text_tower(tensors: dict[str, Tensor], has_text: bool) -> dict[str, Tensor]:
    """Move the text tower's names under ``text.`` or out of it, as the model has them."""
    if has_text and "token_embedding.weight" in tensors:
        return convert_to_custom_text_state_dict(tensors)
    if not has_text and "text.token_embedding.weight" in tensors:
        return {key.removeprefix("text."): value for key, value in tensors.items()}
    return tensors


# --- recognising ------------------------------------------------------------------------------------------------------


def shape_of(tensors: Mapping[str, Tensor]) -> Shape:
    """What the shapes of weights in open_clip's names tell; a key that they do not tell is absent."""
    sizes = {key: tuple(value.shape) for key, value in tensors.items()}
    shape: Shape = {}
    text = "text." if any(key.startswith("text.") for key in sizes) else ""

    def put(key: str, name: str, axis: int) -> None:
        if name in sizes and len(sizes[name]) > axis:
            shape[key] = sizes[name][axis]

    put("text_width", f"{text}ln_final.weight", 0)
    put("vocabulary", f"{text}token_embedding.weight", 0)
    put("context", f"{text}positional_embedding", 0)
    put("embed_dim", f"{text}text_projection", 1)
    put("embed_dim", f"{text}text_projection.weight", 0)
    shape["text_layers"] = _count(rf"{re.escape(text)}transformer\.resblocks\.(\d+)\.", sizes)
    if "visual.layer1.0.conv1.weight" in sizes:
        shape["tower"] = "resnet"
        shape["layers"] = [_count(rf"visual\.layer{i}\.(\d+)\.", sizes) for i in (1, 2, 3, 4)]
        put("width", "visual.layer1.0.conv1.weight", 0)
        cells = (*sizes.get("visual.attnpool.positional_embedding", ()), 0)[0]
        shape["image_size"] = 32 * isqrt(max(cells - 1, 0))
    elif "visual.class_embedding" in sizes:
        shape["tower"] = "vit"
        shape["layers"] = _count(r"visual\.transformer\.resblocks\.(\d+)\.", sizes)
        put("width", "visual.class_embedding", 0)
        put("patch", "visual.conv1.weight", 3)
        put("embed_dim", "visual.proj", 1)
        shape["grid"] = isqrt(max((*sizes.get("visual.positional_embedding", ()), 0)[0] - 1, 0))
    elif any(key.startswith("visual.trunk.") for key in sizes):
        shape["tower"] = "timm"
        put("patch", "visual.trunk.patch_embed.proj.weight", 3)
        if len(sizes.get("visual.trunk.pos_embed", ())) == 3:
            shape["grid"] = isqrt(sizes["visual.trunk.pos_embed"][1])
    return {key: value for key, value in shape.items() if value}


def _config_shape(config: Settings, patch: int | None) -> Shape:
    vision, text = config["vision_cfg"], config["text_cfg"]
    shape: Shape = {"embed_dim": config["embed_dim"], "image_size": vision.get("image_size", 224)}
    if "hf_model_name" not in text:
        defaults = {"text_width": ("width", 512), "text_layers": ("layers", 12)}
        defaults |= {"vocabulary": ("vocab_size", 49408), "context": ("context_length", 77)}
        shape |= {key: text.get(name, default) for key, (name, default) in defaults.items()}
    if vision.get("timm_model_name"):
        shape |= {"tower": "timm"}
        named = re.search(r"patch(\d+)", vision["timm_model_name"])
        if named:
            shape["patch"] = int(named[1])
    elif isinstance(vision["layers"], list):
        return shape | {"tower": "resnet", "layers": list(vision["layers"]), "width": vision["width"]}
    else:
        shape |= {"tower": "vit", "layers": vision["layers"], "width": vision["width"], "patch": vision["patch_size"]}
    if shape.get("patch", patch):
        shape["grid"] = shape["image_size"] // shape.get("patch", patch)
    return shape


def closest(shape: Shape) -> list[tuple[str, int]]:
    """open_clip's architectures with how many known sizes differ, the closest first."""
    found = []
    for name, config in all_configs().items():
        other = _config_shape(config, shape.get("patch"))
        keys = shape.keys() - ({"image_size"} if "grid" in shape else set())
        differ = sum(shape[key] != other.get(key) for key in keys) + 2 * (shape.get("tower") != other["tower"])
        foreign_text = ("hf_model_name" in config["text_cfg"]) != ("text_width" not in shape)
        found.append((name, differ + 2 * foreign_text))
    return sorted(found, key=lambda each: (each[1], len(each[0]), each[0]))


def matching(shape: Shape) -> list[str]:
    """open_clip's architectures of exactly these shapes, plain names first."""
    return [name for name, differ in closest(shape) if differ == 0]


def infer_config(tensors: Mapping[str, Tensor], origin: str, from_openai: bool = False) -> Config:
    """open_clip's configuration of a CLIP whose weights have open_clip's (and OpenAI's) names, read off their shapes.

    What no shape tells is taken from the published architecture of these shapes: the width of the heads, and the
    activation. ResNets, ViTs of shapes that OpenAI published, and files with OpenAI's numbers (``from_openai``) are
    taken to use QuickGELU, since most checkpoints of these shapes descend from OpenAI's; others, and the demo's, not.

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
        vision["mlp_ratio"] = _mlp_ratio(tensors, "visual.", width)
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
    """Whether OpenAI published weights of one of these architectures."""
    return any((name, "openai") in open_clip.list_pretrained() for name in names)


def name_of(config: Settings, tensors: Mapping[str, Tensor]) -> str | None:
    """open_clip's name of the architecture that has these shapes and this activation, if there is one."""
    wanted, names = bool(config.get("quick_gelu")), matching(shape_of(tensors))
    names.sort(key=lambda name: named_config(name) != config)  # shapes do not tell all of timm's trunks apart
    return next((name for name in names if bool(named_config(name).get("quick_gelu")) == wanted), None)


def _mlp_ratio(tensors: Mapping[str, Tensor], prefix: str, width: int) -> float:
    hidden = tensors[f"{prefix}transformer.resblocks.0.mlp.c_fc.weight"].shape[0]
    return hidden / width if int(width * (hidden / width)) == hidden else (hidden + 0.5) / width


def _count(pattern: str, keys: Iterable[str]) -> int:
    return len({match[1] for key in keys if (match := re.match(pattern, key))})


def same_weights(tensors: Mapping[str, Tensor]) -> list[str]:
    """open_clip's architectures that have exactly these weights; the likely ones are built, without any memory."""
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
    """What to do about weights that do not fit; ``used`` is the architecture that was tried."""
    if names := [name for name in same_weights(tensors) if name != used][:2]:
        return f"These are the weights of {' or '.join(map(repr, names))}: give it as architecture=..."
    shape = shape_of(tensors)
    name, differ = closest(shape)[0]
    if differ > len(shape) // 2 or (used and name.removesuffix(TWIN) == used.removesuffix(TWIN)):
        return "Save the whole model's state_dict()."
    return f"The closest architecture is {name!r} (see architecture=...). Save the whole model's state_dict()."
