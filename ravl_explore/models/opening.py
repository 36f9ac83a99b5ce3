"""open_model(): a model from one line of text, as the command line takes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from ravl_explore.errors import ModelError
from ravl_explore.files import user_path
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.models.checkpoint import Checkpoint
from ravl_explore.models.demo import Demo
from ravl_explore.models.hub import PREFIX, HuggingFace
from ravl_explore.models.medical import BiomedCLIP, PubMedCLIP
from ravl_explore.models.pretrained import OpenClip

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def open_model(text: str, device: str | None = None) -> VisionLanguageModel:
    """The model that a text names.

    ``demo:spurious``, ``demo:clean``; a checkpoint file or folder; ``NAME/TAG`` of open_clip; ``hf-hub:ORG/NAME``;
    ``pubmedclip:RN50``, ``pubmedclip:ViT32``, ``pubmedclip:RN50x4``; ``biomedclip``. Options follow a question mark, as
    in ``clip.pt?architecture=ViT-B-32&quick_gelu=false`` or ``ViT-B-32/laion2b_s34b_b79k?region_method=tokens``; they
    are the arguments of the loader's class.

    Raises
    ------
    ModelError
        When the text is none of these, for an option that the loader does not have, and whatever the loader raises.

    Examples
    --------
    >>> open_model("demo:clean").name
    'Demo: clean'
    >>> open_model("demo:vit-clean?region_method=tokens").region_method
    'tokens'
    """
    text, options = text.strip(), {}
    if "?" in text and not user_path(text).exists():
        text, _, query = text.rpartition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
    make, arguments = _loader(text)
    known = [name for name in inspect.signature(make).parameters if name != "device"][len(arguments) :]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ModelError(
            f"options among {', '.join(known)} for {text!r}",
            ", ".join(map(repr, unknown)),
            "Write them as ?name=value&name=value.",
        )
    return make(*arguments, device=device, **options)


def _loader(text: str) -> tuple[Callable[..., VisionLanguageModel], tuple[Any, ...]]:
    """The loader's class, and its first argument if it takes one."""
    kind, _, rest = text.partition(":")
    if kind.lower() == "demo":
        return Demo, (rest or "spurious",)
    if text.startswith(PREFIX):
        return HuggingFace, (text,)
    if kind.lower() == "pubmedclip":
        return PubMedCLIP, (rest or "RN50",)
    if text.lower() == "biomedclip":
        return BiomedCLIP, ()
    path = user_path(text)
    if text and (path.exists() or path.suffix in SUFFIXES or text.startswith((".", "/", "~"))):
        return Checkpoint, (path,)
    if "/" in text:
        return OpenClip, (text,)
    raise ModelError(
        "demo:spurious, NAME/TAG of open_clip, hf-hub:ORG/NAME, pubmedclip:RN50, biomedclip, or a checkpoint's path",
        repr(text),
        "Check its spelling.",
    )
