"""Reading checkpoint files as plain tensors: nothing is unpickled, no archive is executed."""

from __future__ import annotations

import codecs
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from ravl_explore.errors import ModelError

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "clip", "model_ema", "ema")
# A key of every layout that tells where the model's own names start, whatever it was wrapped in.
ANCHORS = (
    "visual.conv1.weight",
    "visual.trunk.",
    "vision_model.embeddings.patch_embedding.weight",
    "token_embedding.weight",
)
NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # numbers in OpenAI's own files


@dataclass(frozen=True)
class Weights:
    """What a checkpoint file holds.

    Attributes
    ----------
    tensors : by the model's own names, in the file's types
    metadata : texts in a safetensors file's header
    from_openai : whether OpenAI's numbers (``input_resolution`` ...) were among the tensors
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    from_openai: bool = False


def read_weights(path: Path) -> Weights:
    """Tensors of a ``.safetensors``, ``.pt``, ``.pth`` or ``.bin`` file, freed of wrappers and prefixes.

    Raises
    ------
    ModelError
        When the file is not there, is no checkpoint, or holds code; it is never run.
    """
    if not path.is_file():
        raise ModelError("a checkpoint file", f"{str(path)!r}, no such file", "Check the path.")
    loaded, metadata = _read_shards(path) if path.name.endswith(".index.json") else _read_file(path)
    tensors = _without_prefix({str(key): value for key, value in _unwrapped(loaded, str(path)).items()})
    kept = {key: value for key, value in tensors.items() if key not in NOT_WEIGHTS}
    return Weights(kept, metadata, len(kept) < len(tensors))


def _unwrapped(loaded: Any, origin: str, depth: int = 5) -> dict[Any, Tensor]:
    """The dictionary of tensors inside a trainer's: by a usual name, else the only one, or the only one with a CLIP."""
    if isinstance(loaded, dict) and loaded and all(isinstance(value, Tensor) for value in loaded.values()):
        return loaded
    inside = loaded if isinstance(loaded, dict) else {}
    held = {str(key): value for key, value in inside.items() if isinstance(value, dict) and _holds_tensors(value)}
    clips = {key: value for key, value in held.items() if any(anchor in str(k) for k in value for anchor in ANCHORS)}
    held = clips or held
    wrapper = next((name for name in WRAPPERS if name in held), None) or (next(iter(held)) if len(held) == 1 else None)
    nested = next((name for name in WRAPPERS if isinstance(inside.get(name), dict) and inside[name]), None)
    if depth and (wrapper or (nested and not held)):
        return _unwrapped(held[wrapper] if wrapper else inside[nested], origin, depth - 1)
    if len(held) > 1:
        raise ModelError(
            "one dictionary of tensors", f"several in {origin!r}: {some(held)}", "Save the state_dict() of one alone."
        )
    others = {f"{key} ({type(value).__name__})" for key, value in inside.items() if not isinstance(value, Tensor)}
    came = f"{type(loaded).__name__} in {origin!r}" + (f" whose {some(others)} is none" if others else "")
    raise ModelError("a dictionary of tensors", came, "Save a state_dict().")


def _holds_tensors(content: dict[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in content.values())


def _read_file(path: Path) -> tuple[Any, dict[str, str]]:
    _refuse_text(path)
    try:
        if path.suffix == ".safetensors":
            with safe_open(str(path), framework="pt") as file:
                metadata = dict(file.metadata() or {})
            return load_file(str(path)), metadata
        if _is_torchscript(path):
            raise ModelError(
                "a checkpoint of plain tensors",
                f"{str(path)!r}, a TorchScript archive, which holds code; it was not run",
                "Where you trust it, convert it once: clip.load(path, device='cpu', jit=False)[0].state_dict() with "
                "OpenAI's clip package, or torch.jit.load(path, 'cpu').state_dict(), saved with torch.save; or, if it "
                f"is OpenAI's, open it as {_openai_name(path)}/openai.",
            )
        with warnings.catch_warnings():  # of the pickle's protocol, just before the error that follows
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True), {}
    except pickle.UnpicklingError as error:
        holds_code = zipfile.is_zipfile(path) or "Unsupported" in str(error) or "GLOBAL" in str(error)
        came = "one that holds pickled code" if holds_code else "one that PyTorch cannot read"
        raise ModelError(
            "a checkpoint of plain tensors",
            f"{str(path)!r}, {came}; it was not run",
            "Where you trust it, save its state_dict() as safetensors.",
        ) from error
    except ModelError:
        raise
    except Exception as error:  # torch.load fails in many ways on files that are cut short or none of its own
        raise ModelError(
            "a .safetensors, .pt or .pth checkpoint", f"{str(path)!r} ({first_line(error)})", "Check or save it again."
        ) from error


