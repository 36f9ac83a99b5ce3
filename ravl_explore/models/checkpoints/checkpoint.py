"""A CLIP from a file or folder, whatever library wrote it; its architecture is read off its shapes and settings."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypedDict

from torch import Tensor

from ravl_explore.errors import ModelError, RavlError
from ravl_explore.models.base import pick_device
from ravl_explore.models.checkpoints.architectures import infer_config, name_of
from ravl_explore.models.checkpoints.building import DEMOS, named_config
from ravl_explore.models.checkpoints.filling import build_filled
from ravl_explore.models.checkpoints.foreign import refuse_tower_alone
from ravl_explore.models.checkpoints.layouts import from_clip, from_siglip, is_siglip, is_transformers
from ravl_explore.models.checkpoints.pixels import Values, checked_pixels
from ravl_explore.models.checkpoints.settings import Config, checked_config
from ravl_explore.models.checkpoints.snapshots import Snapshot, open_snapshot
from ravl_explore.models.checkpoints.weights import Weights, read_weights, size, some
from ravl_explore.models.clip_model import ClipModel
from ravl_explore.models.region_encoders import REGION_FIELD
from ravl_explore.models.text.text_towers import known_repositories, with_text_config
from ravl_explore.models.text.tokenizers import tokenizer_of
from ravl_explore.support.fields import Field
from ravl_explore.support.files import user_path
from ravl_explore.support.tensor_files import first_line

SIGLIP_PIXELS: dict[str, Values] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
ACTIVATIONS = {"GELU": False, "QuickGELU": True}
GUESSED = {  # what no shape tells, by what was taken
    True: "QuickGELU, as in OpenAI's files; say quick_gelu=False for weights from LAION's",
    False: "GELU, as in LAION's files; say quick_gelu=True for weights that were trained with QuickGELU",
}
GUESSED_PIXELS = "the pixels' mean and standard deviation of OpenAI's CLIP, since neither file nor name tells others"
BROKEN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class Checkpoint(ClipModel):
    """A CLIP from ``.safetensors``, ``.pt``, ``.pth`` or ``.bin``, or from a folder as the Hugging Face hub has them.

    Layouts: open_clip's and OpenAI's (ResNets and ViTs), open_clip's with a ``text.`` tower and timm trunks, and
    transformers' ``CLIPModel`` and ``SiglipModel``; in half or full precision, bare or in the wrappers of trainers
    (``state_dict``, ``model.``, ``module.`` ...). Nothing is unpickled: ``.pt`` files are read with
    ``weights_only=True``, and one that holds code is refused.

    Parameters
    ----------
    path : str | Path
        The file or folder.
    device : str, optional
        ``"cpu"`` unless given.
    architecture : str, optional
        open_clip's name, needed where shapes do not tell it (timm trunks, text towers of transformers).
    quick_gelu : bool | str, optional
        Whether QuickGELU is used, which no shape tells; also "QuickGELU" or "GELU". Unless given, what the settings
        beside the file or its header say; else the named ``architecture``'s; else yes for ResNets and for ViTs of
        shapes that OpenAI published, since most checkpoints of these shapes descend from OpenAI's; no for other ViTs
        and for the demo's architecture. Say ``quick_gelu=False`` for what was fine-tuned from LAION's ViT-B-32, B-16 or
        L-14. What was guessed is listed in ``assumptions``.
    region_method : str, optional
        How regions are embedded, see :mod:`ravl_explore.models.region_encoders`.

    Raises
    ------
    ModelError
        When the file is not there, is no checkpoint, holds code, lacks weights, or is of another architecture; names
        and the closest architecture are listed.
    """

    form_label: ClassVar[str] = "Checkpoint file or folder"
    form: ClassVar[tuple[Field, ...]] = (
        Field("path", "File or folder", "path", help="a .safetensors, .pt or .pth file, or a Hugging Face snapshot"),
        Field(
            "architecture",
            "Architecture",
            "search",
            help="only where it cannot be read off the file",
            choices=lambda answers: architecture_names(),
            required=False,
        ),
        Field(
            "quick_gelu",
            "Activation",
            "choice",
            help="as the file says, or as usual for its shapes; QuickGELU for OpenAI's weights, GELU for LAION's",
            choices=lambda answers: tuple(ACTIVATIONS),
            required=False,
        ),
        REGION_FIELD,
    )

    def __init__(
        self,
        path: str | Path,
        device: str | None = None,
        architecture: str | None = None,
        quick_gelu: bool | str | None = None,
        region_method: str | None = None,
    ) -> None:
        path = user_path(path)
        snapshot = open_snapshot(path)
        weights = read_weights(snapshot.weights)
        recipe = recognise(weights, snapshot, architecture, _is_quick(quick_gelu))
        trusted = self._downloads(architecture)
        config = with_text_config(recipe.config, trusted)
        clip = build_filled(config, recipe.tensors, str(path), recipe.architecture)
        super().__init__(
            clip.to(pick_device(device)),
            tokenizer_of(
                config["text_cfg"], snapshot.weights.parent, str(path), weights.metadata.get("tokenizer"), trusted
            ),
            path.stem if path.suffix in (".safetensors", ".pt", ".pth", ".bin") else path.name,
            region_method or weights.metadata.get("region_method"),
            architecture=recipe.architecture,
            config=config,
            mean=recipe.pixels.get("mean"),
            std=recipe.pixels.get("std"),
            assumptions=recipe.assumptions,
        )

    def _downloads(self, architecture: str | None) -> Collection[str]:
        """Repositories that text tower and tokenizer may be downloaded from: none because a file alone says so."""
        return () if architecture is None else known_repositories()


@dataclass(frozen=True)
class Recipe:
    """What a model is built from.

    Attributes
    ----------
    config : Config
        open_clip's configuration.
    tensors : Mapping[str, Tensor]
        All weights, in open_clip's names.
    architecture : str | None
        open_clip's name of the configuration, if it has one.
    pixels : Mapping[str, Values]
        ``mean`` and ``std`` of the pixels, as far as they are told.
    assumptions : tuple[str, ...]
        What was guessed, as sentences.
    """

    config: Config
    tensors: Mapping[str, Tensor]
    architecture: str | None
    pixels: Mapping[str, Values]
    assumptions: tuple[str, ...] = ()


def recognise(
    weights: Weights, snapshot: Snapshot, architecture: str | None = None, quick_gelu: bool | None = None
) -> Recipe:
    """Tell layout and architecture of a checkpoint.

    Parameters
    ----------
    weights : Weights
        The file's content.
    snapshot : Snapshot
        What lies beside it.
    architecture : str, optional
        open_clip's name, where somebody gave it.
    quick_gelu : bool, optional
        Whether QuickGELU is used, where somebody said so.

    Raises
    ------
    ModelError
        When weights are missing or misshaped, or fit no layout; it says what was found.
    """
    try:
        return _recognised(weights, snapshot, architecture, quick_gelu)
    except RavlError:
        raise
    except BROKEN as error:  # sizes that contradict each other, settings of another kind
        found = {f"{key} ({size(value)})" for key, value in weights.tensors.items()}
        raise ModelError(
            "a CLIP whose weights and settings fit together",
            f"{str(snapshot.weights)!r} ({type(error).__name__}: {first_line(error)}), which holds {some(found)}",
            "Save the whole model's state_dict().",
        ) from error


def _recognised(weights: Weights, snapshot: Snapshot, architecture: str | None, quick_gelu: bool | None) -> Recipe:
    tensors, origin = weights.tensors, str(snapshot.weights)
    refuse_tower_alone(tensors, origin)
    header = _header(weights.metadata, origin)
    architecture = architecture or weights.metadata.get("architecture") or None
    beside, notes = snapshot.pixels.chosen(is_transformers(tensors))
    pixels, guessed = beside | header["pixels"], False  # what the file itself says is of these very weights
    if is_transformers(tensors):
        convert = from_siglip if is_siglip(tensors, snapshot.settings, origin) else from_clip
        config, tensors = convert(tensors, snapshot.settings, origin)
        if convert is from_siglip:
            pixels = SIGLIP_PIXELS | pixels
        else:
            guessed = not snapshot.settings
    elif header["config"] is not None:
        config = header["config"]
    elif snapshot.config is not None:
        config = snapshot.config
    elif architecture is not None:
        config = named_config(architecture)
    else:
        config = infer_config(tensors, origin, weights.from_openai)
        guessed = not weights.from_openai and "timm_model_name" not in config["vision_cfg"]
    config = checked_config(config, origin)
    if quick_gelu is not None:
        config = config | {"quick_gelu": quick_gelu}
    name = architecture or name_of(config, tensors)
    pixels = _published_pixels(name) | pixels
    assumptions = [GUESSED[bool(config.get("quick_gelu"))]] if guessed and quick_gelu is None else []
    if not {"mean", "std"} <= pixels.keys() and not weights.from_openai:
        assumptions.append(GUESSED_PIXELS)
    assumptions = [] if name in DEMOS else assumptions
    return Recipe(config, tensors, name, pixels, (*assumptions, *notes))


def _is_quick(choice: bool | str | None) -> bool | None:
    """Whether QuickGELU was chosen, by its name or by yes and no."""
    if choice is None or isinstance(choice, bool):
        return choice
    words = {name.lower(): quick for name, quick in ACTIVATIONS.items()}
    words |= dict.fromkeys(("true", "yes", "1"), True) | dict.fromkeys(("false", "no", "0"), False)
    if str(choice).strip().lower() not in words:
        raise ModelError("quick_gelu as true or false", repr(choice), f"Or write {' or '.join(ACTIVATIONS)}.")
    return words[str(choice).strip().lower()]


class _Header(TypedDict):
    """What a safetensors file of ours says of its model."""

    pixels: dict[str, Values]
    config: Config | None


def _header(metadata: Mapping[str, str], origin: str) -> _Header:
    """What a safetensors file of ours says of its model."""
    try:
        told = {key: json.loads(metadata[key]) for key in ("image_mean", "image_std") if key in metadata}
        config = json.loads(metadata["config"]) if "config" in metadata else None
    except (ValueError, RecursionError) as error:
        raise ModelError(
            "a header of JSON texts", f"{origin!r} ({first_line(error)})", "Save the model again."
        ) from error
    if config is not None and not (isinstance(config, dict) and "vision_cfg" in config):
        config = None  # of another program, which keeps something else under this name
    return {"pixels": checked_pixels(told, origin, "image_"), "config": config}


def _published_pixels(architecture: str | None) -> dict[str, Values]:
    """Mean and standard deviation that all published weights of an architecture share, if they do."""
    if architecture is None:
        return {}
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    architecture = architecture.replace("/", "-")
    sources = [get_pretrained_cfg(architecture, tag) for tag in list_pretrained_tags_by_model(architecture)]
    if len({(source["mean"], source["std"]) for source in sources}) != 1:
        return {}
    return {key: sources[0][key] for key in ("mean", "std")}


def architecture_names() -> list[str]:
    """open_clip's architectures."""
    import open_clip

    return open_clip.list_models()
