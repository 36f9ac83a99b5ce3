"""COCO: instances as boxes and labels, captions beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ravl_explore.data.columns import NONE, listed
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.inside import resolve_inside
from ravl_explore.errors import DataError, InputError, RavlError
from ravl_explore.files import user_path
from ravl_explore.forms import Field
from ravl_explore.regions.base import Regions

TEMPLATES = ("there is a {}", "a photo of the {}", "a photo of a {}", "{}")  # RaVL, Appendix B


class Coco(ImageFiles):
    """Images of a COCO instances file that show one of ``classes``, labelled with it.

    Every annotated box is a region, also of other categories, since those are what a model may wrongly rely on:
    ``region_labels`` is the class that a box shows, or -1. Boxes come as x, y, width, height and are turned into
    corners and cut at the image's edges; crowds and boxes without area are left out. An image with two of the classes,
    a crowd of one included, has no one label and is dropped by default; so are images with none. ``notes`` tells how
    many images, boxes and crowds were left out.

    Parameters
    ----------
    annotations : ``instances_*.json``
    images : folder of the images; guessed from the usual layout unless given
    captions : ``captions_*.json``, of whose captions each image keeps the first; the one beside ``annotations`` unless
        given, ``"(none)"`` for none
    classes : category names, in order; all categories, by their ids, unless given
    feature : a category that may be spurious, annotated as the dataset's feature
    multiple : what becomes of an image with several of the classes: ``drop``, or ``largest`` for what covers most
    templates : prompts, each with one ``{}``

    Raises
    ------
    DataError
        For a file that is no COCO JSON, unknown categories (those there are, are listed), annotations of a category or
        an image that is not listed, or no image left.
    """

    form_label = "COCO annotations"
    form = (
        Field("annotations", "JSON", "path", help="instances_val2017.json"),
        Field("images", "Images", "path", help="folder of the images; guessed unless given", required=False),
        Field("classes", "Classes", "lines", help="one category a line; all unless given", required=False),
        Field("feature", "Feature", "search", help="category that may be spurious", required=False,
              choices=lambda answers: category_names(answers)),
    )  # fmt: skip

    def __init__(
        self,
        annotations: str | Path,
        images: str | Path | None = None,
        captions: str | Path | None = None,
        classes: Sequence[str] | None = None,
        feature: str | None = None,
        multiple: Literal["drop", "largest"] = "drop",
        templates: Sequence[str] = TEMPLATES,
    ) -> None:
        if multiple not in ("drop", "largest"):
            raise InputError("multiple='drop' or 'largest'", repr(multiple), "Use one of these.")
        file = user_path(annotations)
        content = _read(file, ("images", "annotations", "categories"))
        with _explaining(file):
            self._build(file, content, images, captions, classes, feature, multiple, templates)

    def _build(
        self,
        file: Path,
        content: dict[str, Any],
        images: str | Path | None,
        captions: str | Path | None,
        classes: Sequence[str] | None,
        feature: str | None,
        multiple: str,
        templates: Sequence[str],
    ) -> None:
        categories = {c["id"]: str(c["name"]) for c in sorted(content["categories"], key=lambda c: c["id"])}
        names = tuple(categories.values()) if not classes else tuple(classes)
        _check_known([*names, *([feature] if feature else [])], categories)
        label_of = {key: names.index(name) for key, name in categories.items() if name in names}
        facts = {image["id"]: image for image in content["images"]}
        area, crowds, boxes, n_crowds, n_flat = _by_image(content["annotations"], facts, categories, label_of)

        kept, labels, n_none, n_several, n_largest = [], [], 0, 0, 0
        for key in sorted(facts):
            covered = area.get(key, {})
            found = covered.keys() | crowds.get(key, set())
            if not covered:
                n_none += 1
            elif len(found) > 1 and multiple == "drop":
                n_several += 1
            else:
                n_largest += len(found) > 1
                kept.append(key)
                labels.append(max(sorted(covered), key=lambda label: covered[label]))
        if not kept:
            came = f"{n_none} with none and {n_several} with several of them"
            raise DataError(f"images with one of {listed(names)}", came, "Pick other classes.")

        folder = user_path(images) if images else _guess_folder(file, facts[kept[0]]["file_name"])
        rows = [boxes.get(key, []) for key in kept]
        flat = [box for row in rows for box in row]
        shown = np.array([category for category, *_ in flat], np.int64)
        feature_ids = [key for key, name in categories.items() if name == feature]
        present = {image for image, row in boxes.items() if any(box[0] in feature_ids for box in row)}
        super().__init__(
            resolve_inside(folder, [str(facts[key]["file_name"]) for key in kept]),
            labels,
            names,
            name=file.stem,
            templates=templates,
            captions=_captions(file, captions, kept),
            regions=Regions(
                np.array([box[1:] for box in flat], np.float32).reshape(-1, 4),
                np.repeat(np.arange(len(kept)), [len(row) for row in rows]),
            ),
            region_labels=np.array([label_of.get(key, -1) for key in shown.tolist()], np.int64),
            feature_name=feature or None,
            feature_present=np.array([key in present for key in kept]) if feature else None,
            region_feature=np.isin(shown, feature_ids) if feature else None,
            root=folder.resolve(),
            notes=[
                *([f"{n_none} images with none of the classes were left out."] if n_none else []),
                *([f"{n_several} images with several of the classes were left out."] if n_several else []),
                *([f"{n_largest} images with several of the classes took the largest."] if n_largest else []),
                *([f"{n_flat} boxes without area inside their image were left out."] if n_flat else []),
                *([f"{n_crowds} crowds were left out."] if n_crowds else []),
            ],
        )


def category_names(answers: Mapping[str, Any]) -> list[str]:
    """Categories of the file in a form's answers; a large file is read once, not after every answer."""
    path = str(answers.get("annotations") or "").strip()
    if not path:
        return []
    file = user_path(path)
    try:
        stat = file.stat()
    except (OSError, ValueError):  # what is wrong with it, reading tells
        return list(_names_in(file, -1, -1))
    return list(_names_in(file, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=8)
def _names_in(file: Path, size: int, changed: int) -> tuple[str, ...]:
    """Category names; size and time of change are there for the cache, which so forgets a file that changed."""
    del size, changed
    content = _read(file, ("categories",))
    with _explaining(file):
        return tuple(str(category["name"]) for category in content["categories"])


def _by_image(
    annotations: list[dict[str, Any]],
    facts: dict[Any, dict[str, Any]],
    categories: Mapping[int, str],
    label_of: dict[int, int],
) -> tuple[dict[Any, dict[int, float]], dict[Any, set[int]], dict[Any, list[tuple[float, ...]]], int, int]:
    """By image: area of each class, classes seen as a crowd, and boxes as (category, x1, y1, x2, y2).

    With them, how many crowds and how many boxes without area were left out.
    """
    n_crowds = n_flat = 0
    area: dict[Any, dict[int, float]] = {}
    crowds: dict[Any, set[int]] = {}
    boxes: dict[Any, list[tuple[float, ...]]] = {}
    for each in annotations:
        key, category = each["image_id"], each["category_id"]
        if key not in facts:
            raise DataError("annotations of the images listed", f"one of image {key!r}", "Use files of one release.")
        if category not in categories:
            came = f"category_id {category!r} in image {key!r}, of the categories {listed(list(map(str, categories)))}"
            raise DataError("annotations of the categories listed", came, "Add it to 'categories', or mend the id.")
        label = label_of.get(category)
        if each.get("iscrowd", 0):
            n_crowds += 1
            if label is not None:
                crowds.setdefault(key, set()).add(label)
            continue
        x, y, width, height = (float(value) for value in each["bbox"])
        x1, x2 = (min(max(value, 0.0), facts[key].get("width", np.inf)) for value in (x, x + width))
        y1, y2 = (min(max(value, 0.0), facts[key].get("height", np.inf)) for value in (y, y + height))
        with np.errstate(over="ignore"):
            corners = np.array([x1, y1, x2, y2], np.float32)  # as they are stored: a sliver may vanish there
        if not (np.isfinite(corners).all() and (corners[:2] < corners[2:]).all()):
            n_flat += 1
            continue
        boxes.setdefault(key, []).append((category, x1, y1, x2, y2))
        if label is not None:
            covered = area.setdefault(key, {})
            covered[label] = covered.get(label, 0.0) + (x2 - x1) * (y2 - y1)
    return area, crowds, boxes, n_crowds, n_flat


def _captions(file: Path, given: str | Path | None, images: list[Any]) -> list[str] | None:
    """The first caption, by its id, of each image."""
    if given is None:
        beside = file.with_name(file.name.replace("instances", "captions"))
        if beside == file or not beside.is_file():
            return None
        given = beside
    elif str(given) in ("", NONE):
        return None
    captions, first = user_path(given), dict[Any, str]()
    content = _read(captions, ("annotations",))
    with _explaining(captions):
        for each in sorted(content["annotations"], key=lambda a: a["id"]):
            first.setdefault(each["image_id"], str(each["caption"]).strip())
    return [first.get(image, "") for image in images]


def _guess_folder(file: Path, name: str) -> Path:
    """Where the first image lies: beside ``annotations/`` in a folder called like the split, as COCO unpacks."""
    split = file.stem.rpartition("_")[2]
    tried = [parent / folder for parent in (file.parent.parent, file.parent) for folder in (split, "images", ".")]
    return next((folder for folder in tried if (folder / name).is_file()), tried[0])


def _read(file: Path, keys: Sequence[str]) -> dict[str, Any]:
    if not file.is_file():
        raise DataError("a COCO JSON file", f"{str(file)!r}, which is not there", "Check the path.")
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise DataError("a COCO JSON file", f"{str(file)!r} ({error})", "Check that it is whole.") from error
    found = sorted(content) if isinstance(content, dict) else type(content).__name__
    for key in keys:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"a COCO file with {key!r}", f"{str(file)!r} with {found}", "Give an instances_*.json.")
    return content


@contextmanager
def _explaining(file: Path) -> Iterator[None]:
    """Turn what entries of the wrong shape raise into a DataError that names the file."""
    try:
        yield
    except RavlError:
        raise
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        came = f"{str(file)!r} ({type(error).__name__}: {str(error)[:200].rstrip('.')})"
        remedy = "Check for an entry that lacks a key or holds another kind of value."
        raise DataError("COCO annotations", came, remedy) from error


def _check_known(names: Sequence[str], categories: dict[int, str]) -> None:
    unknown = [name for name in names if name not in categories.values()]
    if unknown:
        there = ", ".join(map(repr, categories.values()))
        raise DataError(f"categories among {there}", f"also {listed(unknown)}", "Write them as the file does.")
