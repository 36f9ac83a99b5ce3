"""Text towers of the transformers library inside CLIP models, whose configuration is a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from ravl_explore.errors import MissingDependencyError
from ravl_explore.models.downloads import find


def with_local_text(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with ``hf_model_name`` replaced by a folder on this machine that holds its ``config.json``.

    Raises
    ------
    ModelError, MissingDependencyError
        When the file cannot be had, or transformers is not installed.
    """
    config = deepcopy(dict(config))
    name = config["text_cfg"].get("hf_model_name")
    if name is None:
        return config
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "transformers, for this model's text tower", "no such package", "pip install 'ravl-explore[hf]'"
        ) from error
    config["text_cfg"]["hf_model_name"] = str(find(name, ("config.json",)).parent)
    return config
