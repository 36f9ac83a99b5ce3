"""What the files of GroundingDINO and SAM 2 may say: plain numbers and words in range, never code or other places."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ravl_explore.errors import ModelError
from ravl_explore.models.text.file_tokenizer import cleaned, read_files
from ravl_explore.support.tensor_files import is_file, read_json

if TYPE_CHECKING:
    import torch

PARTS = (  # model types of the networks and of what they are made of
    *("grounding-dino", "mm-grounding-dino", "swin", "bert", "sam2", "sam2_video", "sam2_vision_model"),
    *("sam2_hiera_det_model", "sam2_prompt_encoder", "sam2_mask_decoder"),
    *("sam2_video_prompt_encoder", "sam2_video_mask_decoder"),
)
LEFT_OUT = (  # names of code, files, repositories and kernels; and what only matters for training
    *("auto_map", "custom_pipelines", "_name_or_path", "name_or_path", "_commit_hash", "attn_implementation"),
    *("_attn_implementation", "_attn_implementation_internal", "experts_implementation", "quantization_config"),
    *("backbone", "backbone_kwargs", "use_timm_backbone", "use_pretrained_backbone", "id2label", "label2id"),
    *("torch_dtype", "dtype", "transformers_version", "architectures", "base_model_name_or_path"),
)
WORD = re.compile(r"[\w.-]{0,64}", re.ASCII)
MOST: tuple[tuple[str, int], ...] = (  # a part of a setting's name, and the largest number that it may have
    (r"vocab", 2_000_000),
    (r"layers|depth|blocks|levels|stages|heads|points|outputs", 512),
    (r"image_size|feat|edge|height|width|window|patch", 8192),
    (r"size|dim|channels", 65_536),
    (r"", 2_000_000),
)
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
SLACK = 1_000_000  # numbers that a network may lack without being taken for another


def network_config(folder: Path) -> dict[str, object]:
    """``config.json`` without what is not a number or a word of a network's structure.

    Parameters
    ----------
    folder : Path
        Of the network.

    Raises
    ------
    ModelError
        For a number out of range, or a part of a kind that these networks do not have.
    """
    if is_file(folder / "adapter_config.json"):
        raise ModelError("a whole model", f"an adapter in {str(folder)!r}", "Merge it into its model, and save that.")
    return _settings(read_json(folder / "config.json"), str(folder / "config.json"))


def check_size(model: torch.nn.Module, folder: Path) -> None:
    """Refuse settings that ask for far more numbers than ``model.safetensors`` holds.

    Parameters
    ----------
    model : torch.nn.Module
        Made by the settings, on the device "meta", where it takes no memory.
    folder : Path
        Of the network.
    """
    held = sum(math.prod(shape) for shape in _shapes(folder / "model.safetensors"))
    wanted = sum(each.numel() for each in model.parameters())
    if wanted > SLACK + 1.5 * held:
        raise ModelError(
            f"settings of a model of {held:,} numbers, as many as there are weights",
            f"settings of one of {wanted:,} in {str(folder)!r}",
            "Download config.json again.",
        )


def processor_files(folder: Path, into: Path) -> Path:
    """A copy of the settings of images and words, of what is known alone; returns ``into``.

    Parameters
    ----------
    folder : Path
        Of the network.
    into : Path
        An empty folder.
    """
    for name in PROCESSORS:
        if is_file(folder / name):
            content = _settings(read_json(folder / name), str(folder / name))
            (into / name).write_text(json.dumps(content), encoding="utf-8")
    for name, content in cleaned(read_files(folder)).items():
        (into / name).write_bytes(content)
    kind = read_json(folder / "config.json").get("model_type")
    (into / "config.json").write_text(json.dumps({"model_type": kind}), encoding="utf-8")
    return into


def _shapes(path: Path) -> list[list[int]]:
    """Shapes in a safetensors file's header; the library that reads the weights checks them against its length."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError("cut short")
            header = json.loads(file.read(length))
        return [each["shape"] for name, each in header.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise ModelError(
            "weights that fit their config.json", f"{str(path)!r} ({error})", "Download it again."
        ) from error


def _settings(content: Mapping[str, object], origin: str, depth: int = 8) -> dict[str, object]:
    """What is plain among settings by name; ModelError for what is out of range."""
    kept = {str(name): value for name, value in content.items() if name not in LEFT_OUT}
    return {name: _plain(value, name, origin, depth - 1) for name, value in kept.items()}


def _plain(value: object, key: str, origin: str, depth: int) -> object:
    if isinstance(value, Mapping) and depth:
        return _settings(value, origin, depth)
    if isinstance(value, list) and len(value) <= 512 and depth:
        return [_plain(each, key, origin, depth - 1) for each in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        most = next(most for part, most in MOST if re.search(part, key))
        good = math.isfinite(value) and abs(value) <= most
    else:
        good = isinstance(value, str) and bool(WORD.fullmatch(value)) and (key != "model_type" or value in PARTS)
    if good:
        return value
    raise ModelError(
        "plain settings of GroundingDINO or SAM 2", f"{key} = {repr(value)[:60]} in {origin!r}", "Download it again."
    )
