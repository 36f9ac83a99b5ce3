"""Snapshots: the folders that the Hugging Face hub hands out, weights beside their JSON settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.foreign import refuse_foreign_folder
from ravl_explore.models.checkpoints.pixels import PROCESSORS, Pixels, read_pixels
from ravl_explore.models.checkpoints.settings import Config
from ravl_explore.models.checkpoints.weights import shard_names
from ravl_explore.models.downloads import find, locate, tokenizer_folder
from ravl_explore.support.tensor_files import is_file, read_json

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
    weights : Path
        The file.
    config : Config | None
        open_clip's configuration, if there is one.
    settings : Config
        transformers' ``config.json``, or empty.
    pixels : Pixels
        What the settings of either library say of how pixels are prepared.
    """

    weights: Path
    config: Config | None = None
    settings: Config = field(default_factory=dict)
    pixels: Pixels = field(default_factory=Pixels)


def open_snapshot(path: Path) -> Snapshot:
    """A folder, or one file with the settings beside it.

    Parameters
    ----------
    path : Path
        The folder or the weight file.

    Raises
    ------
    ModelError
        When there is no weight file, or a settings file cannot be read.
    """
    if _is_folder(path):
        weights = next((path / name for name in WEIGHT_FILES if is_file(path / name)), None)
        if weights is None:
            refuse_foreign_folder(path, _names_in(path))
            raise ModelError(
                f"a folder with {', '.join(WEIGHT_FILES)}", f"{str(path)!r}, no such file in it", "Check the path."
            )
    else:
        weights = path
    if weights.name not in WEIGHT_FILES:
        return Snapshot(weights)
    whole, settings = read_json(weights.parent / SETTINGS[0]), read_json(weights.parent / SETTINGS[1])
    if "model_cfg" in whole and not isinstance(whole["model_cfg"], dict):
        raise ModelError(
            "a model_cfg of settings by name", f"{type(whole['model_cfg']).__name__} in {SETTINGS[0]}", "Copy it again."
        )
    return Snapshot(weights, whole.get("model_cfg") or None, settings, read_pixels(weights.parent))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise _closed(path, error) from error


def _names_in(folder: Path) -> list[str]:
    try:
        return [each.name for each in folder.iterdir()]
    except OSError as error:
        raise _closed(folder, error) from error


def _closed(path: Path, error: OSError) -> ModelError:
    return ModelError(
        "a file or folder that may be read", f"{str(path)!r} ({error.strerror or error})", "Check its permissions."
    )


def fetch_snapshot(repository: str) -> Path:
    """The weight file of a hub repository, with its settings and tokenizer beside it, downloaded where necessary.

    Parameters
    ----------
    repository : str
        ORGANISATION/NAME on the Hugging Face hub.

    Raises
    ------
    ModelError
        When a file can neither be found nor downloaded; it is named.
    """
    settings = find(repository, SETTINGS, "a copy of the whole repository with models.Checkpoint(folder)")
    names = WEIGHT_FILES if settings.name == "open_clip_config.json" else WEIGHT_FILES[2:]
    weights = find(repository, names)
    if weights.name.endswith(".index.json"):
        for name in shard_names(weights):
            find(repository, (name,))
    if settings.name == "config.json":
        for name in PROCESSORS:
            if locate(repository, name) is None:
                try_to_find(repository, name)
        if read_json(settings).get("model_type") != "clip":
            tokenizer_folder(repository)
    return weights


def try_to_find(repository: str, name: str) -> None:
    """Download a file that a repository may have.

    Parameters
    ----------
    repository : str
        ORGANISATION/NAME on the Hugging Face hub.
    name : str
        The file's name.
    """
    try:
        find(repository, (name,))
    except ModelError:
        return