def _refuse_text(path: Path) -> None:
    """Say so where weights were not downloaded, but a page about them or a pointer to them."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except (OSError, UnicodeDecodeError):
        return  # what cannot be read is told by the reader
    if not all(letter.isprintable() or letter in "\r\n\t" for letter in text):
        return
    came, remedy = f"a text file that starts with {text.strip()[:40]!r}", "Give the path of the weights themselves."
    if not text.strip():
        came, remedy = "an empty file", "Download or save it again."
    elif text.startswith("version https://git-lfs"):
        came, remedy = "a Git LFS pointer to it", "Fetch the file itself with git lfs pull."
    elif "<html" in text.lower() or text.lower().startswith("<!doctype"):
        came, remedy = "a web page", "Download the file itself, not the page about it."
    raise ModelError("a checkpoint of plain tensors", f"{str(path)!r}, {came}", remedy)


def _openai_name(path: Path) -> str:
    """open_clip's name of one of OpenAI's downloads, which are called ViT-L-14-336px.pt and alike."""
    from open_clip import list_pretrained

    name = path.stem.removesuffix("px")
    return name if (name, "openai") in list_pretrained() else "ViT-B-32"


def _read_shards(index: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All files that ``model.safetensors.index.json`` names; they must lie beside it."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        beside = all(isinstance(name, str) and Path(name).name == name for name in names)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(
            "an index of weight files", f"{str(index)!r} ({first_line(error)})", "Download it again."
        ) from error
    if not beside:
        raise ModelError("weight files beside their index", f"other paths in {str(index)!r}", "Download it again.")
    whole: dict[str, Tensor] = {}
    for name in names:
        if not (index.parent / name).is_file():
            raise ModelError("all weight files of the index", f"no {name!r} in {str(index.parent)!r}", "Add it.")
        loaded, _ = _read_file(index.parent / name)
        whole |= loaded
    return whole, {}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") or "/code/" in name for name in archive.namelist())


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop what wraps the model: ``module.`` (DataParallel), ``model.`` (Lightning), ``_orig_mod.`` (compiled) ...

    The prefix is what stands before the first name that every CLIP has; where there are several (a moving average
    beside the model), the shortest. Names without the prefix are not the model's (losses, metrics), and are dropped.
    """
    for anchor in ANCHORS:
        found = {key[: key.index(anchor)] for key in tensors if re.search(rf"(^|\.){re.escape(anchor)}", key)}
        if anchor == "token_embedding.weight":
            found = {re.sub(r"(text\.|text_model\.embeddings\.)$", "", prefix) for prefix in found}
        if found:
            prefix = min(found, key=len)
            return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def require(
    tensors: Mapping[str, Tensor],
    axes: Mapping[str, int],
    expected: str,
    origin: str,
    remedy: str,
    unexpected: Iterable[str] = (),
) -> None:
    """Ask for weights by name, with as many axes each, none of them empty, and for none that are ``unexpected``.

    Raises
    ------
    ModelError
        Lists the missing, the misshaped and the unexpected ones.
    """
    missing = {key for key in axes if key not in tensors}
    bent = {
        f"{key} ({size(tensors[key])} for {count} axes)"
        for key, count in axes.items()
        if key in tensors and (tensors[key].ndim != count or not tensors[key].numel())
    }
    found = {"missing": missing, "misshaped": bent, "unexpected": set(unexpected)}
    if any(found.values()):
        raise ModelError(expected, f"{origin!r}: " + "; ".join(f"{k} {some(v)}" for k, v in found.items()), remedy)


def size(tensor: Tensor) -> str:
    """A tensor's shape in words."""
    return "x".join(map(str, tensor.shape)) or "scalar"


def first_line(error: BaseException, most: int = 200) -> str:
    """What an error says first, or its type."""
    lines = str(error).strip().splitlines()
    return lines[0][:most] if lines else type(error).__name__


def some(keys: Iterable[str], most: int = 8) -> str:
    """A few of many names, sorted."""
    listed = sorted(keys)
    if not listed:
        return "none"
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if listed[most:] else "")
