"""Pixels: what settings say of how pixels are prepared, from every place where libraries write it.

open_clip writes ``preprocess_cfg`` into ``open_clip_config.json``; transformers wrote ``preprocessor_config.json``, and
writes ``processor_config.json`` with the same under ``image_processor``. Images are always squashed to the model's
input here (see :func:`ravl_explore.models.base.resize`); mean and standard deviation are the file's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.setting_rules import is_number
from ravl_explore.models.checkpoints.settings import Settings
from ravl_explore.support.tensor_files import read_json

PROCESSORS = ("preprocessor_config.json", "processor_config.json")
OPEN_CLIP = "open_clip_config.json"
CLOSE = 1e-3  # mean and standard deviation are written with 4 to 8 digits
Values = tuple[float, float, float]


@dataclass(frozen=True)
class Pixels:
    """Mean and standard deviation by where they are told, for pixels in [0, 1].

    Attributes
    ----------
    told : Mapping[str, Mapping[str, Values]]
        File -> {"mean": ..., "std": ...}, as far as it tells them.
    notes : tuple[str, ...]
        What is prepared in another way here, as sentences.
    """

    told: Mapping[str, Mapping[str, Values]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def chosen(self, transformers: bool) -> tuple[dict[str, Values], tuple[str, ...]]:
        """(mean and std, notes): those of the library whose layout the weights have come first.

        Parameters
        ----------
        transformers : bool
            Whether the weights have the layout of transformers.
        """
        order = sorted(self.told, key=lambda name: (name == OPEN_CLIP) == transformers)
        found: dict[str, Values] = {}
        notes = list(self.notes)
        for name in order:
            for key, value in self.told[name].items():
                if not all(
                    math.isclose(a, b, abs_tol=CLOSE) for a, b in zip(value, found.get(key, value), strict=True)
                ):
                    notes.append(f"the pixels' {key} of {order[0]}, since {name} says another: {value}")
                found.setdefault(key, value)
        return found, tuple(notes)


def read_pixels(folder: Path) -> Pixels:
    """What the settings in a folder say; ModelError for what cannot be, or cannot be done here.

    Parameters
    ----------
    folder : Path
        Where the files are.
    """
    told: dict[str, dict[str, Values]] = {}
    notes: list[str] = []
    for name in PROCESSORS:
        whole = read_json(folder / name)
        inner = whole.get("image_processor", whole)
        if isinstance(inner, Mapping) and inner:
            told[name] = _of_processor(inner, str(folder / name))
    whole = read_json(folder / OPEN_CLIP).get("preprocess_cfg")
    if isinstance(whole, Mapping):
        told[OPEN_CLIP] = checked_pixels(whole, str(folder / OPEN_CLIP))
        if whole.get("mode", "RGB") != "RGB":
            raise _impossible("mode", whole["mode"], str(folder / OPEN_CLIP))
        if whole.get("resize_mode") == "longest":
            notes.append("images squashed to the input, where open_clip_config.json says that a border is added")
    return Pixels({name: each for name, each in told.items() if each}, tuple(notes))


def checked_pixels(given: Settings, origin: str, prefix: str = "") -> dict[str, Values]:
    """``mean`` and ``std``, where they are told, as three numbers each; ModelError for anything else.

    Parameters
    ----------
    given : Settings
        Settings, of which two are read.
    origin : str
        Where it is from, for messages.
    prefix : str
        Before ``mean`` and ``std`` in their names.
    """
    found: dict[str, Values] = {}
    for key in ("mean", "std"):
        value = given.get(f"{prefix}{key}")
        if value is None:
            continue
        listed = list(value) if isinstance(value, list | tuple) else [value] * 3
        if len(listed) == 1:
            listed = listed * 3
        good = len(listed) == 3 and all(is_number(each) and math.isfinite(each) for each in listed)
        if not good or (key == "std" and min(listed) <= 0):
            raise _impossible(f"{prefix}{key}", value, origin)
        found[key] = (float(listed[0]), float(listed[1]), float(listed[2]))
    return found


def _of_processor(given: Settings, origin: str) -> dict[str, Values]:
    """Of a processor of transformers: stored bytes times ``rescale_factor``, minus the mean, by the deviation."""
    for key in ("do_flip_channel_order", "rescale_offset"):
        if given.get(key):
            raise _impossible(key, given[key], origin)
    found = checked_pixels(given, origin, "image_")
    if given.get("do_normalize", True) is False:
        found = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    factor = given.get("rescale_factor", 1 / 255)
    if given.get("do_rescale", True) is False:
        factor = 1
    if not is_number(factor) or not 0 < factor <= 1:
        raise _impossible("rescale_factor", factor, origin)
    scale = 255 * factor  # of pixels in [0, 1], with which mean and deviation are told
    if math.isclose(scale, 1, rel_tol=1e-3):
        return found
    if len(found) < 2:
        raise _impossible("rescale_factor", factor, origin)
    return {key: (a / scale, b / scale, c / scale) for key, (a, b, c) in found.items()}


def _impossible(key: str, value: object, origin: str) -> ModelError:
    return ModelError(
        "pixels prepared as CLIPs' are: RGB, three means, three standard deviations above 0",
        f"{key} = {repr(value)[:60]} in {origin!r}",
        "Correct the file, or open the model with a VisionLanguageModel of your own.",
    )
