"""Tokenizers of CLIP models: open_clip's own byte pairs, or a Hugging Face tokenizer from files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path

from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from ravl_explore.errors import MissingDependencyError, ModelError
from ravl_explore.models.checkpoints.settings import Settings
from ravl_explore.models.demo import demo_config, demo_tokenizer
from ravl_explore.models.downloads import VOCABULARIES, tokenizer_folder
from ravl_explore.models.text.file_tokenizer import MOST_BYTES, FileTokenizer, read_files, unpack
from ravl_explore.models.text.tokenizer_rules import check_steps
from ravl_explore.support.tensor_files import first_line, is_file, read_json

CLIP_VOCABULARY = 49408
CONTEXT_LENGTH = 77
Tokenizer = Callable[..., Tensor]


def tokenizer_of(
    text_config: Settings,
    folder: Path | None = None,
    origin: str = "",
    packed: str | None = None,
    trusted: Collection[str] = (),
) -> Tokenizer:
    """The tokenizer that a text tower was trained with.

    Files in the checkpoint come first, then those beside it, then the repository that the configuration names; CLIP's
    own vocabulary needs no file.

    Parameters
    ----------
    text_config : Settings
        open_clip's ``text_cfg``.
    folder : Path, optional
        Where the checkpoint is.
    origin : str
        The checkpoint, for messages.
    packed : str, optional
        The tokenizer's files, as :func:`~ravl_explore.models.text.file_tokenizer.pack` wrote them into it.
    trusted : Collection[str]
        Repositories that may be downloaded from.

    Raises
    ------
    ModelError, MissingDependencyError
        When the files are nowhere or broken, or transformers is needed to read them and is not installed.
    """
    context = int(text_config.get("context_length", CONTEXT_LENGTH))
    vocabulary = int(text_config.get("vocab_size", CLIP_VOCABULARY))
    repository = text_config.get("hf_tokenizer_name")
    options = dict(text_config.get("tokenizer_kwargs") or {})
    if packed is None and not repository and not text_config.get("hf_model_name"):
        own: SimpleTokenizer | None = None
        if vocabulary == demo_config()["text_cfg"]["vocab_size"]:
            own = demo_tokenizer()
        elif vocabulary == CLIP_VOCABULARY:
            own = _byte_pairs(context, options.get("clean", "lower"))
        beside = _words_beside(folder, vocabulary)
        if own is not None and (beside is None or _spoken(beside) == _spoken(own.encoder)):
            return own
    if packed is not None:
        where, files = origin, unpack(packed, origin)
    elif folder is not None and any(is_file(folder / name) for name in VOCABULARIES):
        where, files = str(folder), read_files(folder)
    elif repository:
        home = tokenizer_folder(repository, repository in trusted)
        where, files = str(home), read_files(home)
    else:
        raise ModelError(
            f"CLIP's vocabulary of {CLIP_VOCABULARY} tokens, or a tokenizer beside the checkpoint",
            f"{vocabulary} tokens in {origin!r}",
            f"Put the model's {' or '.join(VOCABULARIES[:2])} and tokenizer_config.json into the checkpoint's folder.",
        )
    return _from_files(files, where, context, text_config.get("tokenizer_mode"), options)


def _words_beside(folder: Path | None, vocabulary: int) -> Mapping[str, int] | None:
    """The words of a tokenizer of this many tokens beside the checkpoint; None where there is none."""
    words = None if folder is None else read_json(folder / "vocab.json", MOST_BYTES)
    if folder is not None and not words:
        model = read_json(folder / "tokenizer.json", MOST_BYTES).get("model")
        words = model.get("vocab") if isinstance(model, Mapping) else None
    return words if isinstance(words, Mapping) and len(words) == vocabulary else None


def _spoken(words: Mapping[str, object]) -> dict[str, object]:
    """Words without CLIP's marks of start and end, which each library writes in its own way."""
    return {word: at for word, at in words.items() if not isinstance(at, int) or at < CLIP_VOCABULARY - 2}


@cache
def _byte_pairs(context: int, clean: str) -> SimpleTokenizer:
    """CLIP's own tokenizer; reading its table takes a moment."""
    return SimpleTokenizer(context_length=context, clean=clean)


def _from_files(
    files: Mapping[str, bytes], where: str, context: int, mode: str | None, options: Mapping[str, object]
) -> FileTokenizer:
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "transformers, to read this model's tokenizer", "no such package", "pip install 'ravl-explore[hf]'"
        ) from error
    if "tokenizer.json" in files:
        check_steps(files["tokenizer.json"], where)
    try:
        tokenizer = FileTokenizer(files, context, mode, options)
        tokenizer(["a text with no-such-word"])  # one without a token for unknown words fails only here
        return tokenizer
    except (ModelError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # transformers answers broken files in many ways, tokenizers with Rust's panics
        raise ModelError(
            "a tokenizer that transformers can read",
            f"the files in {where!r} ({type(error).__name__}: {first_line(error)})",
            f"Put all of the model's tokenizer files there: one of {', '.join(VOCABULARIES)}, and "
            "tokenizer_config.json.",
        ) from error
