"""Tokenizers of CLIP models: open_clip's own byte pairs, or a Hugging Face tokenizer from files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from torch import Tensor

from ravl_explore.errors import MissingDependencyError, ModelError
from ravl_explore.models.demo import demo_config, demo_tokenizer
from ravl_explore.models.downloads import VOCABULARIES, tokenizer_folder
from ravl_explore.models.weights import first_line

CLIP_VOCABULARY = 49408
CONTEXT_LENGTH = 77

Tokenizer = Callable[..., Tensor]


def tokenizer_of(text_config: Mapping[str, Any], folder: Path | None = None, origin: str = "") -> Tokenizer:
    """The tokenizer that a text tower was trained with.

    Files beside the checkpoint come first, then the repository that the configuration names; CLIP's own vocabulary
    needs no file.

    Parameters
    ----------
    text_config : open_clip's ``text_cfg``
    folder : where the checkpoint is
    origin : the checkpoint, for messages

    Raises
    ------
    ModelError, MissingDependencyError
        When the files are nowhere, or transformers is needed to read them and is not installed.
    """
    context = int(text_config.get("context_length", CONTEXT_LENGTH))
    vocabulary = int(text_config.get("vocab_size", CLIP_VOCABULARY))
    repository = text_config.get("hf_tokenizer_name")
    options = dict(text_config.get("tokenizer_kwargs") or {})
    if not repository and "hf_model_name" not in text_config:
        if vocabulary == demo_config()["text_cfg"]["vocab_size"]:
            return demo_tokenizer()
        if vocabulary == CLIP_VOCABULARY:
            return _byte_pairs(context) if not options else SimpleTokenizer(context_length=context, **options)
    if folder is not None and any((folder / name).is_file() for name in VOCABULARIES):
        return _from_files(folder, context, text_config.get("tokenizer_mode"), options)
    if repository:
        return _from_files(tokenizer_folder(repository), context, text_config.get("tokenizer_mode"), options)
    raise ModelError(
        f"CLIP's vocabulary of {CLIP_VOCABULARY} tokens, or a tokenizer beside the checkpoint",
        f"{vocabulary} tokens in {origin!r}",
        f"Put the model's {' or '.join(VOCABULARIES[:2])} and tokenizer_config.json into the checkpoint's folder.",
    )


@cache
def _byte_pairs(context: int) -> SimpleTokenizer:
    """CLIP's own tokenizer; reading its table takes a moment."""
    return SimpleTokenizer(context_length=context)


def _from_files(folder: Path, context: int, mode: str | None, options: dict[str, Any]) -> HFTokenizer:
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "transformers, to read this model's tokenizer", "no such package", "pip install 'ravl-explore[hf]'"
        ) from error
    try:
        return HFTokenizer(str(folder), context_length=context, tokenizer_mode=mode, **options)
    except Exception as error:  # transformers answers broken files in many ways
        raise ModelError(
            "a tokenizer that transformers can read",
            f"the files in {str(folder)!r} ({type(error).__name__}: {first_line(error)})",
            f"Put all of the model's tokenizer files there: one of {', '.join(VOCABULARIES)}, and "
            "tokenizer_config.json.",
        ) from error
