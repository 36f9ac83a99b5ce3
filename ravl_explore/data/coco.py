"""COCO: instances as boxes and labels, captions beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from ravl_explore.data.box_fitting import FittedBoxes, fit_boxes
from ravl_explore.data.cells import caption_of
from ravl_explore.data.coco_file import (
    Box,
    Entry,
    Id,
    boxes_by_image,
    by_id,
    category_name,
    explaining,
    file_name,
    plain_id,
    read_coco_json,
    size_said,
    sorted_by_id,
)
from ravl_explore.data.coco_labels import classes_of, labelled
from ravl_explore.data.column_roles import NONE
from ravl_explore.data.columns import listed
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.lookup import find_files
from ravl_explore.errors import DataError, InputError
from ravl_explore.regions.base import Regions
from ravl_explore.support.fields import Field
from ravl_explore.support.files import user_path

TRIED = 100  # images that are looked for where a folder is guessed
TEMPLATES = ("there is a {}", "a photo of the {}", "a photo of a {}", "{}")  # RaVL, Appendix B


class Coco(ImageFiles):
    """Images of a COCO instances file that show one of ``classes``, labelled with it.

    Every annotated box is a region, also of other categories, since those are what a model may wrongly rely on:
    ``region_labels`` is the class that a box shows, or -1. Boxes come as x, y, width, height and are turned into
    corners and cut at the image's edges; crowds, boxes without area and annotations without a box are left out. Where a
    picture is of another size than the file says, boxes are scaled to it, or turned as EXIF turns the picture; see
    :func:`~ravl_explore.data.box_fitting.fit_boxes`. An image with two of the classes, a crowd of one or one without a
    box included, has no one label and is dropped by default; so are images with none. ``notes`` tells how many of all
    these were left out.

    Parameters
    ----------
    annotations : str or Path
        ``instances_*.json``.
    images : str or Path or None
        Folder of the images; guessed from the usual layout unless given.
    captions : str or Path or None
        ``captions_*.json``, of whose captions each image keeps the first; the one beside ``annotations`` unless given,
        ``"(none)"`` for none.
    classes : sequence of str or None
        Category names, in order; all categories that are annotated, by their ids, unless given.
    feature : str or None
        A category that may be spurious, annotated as the dataset's feature.
    multiple : {"drop", "largest"}
        What becomes of an image with several of the classes: it is left out, or is of what covers most.
    templates : sequence of str
        Prompts, each with one ``{}``.

    Raises
    ------
    DataError
        For a file that is no COCO JSON, unknown categories (those there are, are listed), an id, a category's name or
        an image file that stands for two, annotations of a category or an image that is not listed, pictures of other
        proportions than the file says, or no image left.
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
        if not isinstance(multiple, str) or multiple not in ("drop", "largest"):
            raise InputError("multiple='drop' or 'largest'", repr(multiple), "Use one of these.")
        file = user_path(annotations)
        content = read_coco_json(file, ("images", "annotations", "categories"))
        with explaining(file):
            self._build(file, content, images, captions, classes, feature, multiple, templates)

    def _build(
        self,
        file: Path,
        content: Mapping[str, list[Entry]],
        images: str | Path | None,
        captions: str | Path | None,
        classes: Sequence[str] | None,
        feature: str | None,
        multiple: str,
        templates: Sequence[str],
    ) -> None:
        categories = {key: category_name(c) for key, c in sorted_by_id(by_id(content["categories"], "categories"))}
        facts = by_id(content["images"], "images")
        shown_ids = {plain_id(each["category_id"]) for each in content["annotations"]}
        names, unseen = classes_of(classes, feature, categories, shown_ids)
        label_of = {key: names.index(name) for key, name in categories.items() if name in names}
        drawn = boxes_by_image(content["annotations"], facts, categories, label_of)
        chosen = labelled([key for key, _ in sorted_by_id(facts)], drawn, label_of, multiple)
        if not chosen.images:
            came = f"{chosen.n_none} with none and {chosen.n_several} with several of them"
            raise DataError(f"images with one of {listed(names)}", came, "Pick other classes.")

        paths = [file_name(facts[key]) for key in chosen.images]
        folder = user_path(images) if images else _guess_folder(file, paths)
        files, looked_up = find_files(folder, paths, beside=file.parent, argument="images")
        _check_once(files, chosen.images)
        feature_ids = {key for key, name in categories.items() if name == feature}
        present = {image for image, row in drawn.boxes.items() if any(box[0] in feature_ids for box in row)}
        used = set(chosen.labels)
        idle = [name for label, name in enumerate(names) if label not in used]
        super().__init__(
            files,
            chosen.labels,
            names,
            name=file.stem,
            templates=templates,
            captions=_captions(file, captions, chosen.images),
            feature_name=feature or None,
            feature_present=np.array([key in present for key in chosen.images]) if feature else None,
            root=folder.resolve(),
        )
        said = np.array([size_said(facts[key]) for key in chosen.images])
        rows = [drawn.boxes.get(key, []) for key in chosen.images]
        fitted = self._take_boxes(rows, said, label_of, feature_ids if feature else None)
        n_flat = drawn.n_flat + int((~fitted.inside).sum())
        self.notes = (
            *([f"Categories without an annotation are no classes: {listed(unseen)}."] if unseen else []),
            *([f"No image is left of the classes {listed(idle)}; predictions may be."] if idle else []),
            *chosen.notes,
            *([f"{n_flat} boxes without area inside their image were left out."] if n_flat else []),
            *([f"{drawn.n_crowds} crowds were left out."] if drawn.n_crowds else []),
            *([f"{drawn.n_bare} annotations without a bbox were left out."] if drawn.n_bare else []),
            *fitted.notes,
            *looked_up,
            *self.notes,  # of the scan of the headers
        )

    def _take_boxes(
        self, rows: list[list[Box]], said: np.ndarray, label_of: Mapping[Id, int], feature_ids: set[Id] | None
    ) -> FittedBoxes:
        """Make regions of each image's boxes, as they fit the picture that is there."""
        image_index = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        fitted = fit_boxes(self, np.array([box[1:] for row in rows for box in row], np.float64), image_index, said)
        drawn = (box[0] for row in rows for box in row)
        shown = [category for category, inside in zip(drawn, fitted.inside, strict=True) if inside]
        self.regions: Regions | None = Regions(fitted.boxes[fitted.inside], image_index[fitted.inside])
        self.region_labels: np.ndarray | None = np.array([label_of.get(key, -1) for key in shown], np.int64)
        self.region_feature: np.ndarray | None = (
            None if feature_ids is None else np.array([key in feature_ids for key in shown], bool)
        )
        return fitted


