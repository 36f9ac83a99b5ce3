"""Filling models with weights: all of the model's, no others, and each of its shape."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.architectures import OPTIONAL, as_text_tower, suggestion
from ravl_explore.models.checkpoints.building import build
from ravl_explore.models.checkpoints.settings import Settings
from ravl_explore.models.checkpoints.weights import size, some


def build_filled(
    config: Settings, tensors: Mapping[str, Tensor], origin: str, architecture: str | None = None
) -> nn.Module:
    """An open_clip model of a configuration with these weights of any precision, all of them and no others.

    The configuration is held against the weights before any memory is taken.

    Parameters
    ----------
    config : Settings
        open_clip's configuration.
    tensors : Mapping[str, Tensor]
        Weights in open_clip's names, of any precision.
    origin : str
        The checkpoint, for messages.
    architecture : str, optional
        The configuration's name, if it has one.

    Raises
    ------
    ModelError
        Lists the missing and the unexpected names, or the shapes that differ, and suggests the architecture whose
        shapes are closest. For weights that are no finite numbers.
    """
    with torch.device("meta"):
        plan = build(config)
    loaded = fitting(plan, tensors, origin, architecture)
    clip = build(config)
    clip.load_state_dict(loaded, False)
    return clip


def fitting(
    clip: nn.Module, tensors: Mapping[str, Tensor], origin: str, architecture: str | None = None
) -> dict[str, Tensor]:
    """The weights as the model takes them; ModelError as :func:`build_filled`.

    Parameters
    ----------
    clip : nn.Module
        The model, of which only names and shapes are read.
    tensors : Mapping[str, Tensor]
        Weights by name.
    origin : str
        The checkpoint, for messages.
    architecture : str, optional
        open_clip's name of the configuration, if it has one.
    """
    tensors = as_text_tower(dict(tensors), has_text=hasattr(clip, "text"))
    own = clip.state_dict()
    missing = {key for key in own.keys() - tensors.keys() if not key.endswith(OPTIONAL)}
    unexpected = {key for key in tensors.keys() - own.keys() if not key.endswith(OPTIONAL)}
    if missing or unexpected:
        raise ModelError(
            "all weights of the model, and no others",
            f"{origin!r}: missing {some(missing)}; unexpected {some(unexpected)}",
            suggestion(tensors, architecture),
        )
    loaded = {
        key: value.reshape(own[key].shape) if _is_scale(key, value) and key in own else value
        for key, value in tensors.items()
    }
    bent = {f"{k} ({size(v)} for {size(own[k])})" for k, v in loaded.items() if k in own and v.shape != own[k].shape}
    if bent:
        raise ModelError("weights whose shapes fit", f"{origin!r}: {some(bent)}", suggestion(tensors, architecture))
    broken = {k for k, v in loaded.items() if k in own and own[k].is_floating_point() and not _is_finite(v)}
    if broken:
        raise ModelError(
            "weights that are finite numbers",
            f"{origin!r}: {some(broken)} of whole, complex, infinite or no numbers",
            "Take an earlier checkpoint, from before training diverged.",
        )
    return {k: v.float() if v.is_floating_point() else v for k, v in loaded.items() if k in own}


def _is_finite(value: Tensor) -> bool:
    return value.is_floating_point() and (value.is_meta or bool(value.float().isfinite().all()))


def _is_scale(key: str, value: Tensor) -> bool:
    return key in ("logit_scale", "logit_bias") and value.numel() == 1
