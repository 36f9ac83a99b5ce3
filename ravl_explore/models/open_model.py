"""open_model(): a model from one line of text, as the command line takes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from open_clip.pretrained import list_pretrained, list_pretrained_tags_by_model

from ravl_explore.errors import ModelError
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.models.checkpoints.checkpoint import Checkpoint
from ravl_explore.models.checkpoints.setting_rules import is_repository
from ravl_explore.models.demo import Demo
from ravl_explore.models.hub import PREFIX, HuggingFace, repository_of
from ravl_explore.models.medical import BiomedCLIP, PubMedCLIP
from ravl_explore.models.pretrained import OpenClip
from ravl_explore.support import checks
from ravl_explore.support.files import user_path
from ravl_explore.support.options import FORM, split_options

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def open_model(text: str, device: str | None = None) -> VisionLanguageModel:
    """The model that a text names.

    ``demo:spurious``, ``demo:clean``; a checkpoint file or folder; ``NAME/TAG`` of open_clip; ``hf-hub:ORG/NAME``;
    ``pubmedclip:RN50``, ``pubmedclip:ViT32``, ``pubmedclip:RN50x4``; ``biomedclip``; a model's page on
    ``https://huggingface.co``; an entry of the explorer's menu. Options follow a question mark, as
    in ``clip.pt?architecture=ViT-B-32&quick_gelu=false`` or ``ViT-B-32/laion2b_s34b_b79k?region_method=tokens``; they
    are the arguments of the loader's class.

    Parameters
    ----------
    text : str
        One line, such as ``demo:clean`` or ``clip.pt?architecture=RN50``.
    device : str, optional
        Where it runs, such as ``"cuda"``; the CPU unless given.

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
    text, pairs = split_options(checks.text("the text that names a model", text, empty=True).strip())
    options = dict(pairs)
    make, arguments = _loader(text)
    known = [name for name in inspect.signature(make).parameters if name != "device"][len(arguments) :]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ModelError(
            f"options among {', '.join(known)} for {text!r}",
            ", ".join(map(repr, unknown)),
            f"Write them as {FORM}.",
        )
    return make(*arguments, device=device, **options)


def _loader(text: str) -> tuple[Callable[..., VisionLanguageModel], tuple[object, ...]]:
    """The loader's class, and its first argument if it takes one."""
    for loader in (Demo, PubMedCLIP, BiomedCLIP):
        for label, arguments in loader.menu().items():
            if text.lower() == label.lower():
                return loader, arguments
    kind, _, rest = text.partition(":")
    if kind.lower() == "demo":
        return Demo, (rest or "spurious",)
    if repository_of(text) is not None:
        return HuggingFace, (text,)
    if kind.lower() in ("http", "https"):
        raise ModelError(
            "a model by name, or a checkpoint's path", repr(text), "Download the file, and give its path on this disk."
        )
    if kind.lower() == "pubmedclip":
        return PubMedCLIP, (rest or "RN50",)
    path = user_path(text)
    if text and (_exists(path) or path.suffix in SUFFIXES or text.startswith((".", "/", "~"))):
        return Checkpoint, (path,)
    if "/" in text:
        _refuse_hub_names(text)
        return OpenClip, (text,)
    raise ModelError(
        "demo:spurious, NAME/TAG of open_clip, hf-hub:ORG/NAME, pubmedclip:RN50, biomedclip, or a checkpoint's path",
        repr(text),
        "Check its spelling.",
    )


def _refuse_hub_names(text: str) -> None:
    """Say how a model of the Hugging Face hub is named, where a text is ORGANISATION/NAME and no open_clip's."""
    name, _, tag = (part.strip() for part in text.rpartition("/"))
    tags = {each for _, each in list_pretrained()}
    if list_pretrained_tags_by_model(name.replace("/", "-")) or tag in tags or not is_repository(text):
        return
    close = get_close_matches(name, {model for model, _ in list_pretrained()}, 1, 0.8)
    also = f"; or a tag of {close[0]}, as open_clip lists them" if close else ""
    raise ModelError(
        "a NAME/TAG of open_clip, or a path that is there",
        repr(text),
        f"For the model of that name on the Hugging Face hub write {PREFIX}{text}{also}.",
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a closed folder, a name too long: told by the loader
        return True
