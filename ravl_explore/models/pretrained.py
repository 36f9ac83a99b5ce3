"""OpenClip: every pretrained model that open_clip lists, by name and tag."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar

import open_clip
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

from ravl_explore.errors import ModelError
from ravl_explore.models.base import pick_device
from ravl_explore.models.checkpoints.building import named_config
from ravl_explore.models.checkpoints.filling import build_filled
from ravl_explore.models.checkpoints.settings import Config
from ravl_explore.models.checkpoints.weights import read_weights
from ravl_explore.models.clip_model import ClipModel
from ravl_explore.models.downloads import find
from ravl_explore.models.region_encoders import REGION_FIELD
from ravl_explore.models.text.text_towers import known_repositories, with_text_config
from ravl_explore.models.text.tokenizers import tokenizer_of
from ravl_explore.support import checks
from ravl_explore.support.fields import Field

COMMON = (  # those of the paper's SUN397 experiment, and what most people use
    "ViT-B-32-quickgelu / openai",
    "ViT-B-32 / laion2b_s34b_b79k",
    "ViT-B-16-quickgelu / openai",
    "ViT-B-16 / laion2b_s34b_b88k",
    "ViT-L-14-quickgelu / openai",
    "ViT-L-14 / laion2b_s32b_b82k",
    "RN50-quickgelu / openai",
    "RN50-quickgelu / yfcc15m",
    "RN101-quickgelu / openai",
    "RN101-quickgelu / yfcc15m",
    "ViT-B-16-SigLIP / webli",
    "ViT-B-16-SigLIP2 / webli",
)
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
SEPARATOR = " / "


def pretrained_names(answers: Mapping[str, object] | None = None) -> list[str]:
    """Every "NAME / TAG" of open_clip, the common ones first.

    Parameters
    ----------
    answers : Mapping[str, object], optional
        What a form knows so far; it changes nothing here.
    """
    names = [SEPARATOR.join(pair) for pair in open_clip.list_pretrained()]
    common = [name for name in COMMON if name in names]
    return [*common, *(name for name in names if name not in common)]


class OpenClip(ClipModel):
    """A pretrained model of open_clip, from this machine or downloaded from the Hugging Face hub.

    Whether it uses QuickGELU follows from the weights, not from the name: ``ViT-B-32 / openai`` opens as
    ``ViT-B-32-quickgelu``, since these weights were trained so (open_clip itself only warns).

    Parameters
    ----------
    name : str
        "NAME / TAG" or "NAME/TAG", as open_clip lists them; or the name alone.
    pretrained : str, optional
        The tag, where it is not in the name.
    device : str, optional
        ``"cpu"`` unless given.
    region_method : str, optional
        How regions are embedded, see :mod:`ravl_explore.models.region_encoders`.

    Raises
    ------
    ModelError
        For an unknown name or tag, and when the weights are neither on this machine nor can be downloaded; it says
        which file is missing and where to put it.
    """

    form_label: ClassVar[str] = "OpenCLIP model by name"
    form: ClassVar[tuple[Field, ...]] = (
        Field("name", "Model / weights", "search", help="e.g. ViT-B-32 / laion2b_s34b_b79k", choices=pretrained_names),
        REGION_FIELD,
    )

    def __init__(
        self, name: str, pretrained: str | None = None, device: str | None = None, region_method: str | None = None
    ) -> None:
        architecture, tag, config, source = resolve(name, pretrained)
        repository, _, file = source["hf_hub"].rpartition("/")
        names = (str(Path(file).with_suffix(".safetensors")), file) if file else WEIGHTS
        path = find(repository, names, "open the file where it is with models.Checkpoint(path, architecture=...)")
        config = with_text_config(config, known_repositories())
        clip = build_filled(config, read_weights(path).tensors, str(path), architecture)
        super().__init__(
            clip.to(pick_device(device)),
            tokenizer_of(config["text_cfg"], path.parent, str(path), trusted=known_repositories()),
            f"{architecture}{SEPARATOR}{tag}",
            region_method,
            architecture=architecture,
            config=config,
            mean=source["mean"],
            std=source["std"],
        )


def resolve(name: str, pretrained: str | None = None) -> tuple[str, str, Config, Config]:
    """(architecture, tag, its configuration, open_clip's note of where the weights are) of a name and tag.

    The architecture is the one with the activation that the weights were trained with.

    Parameters
    ----------
    name : str
        "NAME / TAG" or "NAME/TAG" as open_clip lists them; or the name alone.
    pretrained : str, optional
        The tag, where it is not in the name.
    """
    checks.text("name", name)
    tag = "" if pretrained is None else checks.text("pretrained", pretrained, empty=True).strip()
    if not tag and "/" in name:
        name, _, tag = (part.strip() for part in name.rpartition("/"))
    architecture = name.strip().replace("/", "-")
    tags = list_pretrained_tags_by_model(architecture)
    if not tags:
        known = sorted({model for model, _ in open_clip.list_pretrained()})
        close = get_close_matches(architecture, known, 3, 0.4)
        raise ModelError(
            "a pretrained model of open_clip", repr(architecture), f"Did you mean {' or '.join(close) or known[0]}?"
        )
    source = get_pretrained_cfg(architecture, tag) if tag else {}
    if not source:
        raise ModelError(
            f"one of the tags of {architecture}: {', '.join(tags)}",
            repr(tag) if tag else "none",
            f"Try {architecture}{SEPARATOR}{tags[0]}.",
        )
    config = named_config(architecture)
    if source.get("quick_gelu") and not config.get("quick_gelu"):
        twin = f"{architecture}-quickgelu"
        architecture = twin if twin in open_clip.list_models() else architecture
        config = named_config(architecture) | {"quick_gelu": True}
    return architecture, tag, config, source
