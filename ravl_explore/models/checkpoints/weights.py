"""Checkpoints as weights by the model's own names: freed of trainers' wrappers; adapters and quantised ones refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.foreign import refuse_foreign, refuse_whole_numbers
from ravl_explore.support.tensor_files import TensorFile, is_file, read_json, read_tensor_file

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "clip", "model_ema", "ema")
# A key of every layout that tells where the model's own names start, whatever it was wrapped in.
ANCHORS = (
    "visual.conv1.weight",
    "visual.trunk.",
    "vision_model.embeddings.patch_embedding.weight",
    "token_embedding.weight",
)
MODULE_WRAPPERS = frozenset(  # DataParallel, torch.compile, FSDP, activation checkpointing, DeepSpeed, averages
    ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
)
NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # numbers in OpenAI's own files


@dataclass(frozen=True)
class Weights:
    """What a checkpoint file holds.

    Attributes
    ----------
    tensors : dict[str, Tensor]
        By the model's own names, in the file's types.
    metadata : dict[str, str]
        Texts in a safetensors file's header.
    from_openai : bool
        Whether OpenAI's numbers (``input_resolution`` ...) were among the tensors.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    from_openai: bool = False


def read_weights(path: Path) -> Weights:
    """Tensors of a file of safetensors or PyTorch, whatever it is called, freed of wrappers and prefixes.

    Parameters
    ----------
    path : Path
        The file, or an index of several.

    Raises
    ------
    ModelError
        When the file is not there, is no checkpoint, or holds code; it is never run. When it holds adapters or
        quantised weights; it says what to do with them.
    """
    if not is_file(path):
        raise ModelError("a checkpoint file", f"{str(path)!r}, no such file", "Check the path.")
    whole = _read_shards(path) if path.name.endswith(".index.json") else read_tensor_file(path)
    metadata = whole.metadata
    named = {str(key): value for key, value in _unwrapped(whole.content, str(path)).items()}
    refuse_foreign(named, str(path))
    tensors = _without_prefix(_without_wrappers(named, str(path)), str(path))
    refuse_whole_numbers(tensors, str(path))
    kept = {key: value for key, value in tensors.items() if key not in NOT_WEIGHTS}
    return Weights(kept, metadata, len(kept) < len(tensors))


def _unwrapped(loaded: object, origin: str, depth: int = 5) -> dict[object, Tensor]:
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


def _holds_tensors(content: Mapping[object, object]) -> bool:
    return any(isinstance(value, Tensor) for value in content.values())


def shard_names(index: Path) -> list[str]:
    """The weight files that ``model.safetensors.index.json`` names; ModelError unless they lie beside it.

    Parameters
    ----------
    index : Path
        The file ``model.safetensors.index.json``.
    """
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise ModelError("an index of weight files", f"{str(index)!r} without a weight_map", "Download it again.")
    if not all(isinstance(name, str) and Path(name).name == name for name in named.values()):
        raise ModelError("weight files beside their index", f"other paths in {str(index)!r}", "Download it again.")
    return sorted(set(named.values()))


def _read_shards(index: Path) -> TensorFile:
    """All files that an index names."""
    whole: dict[object, Tensor] = {}
    for name in shard_names(index):
        if not is_file(index.parent / name):
            raise ModelError("all weight files of the index", f"no {name!r} in {str(index.parent)!r}", "Add it.")
        whole |= _unwrapped(read_tensor_file(index.parent / name).content, name)
    return TensorFile(whole)


def _without_wrappers(tensors: dict[str, Tensor], origin: str) -> dict[str, Tensor]:
    """Take the wrappers of PyTorch's modules out of names, wherever they stand: ``a._orig_mod.b`` is ``a.b``.

    Where the whole model is wrapped, names outside of that are not the model's (losses, metrics), and are dropped.
    """
    bare = {key: ".".join(part for part in key.split(".") if part not in MODULE_WRAPPERS) for key in tensors}
    wrapped = {key.split(".")[0] in MODULE_WRAPPERS for key in tensors if bare[key].startswith(ANCHORS)}
    found: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if wrapped == {True} and key.split(".")[0] not in MODULE_WRAPPERS:
            continue
        if bare[key] in found:
            raise ModelError(
                "one weight of each name",
                f"{bare[key]!r} with and without a wrapper in {origin!r}",
                "Save one model alone.",
            )
        found[bare[key]] = value
    return found


def _without_prefix(tensors: dict[str, Tensor], origin: str) -> dict[str, Tensor]:
    """Drop what stands before the model's own names: ``model.`` (Lightning), ``clip.`` ...

    The prefix is what stands before the first name that every CLIP has; where there are several of which one holds the
    other (``model.`` and a moving average's ``ema.model.``), the shortest. Names without the prefix are not the
    model's (losses, metrics), and are dropped.

    Raises
    ------
    ModelError
        For several CLIPs beside each other, of which none is told to be the model.
    """
    found = set().union(*(_before(anchor, tensors) for anchor in ANCHORS[:-1]))  # of image towers of any layout
    found = found or {re.sub(r"(text\.|text_model\.embeddings\.)$", "", each) for each in _before(ANCHORS[-1], tensors)}
    if not found:
        return tensors
    prefix = min(found, key=len)
    others = tuple(each for each in found if each != prefix)
    if not all(each.startswith(prefix) or each.endswith(f".{prefix}") for each in others):
        raise ModelError(
            "one model",
            f"several in {origin!r}, whose names start with {some(map(repr, found))}",
            "Save the state_dict() of one alone.",
        )
    return {
        key[len(prefix) :]: value
        for key, value in tensors.items()
        if key.startswith(prefix) and not (others and key.startswith(others))
    }


def _before(anchor: str, keys: Iterable[str]) -> set[str]:
    """What stands before a name that every CLIP of a layout has."""
    return {key[: key.index(anchor)] for key in keys if re.search(rf"(^|\.){re.escape(anchor)}", key)}


def require(
    tensors: Mapping[str, Tensor],
    axes: Mapping[str, int],
    expected: str,
    origin: str,
    remedy: str,
    unexpected: Iterable[str] = (),
) -> None:
    """Ask for weights by name, with as many axes each, none of them empty, and for none that are ``unexpected``.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights by name.
    axes : Mapping[str, int]
        Name of each weight that must be there -> how many axes it has.
    expected : str
        What was expected, for the message.
    origin : str
        Where it is from, for messages.
    remedy : str
        What to do, for the message.
    unexpected : Iterable[str]
        Names that must not be there.

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
    """A tensor's shape in words.

    Parameters
    ----------
    tensor : Tensor
        Of which the shape is read.
    """
    return "x".join(map(str, tensor.shape)) or "scalar"


def some(keys: Iterable[str], most: int = 8) -> str:
    """A few of many names, sorted.

    Parameters
    ----------
    keys : Iterable[str]
        The names, in any order.
    most : int
        How many are told.
    """
    listed = sorted(keys)
    if not listed:
        return "none"
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if listed[most:] else "")
