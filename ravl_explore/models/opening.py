"""open_model(): a model from one line of text, as the command line takes it."""

from __future__ import annotations

from pathlib import Path

from ravl_explore.errors import ModelError
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
    ``pubmedclip:RN50``, ``pubmedclip:ViT32``, ``pubmedclip:RN50x4``; ``biomedclip``.

    Raises
    ------
    ModelError
        When the text is none of these, and whatever the loader raises.

    Examples
    --------
    >>> open_model("demo:clean").name
    'Demo: clean'
    """
    text = text.strip()
    kind, _, rest = text.partition(":")
    if kind.lower() == "demo":
        return Demo(rest or "spurious", device)
    if text.startswith(PREFIX):
        return HuggingFace(text, device)
    if kind.lower() == "pubmedclip":
        return PubMedCLIP(rest or "RN50", device)
    if text.lower() == "biomedclip":
        return BiomedCLIP(device)
    path = Path(text).expanduser()
    if text and (path.exists() or path.suffix in SUFFIXES or text.startswith((".", "/", "~"))):
        return Checkpoint(path, device)
    if "/" in text:
        return OpenClip(text, device=device)
    raise ModelError(
        "demo:spurious, NAME/TAG of open_clip, hf-hub:ORG/NAME, pubmedclip:RN50, biomedclip, or a checkpoint's path",
        repr(text),
        "Check its spelling.",
    )
