"""A table, one row an image: its path, label, and maybe caption, boxes and group."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ravl_explore.data.base import CLIP_TEMPLATES
from ravl_explore.data.columns import (
    NONE,
    as_text,
    check_columns,
    choose,
    classes_of,
    column_names,
    guess,
    listed,
    number_notes,
    read_columns,
)
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.inside import resolve_inside
from ravl_explore.errors import DataError
from ravl_explore.files import user_path
from ravl_explore.forms import Field
from ravl_explore.regions.base import Regions

YES, NO = (
    frozenset({"1", "true", "yes", "y", "present", "with"}),
    frozenset({"0", "false", "no", "n", "absent", "without"}),
)


def _columns(answers: Mapping[str, Any]) -> Sequence[str]:
    path = str(answers.get("path") or "").strip()
    return column_names(path) if path else ()


class Table(ImageFiles):
    """Images listed in a CSV, TSV or Parquet file.

    Rows without an image or a label are dropped, and so are repeats of an image with the same label, whose boxes are
    added to the first one's; ``notes`` tells how many. An image with two different labels is an error.

    Parameters
    ----------
    path : table, its first line naming the columns
    image, label : columns; guessed from usual names unless given. Labels are class names, or with ``class_names``
        also indices into those
    caption, boxes : columns; guessed unless given, ``"(none)"`` for none. Boxes are lists ``[[x1, y1, x2, y2], ...]``
        in pixels of the upright image, in a CSV as JSON
    group : column with two values, whether an image holds a feature that may be spurious; none unless given. Of
        values other than yes and no (1 and 0, true and false ...) the later one in the alphabet counts as present
    root : folder that the paths start from and must stay in; the table's own unless given
    class_names : classes in order, as a list or a text with commas; the labels that occur, sorted, unless given
    templates : prompts, each with one ``{}``

    Raises
    ------
    DataError
        For columns that are not there, labels that are not among ``class_names``, conflicting rows, boxes that are
        none, paths outside of ``root``; rows are counted from 1 below the header.
    """

    form_label = "Table: CSV, TSV or Parquet"
    form = (
        Field("path", "Table", "path", help="a .csv, .tsv or .parquet file, one row an image"),
        Field("image", "Images", "choice", help="column of paths", choices=choose("image", _columns)),
        Field("label", "Labels", "choice", help="column of classes", choices=choose("label", _columns)),
        Field("caption", "Captions", "choice", help="column", choices=choose("caption", _columns, optional=True)),
        Field("boxes", "Boxes", "choice", help="column of JSON", choices=choose("boxes", _columns, optional=True)),
        Field("group", "Feature", "choice", help="column, yes or no", choices=choose("group", _columns, optional=True)),
        Field("class_names", "Classes", "text", help="names in order, with commas: cat, dog", required=False),
        Field(
            "root", "Root", "path", help="folder that paths start from; the table's own unless given", required=False
        ),
    )

    def __init__(
        self,
        path: str | Path,
        image: str | None = None,
        label: str | None = None,
        caption: str | None = None,
        boxes: str | None = None,
        group: str | None = None,
        root: str | Path | None = None,
        class_names: Sequence[str] | str | None = None,
        templates: Sequence[str] = CLIP_TEMPLATES,
    ) -> None:
        file = user_path(path)
        there = column_names(file)
        given = {"image": image, "label": label, "caption": caption, "boxes": boxes}
        chosen = {role: guess(there, role) if name is None else name for role, name in given.items()} | {"group": group}
        chosen = {role: "" if name == NONE else name for role, name in chosen.items()}
        for role in ("image", "label"):
            if not chosen[role]:
                came = f"the columns {', '.join(map(repr, there))}"
                raise DataError(f"a column with each {role} in {str(file)!r}", came, f"Name it: {role}=...")
        used = {role: name for role, name in chosen.items() if name}
        check_columns(file, there, list(used.values()))
        columns = read_columns(file, list(used.values()))
        rows = {role: columns[name] for role, name in used.items()}
        for value in rows["image"]:
            if not isinstance(value, (str, type(None))):
                raise DataError(
                    f"paths in the column {used['image']!r}", f"{type(value).__name__}",
                    "For images stored in the table itself, open it with HuggingFaceDataset.",
                )  # fmt: skip
        folder = user_path(root) if root else file.parent
        complete = [i for i, pair in enumerate(zip(rows["image"], rows["label"], strict=True)) if None not in pair]
        if not complete:
            raise DataError(
                "rows with an image and a label",
                f"none among {len(rows['image'])} of {str(file)!r}",
                "Check which columns are read.",
            )
        files = resolve_inside(folder, [rows["image"][i] for i in complete])
        kept, repeats = _first_of_each(
            complete, files, {role: rows[role] for role in ("label", "group") if role in rows}
        )
        names, labels = classes_of(rows["label"], kept, class_names)
        lists = _boxes(rows["boxes"], kept, repeats) if "boxes" in rows else None
        feature, present = _feature(used.get("group"), rows.get("group", []), kept)
        n_repeats, n_dropped = sum(map(len, repeats.values())), len(rows["image"]) - len(complete)
        by_row = dict(zip(complete, files, strict=True))
        super().__init__(
            [by_row[row] for row in kept],
            labels,
            names,
            name=file.stem,
            templates=templates,
            captions=[str(rows["caption"][row] or "") for row in kept] if "caption" in rows else None,
            regions=None if lists is None else Regions.from_lists(lists),
            feature_name=feature,
            feature_present=present,
            root=folder.resolve(),
            notes=[
                *([f"{n_dropped} rows without an image or a label were dropped."] if n_dropped else []),
                *number_notes(names, class_names),
                *([f"{n_repeats} rows that repeat an image were dropped."] if n_repeats else []),
            ],
        )


def _first_of_each(
    rows: list[int], files: list[Path], same: dict[str, list[Any]]
) -> tuple[list[int], dict[int, list[int]]]:
    """The first row of each file, and row -> later rows of the same file, which must agree in ``same``."""
    first: dict[Path, int] = {}
    repeats: dict[int, list[int]] = {}
    for row, file in zip(rows, files, strict=True):
        kept = first.setdefault(file, row)
        if kept == row:
            continue
        for role, values in same.items():
            if values[kept] != values[row]:
                raise DataError(
                    f"one {role} for each image",
                    f"{as_text(values[kept])!r} in row {kept + 1} and {as_text(values[row])!r} in row {row + 1} "
                    f"for {str(file)!r}",
                    "Remove the wrong row.",
                )
        repeats.setdefault(kept, []).append(row)
    return list(first.values()), repeats


def _boxes(values: list[Any], rows: list[int], repeats: dict[int, list[int]]) -> list[list[list[float]]]:
    """Boxes of each kept row and of its repeats, none twice."""
    lists = []
    for row in rows:
        boxes = [box for each in (row, *repeats.get(row, ())) for box in _parse_boxes(values[each], each)]
        lists.append([list(box) for box in dict.fromkeys(boxes)])
    return lists


def _parse_boxes(value: Any, row: int) -> list[tuple[float, ...]]:
    try:
        boxes = json.loads(value) if isinstance(value, str) else value
        if not boxes:
            return []
        if not isinstance(boxes[0], list):
            boxes = [boxes]
        found = [tuple(float(corner) for corner in box) for box in boxes]
    except (ValueError, TypeError, KeyError) as error:
        came = f"{str(value)[:80]!r} in row {row + 1} ({error})"
        raise DataError("boxes as [[x1, y1, x2, y2], ...]", came, "Write them as JSON.") from error
    for box in found:
        if len(box) != 4 or not np.isfinite(box).all() or box[0] >= box[2] or box[1] >= box[3]:
            raise DataError(
                "boxes of four numbers with x1 < x2 and y1 < y2",
                f"{list(box)} in row {row + 1}",
                "Give two corners in pixels (COCO's are x, y, width, height).",
            )
    return found


def _feature(column: str | None, values: list[Any], rows: list[int]) -> tuple[str | None, np.ndarray | None]:
    """Name of the feature and whether each image holds it."""
    if not column:
        return None, None
    empty = [row for row in rows if values[row] is None]
    if empty:
        came = f"none in {len(empty)} rows, the first row {empty[0] + 1}"
        raise DataError(f"a value in {column!r} for every image", came, "Fill them in, or leave the group out.")
    texts = [as_text(values[row]) for row in rows]
    plain = [text.casefold() for text in texts]
    if set(plain) <= YES | NO:
        return column, np.array([text in YES for text in plain])
    occurring = sorted(set(texts))
    if len(occurring) != 2:
        raise DataError(f"two values in {column!r}", listed(occurring), "Pick a column that says yes or no.")
    return f"{column}: {occurring[1]}", np.array([text == occurring[1] for text in texts])
