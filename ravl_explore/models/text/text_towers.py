"""Text towers of the transformers library inside CLIP models, whose configuration is a file of its own."""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from functools import cache

from ravl_explore.errors import MissingDependencyError
from ravl_explore.models.checkpoints.building import all_configs
from ravl_explore.models.checkpoints.settings import Config, Settings, checked_text_tower
from ravl_explore.models.downloads import find
from ravl_explore.support.tensor_files import read_json

BIOMED_BERT = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"  # BiomedCLIP's, which open_clip does not list


@cache
def known_repositories() -> frozenset[str]:
    """Repositories that open_clip's own configurations name for text towers and tokenizers, and BiomedCLIP's."""
    texts = [config["text_cfg"] for config in all_configs().values()]
    named = {text.get(key) for text in texts for key in ("hf_model_name", "hf_tokenizer_name")}
    return frozenset({BIOMED_BERT, *(name for name in named if name)})


def with_text_config(config: Settings, trusted: Collection[str]) -> Config:
    """The configuration with the structure of a text tower of transformers inside, as ``text_cfg.hf_config``.

    Parameters
    ----------
    config : Settings
        open_clip's; its ``hf_model_name`` names the repository with the tower's ``config.json``.
    trusted : Collection[str]
        Repositories that may be downloaded from.

    Raises
    ------
    ModelError, MissingDependencyError
        When the file cannot be had or asks for what is not allowed, or transformers is not installed.
    """
    config = deepcopy(dict(config))
    text = config["text_cfg"]
    if not text.get("hf_model_name"):
        return config
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "transformers, for this model's text tower", "no such package", "pip install 'ravl-explore[hf]'"
        ) from error
    if "hf_config" not in text:
        path = find(text["hf_model_name"], ("config.json",), fetch=text["hf_model_name"] in trusted)
        text["hf_config"] = checked_text_tower(read_json(path), str(path))
    return config