def _check_once(files: Sequence[Path], ids: Sequence[Id]) -> None:
    """No picture may come twice: what is said of it under either id would be half of it."""
    first: dict[Path, Id] = {}
    for file, key in zip(files, ids, strict=True):
        if first.setdefault(file, key) is not key:
            raise DataError(
                "each image file under one id",
                f"{str(file)!r} under {first[file]!r} and {key!r}",
                "Give all its annotations to one of them.",
            )


def category_names(answers: Mapping[str, object]) -> list[str]:
    """Categories of the file in a form's answers; a large file is read once, not after every answer.

    Parameters
    ----------
    answers : mapping, str -> object
        By the names of the form's fields.
    """
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
    content = read_coco_json(file, ("categories",))
    with explaining(file):
        return tuple(category_name(category) for category in content["categories"])


def _captions(file: Path, given: str | Path | None, images: list[Id]) -> list[str] | None:
    """The first caption, by its id, of each image."""
    if given is None:
        beside = file.with_name(file.name.replace("instances", "captions"))
        if beside == file or not beside.is_file():
            return None
        given = beside
    elif str(given) in ("", NONE):
        return None
    captions, first = user_path(given), dict[Id, str]()
    content = read_coco_json(captions, ("annotations",))
    with explaining(captions):
        for each in sorted(content["annotations"], key=lambda a: a["id"]):
            first.setdefault(plain_id(each["image_id"]), caption_of(each["caption"]))
    return [first.get(image, "") for image in images]


def _guess_folder(file: Path, names: Sequence[str]) -> Path:
    """Where images lie: beside ``annotations/`` in a folder called like the split, as COCO unpacks."""
    split = file.stem.rpartition("_")[2]
    tried = [parent / folder for parent in (file.parent.parent, file.parent) for folder in (split, "images", ".")]
    return next((folder for folder in tried if _any_there(file, folder, names[:TRIED])), tried[0])


def _any_there(file: Path, folder: Path, names: Sequence[str]) -> bool:
    try:
        return any(map(os.path.isfile, find_files(folder, names, beside=file.parent)[0]))
    except DataError:  # they lead out of it: not this folder; if none is right, reading tells
        return False
