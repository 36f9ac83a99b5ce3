"""Building open_clip's models from their configurations, by name or as they are; nothing is downloaded or run."""

from __future__ import annotations

import json
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import open_clip
from torch import nn

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.settings import Config, Settings, checked_config
from ravl_explore.models.clip_model import Clip
from ravl_explore.models.demo import ARCHITECTURE, VIT_ARCHITECTURE, demo_config
from ravl_explore.support.tensor_files import first_line

BROKEN = (*(ArithmeticError, AssertionError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError),)
DEMOS = (ARCHITECTURE, VIT_ARCHITECTURE)


def named_config(name: str) -> Config:
    """open_clip's configuration, or a demo's; ModelError with the closest names when there is none.

    Parameters
    ----------
    name : str
        open_clip's name of an architecture, or a demo's.
    """
    if name in DEMOS:
        return demo_config(name)
    config = open_clip.get_model_config(name.replace("/", "-")) if ":" not in name else None
    if config is None:
        close = get_close_matches(name, open_clip.list_models(), 3, 0.4)
        raise ModelError(
            "an architecture of open_clip", repr(name), f"Did you mean {' or '.join(close) or 'ViT-B-32'}?"
        )
    return config


@cache
def all_configs() -> dict[str, Config]:
    """Every configuration by name."""
    return {name: named_config(name) for name in (*DEMOS, *open_clip.list_models())}


def build(config: Settings) -> nn.Module:
    """An open_clip model of this configuration with random weights; nothing is downloaded for its towers.

    Parameters
    ----------
    config : Settings
        open_clip's configuration; it stays as it is.

    Raises
    ------
    ModelError
        For settings that are not known or out of range, or that no model has together.
    """
    config = checked_config(config, "the model's configuration")
    trunk = config["vision_cfg"].pop("timm_vit", None)
    text = config["text_cfg"]
    custom = config.pop("custom_text", False) or bool(text.get("hf_model_name"))
    text_tower = text.pop("hf_config", None)
    if text.get("hf_model_name"):
        if text_tower is None:
            raise ModelError("the settings of the text tower", "its name alone", "Open it with models.Checkpoint.")
        text["hf_model_pretrained"] = False
    image_size = config["vision_cfg"].get("image_size", 224)
    if trunk is not None:  # the text tower first, beside the smallest image tower there is
        config["vision_cfg"] = {"layers": 1, "width": 64, "image_size": 16}
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    if custom and "multimodal_cfg" in config:
        kind = open_clip.CoCa
    try:
        with TemporaryDirectory() as folder:
            if text_tower is not None:
                Path(folder, "config.json").write_text(json.dumps(text_tower), encoding="utf-8")
                config["text_cfg"] = text | {"hf_model_name": folder}
            clip: Clip = kind(**config)
        for module in clip.modules():  # of transformers: the folder is gone, and is nothing of the model's
            if hasattr(module, "name_or_path"):
                module.name_or_path = module.config.name_or_path = text.get("hf_model_name", "")
        if trunk is not None:
            clip.visual = _timm_tower(image_size, trunk)
    except BROKEN as error:
        raise ModelError(
            "a configuration that open_clip can build",
            first_line(error),
            "Check it, or update open_clip_torch and timm.",
        ) from error
    return clip


def _timm_tower(image_size: int, trunk: Config) -> nn.Module:
    """open_clip's TimmModel around a timm VisionTransformer that has no name of its own."""
    from open_clip.timm_model import TimmModel
    from timm.models.vision_transformer import VisionTransformer

    trunk = dict(trunk)
    eps = trunk.pop("norm_eps", None)
    if eps is not None:
        trunk["norm_layer"] = partial(nn.LayerNorm, eps=eps)
    tower = TimmModel.__new__(TimmModel)
    nn.Module.__init__(tower)
    tower.image_size = (image_size, image_size)
    tower.trunk = VisionTransformer(img_size=image_size, num_classes=0, **trunk)
    tower.head = nn.Sequential()
    return tower
