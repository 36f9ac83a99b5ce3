"""What the shapes of weights tell of a model, and which architectures have the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import isqrt

from torch import Tensor

from ravl_explore.models.checkpoints.building import all_configs
from ravl_explore.models.checkpoints.settings import Config, Settings

Shape = Config
"""What shapes tell of a model, by a name of ours: a number, a tower's kind, or the layers of a ResNet."""


def shape_of(tensors: Mapping[str, Tensor]) -> Shape:
    """What the shapes of weights in open_clip's names tell; a key that they do not tell is absent.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights in open_clip's names.
    """
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
    """open_clip's architectures with how many known sizes differ, the closest first.

    Parameters
    ----------
    shape : Shape
        What :func:`shape_of` told.
    """
    found = []
    for name, config in all_configs().items():
        other = _config_shape(config, shape.get("patch"))
        keys = shape.keys() - ({"image_size"} if "grid" in shape else set())
        differ = sum(shape[key] != other.get(key) for key in keys) + 2 * (shape.get("tower") != other["tower"])
        foreign_text = ("hf_model_name" in config["text_cfg"]) != ("text_width" not in shape)
        found.append((name, differ + 2 * foreign_text))
    return sorted(found, key=lambda each: (each[1], len(each[0]), each[0]))


def matching(shape: Shape) -> list[str]:
    """open_clip's architectures of exactly these shapes, plain names first.

    Parameters
    ----------
    shape : Shape
        What :func:`shape_of` told.
    """
    return [name for name, differ in closest(shape) if differ == 0]


def _count(pattern: str, keys: Iterable[str]) -> int:
    return len({match[1] for key in keys if (match := re.match(pattern, key))})
