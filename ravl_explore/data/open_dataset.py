"""open_dataset(): a dataset from one line of text, as the command line takes it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.coco import Coco
from ravl_explore.data.columns import is_table
from ravl_explore.data.demo import Demo
from ravl_explore.data.folder import Folder
from ravl_explore.data.given_files import status_of
from ravl_explore.data.hugging_face import HuggingFaceDataset
from ravl_explore.data.hugging_face_loading import is_saved
from ravl_explore.data.mnist import FashionMnist, Mnist
from ravl_explore.data.object_cxr import ObjectCxr
from ravl_explore.data.sun397 import Sun397
from ravl_explore.data.table import Table
from ravl_explore.errors import DataError, InputError
from ravl_explore.support.files import user_path
from ravl_explore.support.options import FORM, split_options

KINDS: dict[str, Callable[..., ImageTextDataset]] = {
    "demo": Demo,
    "mnist": Mnist,
    "fashion-mnist": FashionMnist,
    "sun397": Sun397,
    "object-cxr": ObjectCxr,
    "hf": HuggingFaceDataset,
}
Option = str | int | tuple[str, ...]  # an argument of a dataset, a flag included
LISTS = frozenset({"classes", "class_names", "shapes"})  # options of several values, separated by commas
YES, NO = ("1", "true", "yes"), ("0", "false", "no")
LONGEST = 18  # digits of a whole number


def open_dataset(text: str | Path) -> ImageTextDataset:
    """The dataset that a line of text names.

    ``demo:val``, a folder with one subfolder per class, a ``.csv``, ``.tsv`` or ``.parquet`` table, a COCO ``.json``,
    ``mnist:FOLDER``, ``fashion-mnist:FOLDER``, ``sun397:FOLDER``, ``object-cxr:FOLDER`` or ``hf:NAME_OR_FOLDER``; a
    folder saved by Hugging Face's ``save_to_disk`` is known as such. Options follow a question mark, as in
    ``scans.csv?image=file&label=finding``, ``nih.csv?multiple=drop``, ``val.json?classes=cat,dog`` or
    ``mnist:FOLDER?split=train``; they are the arguments of the dataset's class.

    Parameters
    ----------
    text : str or Path

    Raises
    ------
    DataError, InputError
        When the text is none of these, for an option that the dataset does not have, and whatever the dataset raises.

    Examples
    --------
    >>> open_dataset("demo:test").name, len(open_dataset("demo:?split=val"))
    ('Demo: garments, test', 1000)
    """
    if not isinstance(text, (str, Path)):
        raise InputError("a line of text", type(text).__name__, "Use a dataset as it is, or write where it lies.")
    text = str(text)
    kind, colon, rest = text.strip().partition(":")
    if not colon or kind not in KINDS:
        kind, rest = "", text.strip()
    rest, options = split_options(rest)
    make = KINDS[kind] if kind else _by_path(rest, text)
    once = _once(options)
    first = next(iter(inspect.signature(make).parameters))
    if rest and first in once:
        raise InputError(
            f"one {first} in {text.strip()!r}",
            f"{rest!r} before the question mark and {once[first]!r} behind it",
            f"Leave one of them out: what stands before the question mark is the {first}.",
        )
    arguments = (rest,) if rest or (kind not in ("demo", "") and first not in once) else ()
    return make(*arguments, **_parsed(make, once))


def _once(options: list[tuple[str, str]]) -> dict[str, str]:
    found = dict(options)
    for name in found:
        values = [value for each, value in options if each == name]
        if len(values) > 1:
            remedy = f"Write {name}=a,b for several." if name in LISTS else f"Leave one {name}= out."
            raise InputError(f"the option {name} once", f"the values {values}", remedy)
    return found


def _by_path(rest: str, text: str) -> Callable[..., ImageTextDataset]:
    path = user_path(rest)
    if rest and os.path.isdir(path):  # noqa: PTH112  nothing at all would be the folder at hand
        return HuggingFaceDataset if is_saved(path) else Folder
    if is_table(path):
        return Table
    if path.suffix.lower() == ".json":
        return Coco
    forms = "demo:val, a folder, a .csv, .tsv, .parquet or COCO .json file, or one of "
    forms += ", ".join(f"{kind}:FOLDER" for kind in KINDS if kind != "demo")
    status_of(rest, forms)
    raise DataError(forms, repr(text), "Check the path.")


def _parsed(make: Callable[..., object], options: dict[str, str]) -> dict[str, Option]:
    """Options as the arguments of ``make``."""
    known = inspect.signature(make).parameters
    parsed: dict[str, Option] = {}
    for name, value in options.items():
        if name not in known:
            raise InputError(f"options among {', '.join(known)}", repr(name), f"Write them as {FORM}.")
        default = known[name].default
        if name in LISTS:
            parsed[name] = tuple(part.strip() for part in value.split(",") if part.strip())
        elif name == "templates":
            parsed[name] = (value,)
        elif isinstance(default, bool):
            if value.casefold() not in YES + NO:
                raise InputError(f"yes or no for {name}", repr(value), f"Write {name}=yes or {name}=no.")
            parsed[name] = value.casefold() in YES
        elif isinstance(default, int):
            if not value.isdecimal() or len(value) > LONGEST:
                raise InputError(f"a whole number for {name}", repr(value), f"Write {name}={default}.")
            parsed[name] = int(value)
        else:
            parsed[name] = value
    return parsed
