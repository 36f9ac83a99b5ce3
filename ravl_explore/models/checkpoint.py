"""A CLIP checkpoint from a file, in open_clip's (and OpenAI's) layout; its architecture is read off its shapes."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load_file
from torch import Tensor

from ravl_explore.errors import ModelError
from ravl_explore.models.base import pick_device
from ravl_explore.models.clip_resnet import ClipResNet
from ravl_explore.models.demo import demo_config, demo_tokenizer

HEAD_WIDTH = 64  # of every published CLIP ResNet and text tower
CLIP_VOCABULARY = 49408
WRAPPERS = ("state_dict", "model", "model_state_dict")


class Checkpoint(ClipResNet):
    """A CLIP with a ModifiedResNet image tower from ``.safetensors``, ``.pt`` or ``.pth``.

    Nothing is unpickled: ``.pt`` files are read with ``weights_only=True``, and one that holds code is refused.

    Parameters
    ----------
    path : the file
    device : ``"cpu"`` unless given
    quick_gelu : whether the text tower uses QuickGELU, which no shape tells; unless given, yes as in every published
        CLIP ResNet (OpenAI's and open_clip's), and no for models of the demo's architecture

    Raises
    ------
    ModelError
        When the file is not there, is no checkpoint, holds pickled code, lacks weights, or is of another architecture.
    """

    path_label = "Checkpoint file"
    path_hint = "a .safetensors, .pt or .pth file of a CLIP ResNet"

    def __init__(self, path: str | Path, device: str | None = None, quick_gelu: bool | None = None) -> None:
        path = Path(path).expanduser()
        weights = read_weights(path)
        config = infer_config(weights, str(path))
        clip = open_clip.CLIP(
            embed_dim=config["embed_dim"],
            vision_cfg=open_clip.CLIPVisionCfg(**config["vision_cfg"]),
            text_cfg=open_clip.CLIPTextCfg(**config["text_cfg"]),
            quick_gelu=config["quick_gelu"] if quick_gelu is None else quick_gelu,
        )
        weights = {key: value for key, value in weights.items() if key not in NOT_WEIGHTS}
        wanted, there = set(clip.state_dict()), set(weights)
        optional = {key for key in wanted if key.endswith("num_batches_tracked")}
        if wanted - there - optional or there - wanted:
            raise ModelError(
                "all weights of a CLIP ResNet, and no others",
                f"{str(path)!r}: missing {_some(wanted - there - optional)}; unexpected {_some(there - wanted)}",
                "Save the whole model's state_dict().",
            )
        try:
            clip.load_state_dict(
                {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}, strict=False
            )
        except RuntimeError as error:
            raise ModelError("weights whose shapes fit", f"{str(path)!r}: {error}", "Save the model again.") from error
        tokenizer = _tokenizer(config["text_cfg"]["vocab_size"], config["text_cfg"]["context_length"], str(path))
        super().__init__(clip.to(pick_device(device)), tokenizer, path.stem)


NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # numbers in OpenAI's own files


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name; never runs code from the file."""
    if not path.is_file():
        raise ModelError("a checkpoint file", f"{str(path)!r}, no such file", "Check the path.")
    try:
        if path.suffix == ".safetensors":
            return load_file(str(path))
        with warnings.catch_warnings():  # of the pickle's protocol, just before the error that follows
            warnings.simplefilter("ignore", UserWarning)
            loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        holds_code = zipfile.is_zipfile(path) or "Unsupported" in str(error) or "GLOBAL" in str(error)
        came = "one that holds pickled code" if holds_code else "one that PyTorch cannot read"
        raise ModelError(
            "a checkpoint of plain tensors",
            f"{str(path)!r}, {came}; it was not run",
            "Where you trust it, save its state_dict() as safetensors.",
        ) from error
    except Exception as error:  # torch.load fails in many ways on files that are cut short or none of its own
        raise ModelError(
            "a .safetensors, .pt or .pth checkpoint", f"{str(path)!r} ({_first_line(error)})", "Check or save it again."
        ) from error
    for wrapper in WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ModelError("a dictionary of tensors", f"{type(loaded).__name__} in {str(path)!r}", "Save a state_dict().")
    return {str(key).removeprefix("module."): value for key, value in loaded.items()}


def infer_config(weights: dict[str, Tensor], path: str) -> dict[str, Any]:
    """open_clip's configuration of a CLIP ResNet, read off the shapes of its weights."""
    needed = (
        "visual.attnpool.positional_embedding",
        "visual.layer1.0.conv1.weight",
        "token_embedding.weight",
        "positional_embedding",
        "ln_final.weight",
        "text_projection",
    )
    missing = [key for key in needed if key not in weights]
    if missing:
        kind = (
            "a CLIP with a ViT image tower"
            if "visual.class_embedding" in weights
            else f"keys such as {_some(set(weights))} without {_some(set(missing))}"
        )
        raise ModelError(
            "a CLIP with a ModifiedResNet image tower, in open_clip's key names",
            f"{kind} in {path!r}",
            "Convert it to open_clip's layout; other towers cannot be searched by region yet.",
        )
    blocks = [len({m[1] for k in weights if (m := re.match(rf"visual\.layer{i}\.(\d+)\.", k))}) for i in (1, 2, 3, 4)]
    cells = round((weights["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
    text_width = weights["ln_final.weight"].shape[0]
    heads = max(1, text_width // HEAD_WIDTH)
    demo = demo_config()
    ours = text_width == demo["text_cfg"]["width"]  # narrower than any published CLIP
    if ours:
        heads = demo["text_cfg"]["heads"]
    return {
        "embed_dim": weights["text_projection"].shape[1],
        "quick_gelu": not ours,
        "vision_cfg": {
            "image_size": 32 * cells,
            "layers": blocks,
            "width": weights["visual.layer1.0.conv1.weight"].shape[0],
            "patch_size": None,
            "head_width": HEAD_WIDTH,
        },
        "text_cfg": {
            "context_length": weights["positional_embedding"].shape[0],
            "vocab_size": weights["token_embedding.weight"].shape[0],
            "width": text_width,
            "heads": heads,
            "layers": len({m[1] for k in weights if (m := re.match(r"transformer\.resblocks\.(\d+)\.", k))}),
        },
    }


def _tokenizer(vocabulary: int, context_length: int, path: str) -> SimpleTokenizer:
    if vocabulary == demo_config()["text_cfg"]["vocab_size"]:
        return demo_tokenizer()
    if vocabulary == CLIP_VOCABULARY:
        return SimpleTokenizer(context_length=context_length)
    raise ModelError(
        f"CLIP's vocabulary of {CLIP_VOCABULARY} tokens",
        f"{vocabulary} in {path!r}",
        "Other tokenizers are not supported.",
    )


def _some(keys: set[str], most: int = 4) -> str:
    listed = sorted(keys)
    return (
        "none"
        if not listed
        else ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if listed[most:] else "")
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
