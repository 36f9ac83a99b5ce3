"""Snapshots: the folders that the Hugging Face hub hands out, weights beside their JSON settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ravl_explore.errors import ModelError
from ravl_explore.models.downloads import find, locate, tokenizer_folder
from ravl_explore.models.weights import first_line

WEIGHT_FILES = (  # in order of preference
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
)
SETTINGS = ("open_clip_config.json", "config.json")


@dataclass(frozen=True)
class Snapshot:
    """A weight file and what lies beside it.

    Attributes
    ----------
    weights : the file
    config : open_clip's configuration, if there is one
    settings : transformers' ``config.json``, or empty
    preprocess : ``mean`` and ``std`` of the pixels, where they are told
    """

    weights: Path
    config: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    preprocess: dict[str, Any] = field(default_factory=dict)


def open_snapshot(path: Path) -> Snapshot:
    """A folder, or one file with the settings beside it.

    Raises
    ------
    ModelError
        When there is no weight file, or a settings file cannot be read.
    """
    if path.is_dir():
        weights = next((path / name for name in WEIGHT_FILES if (path / name).is_file()), None)
        if weights is None:
            raise ModelError(
                f"a folder with {', '.join(WEIGHT_FILES)}", f"{str(path)!r}, no such file in it", "Check the path."
            )
    else:
        weights = path
    beside = weights.name in WEIGHT_FILES
    whole = _read(weights.parent / "open_clip_config.json") if beside else {}
    settings = _read(weights.parent / "config.json") if beside else {}
    pixels = _read(weights.parent / "preprocessor_config.json") if beside else {}
    preprocess = {key: pixels.get(f"image_{key}") for key in ("mean", "std")} | dict(whole.get("preprocess_cfg") or {})
    config = whole.get("model_cfg") or None
    return Snapshot(weights, config, settings, {key: value for key, value in preprocess.items() if value})


def fetch_snapshot(repository: str) -> Path:
    """The weight file of a hub repository, with its settings and tokenizer beside it, downloaded where necessary.

    Raises
    ------
    ModelError
        When a file can neither be found nor downloaded; it is named.
    """
    settings = find(repository, SETTINGS, "a copy of the whole repository with models.Checkpoint(folder)")
    names = WEIGHT_FILES if settings.name == "open_clip_config.json" else WEIGHT_FILES[2:]
    weights = find(repository, names)
    if weights.name.endswith(".index.json"):
        for name in sorted(set(_read(weights).get("weight_map", {}).values())):
            find(repository, (name,))
    if settings.name == "config.json":
        if locate(repository, "preprocessor_config.json") is None:
            try_to_find(repository, "preprocessor_config.json")
        if _read(settings).get("model_type") != "clip":
            tokenizer_folder(repository)
    return weights


def try_to_find(repository: str, name: str) -> None:
    """Download a file that a repository may have."""
    try:
        find(repository, (name,))
    except ModelError:
        return


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            "a JSON file of settings", f"{str(path)!r} ({first_line(error)})", "Download it again."
        ) from error
    if not isinstance(content, Mapping):
        raise ModelError("settings by name", f"{type(content).__name__} in {str(path)!r}", "Download it again.")
    return dict(content)
