"""What a file may say of a model: the settings that are known, their kinds and ranges. All else is refused.

A configuration comes from ``open_clip_config.json``, from the header of a .safetensors file, or is made of
transformers' ``config.json``. Libraries that are told what a file says would also fetch repositories, read other paths
and run code, so only what describes the model's structure goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.setting_rules import HF_TEXT, MODEL, OF_TRAINING, Rules

Config = dict[str, Any]
"""Nested settings as JSON holds them: open_clip's of a model, or a part of them."""

Settings = Mapping[str, Any]
"""As :data:`Config`, to be read alone: of open_clip or of transformers."""


MOST_POSITIONS = 2**23  # numbers; the largest published ViT, of 48 x 48 patches of 1664, has half of them


def checked_config(config: Settings, origin: str) -> Config:
    """open_clip's configuration, of known settings alone, each of a possible value; those of training are left out.

    Parameters
    ----------
    config : Settings
        What a file says.
    origin : str
        Where it is from, for messages.

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

    Parameters
    ----------
    config : Settings
        transformers' ``config.json``.
    origin : str
        Where it is from, for messages.

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
