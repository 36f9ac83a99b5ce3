"""A table, one row an image: its path, label, and maybe caption, boxes and group."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ravl_explore.data.base import CLIP_TEMPLATES
from ravl_explore.data.box_fitting import fit_boxes
from ravl_explore.data.cells import EMPTY, as_text, as_texts, caption_of, in_order, plain
from ravl_explore.data.column_roles import NONE, choose, guess
from ravl_explore.data.columns import (
    check_columns,
    column_names,
    encoding_notes,
    listed,
    names_from,
    number_notes,
    read_columns,
)
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.label_cells import read_cells
from ravl_explore.data.labels import MULTIPLE, Multiple, one_class_each, require_two
from ravl_explore.data.lookup import find_files
from ravl_explore.data.written_boxes import boxes_of
from ravl_explore.errors import DataError
from ravl_explore.regions.base import Regions
from ravl_explore.support.fields import Field
from ravl_explore.support.files import user_path

YES, NO = (
    frozenset({"1", "true", "yes", "y", "present", "with"}),
    frozenset({"0", "false", "no", "n", "absent", "without"}),
)
FLOAT = re.compile(r"-?\d+\.0", re.ASCII)  # how pandas writes a whole number of a column with gaps


def _columns(answers: Mapping[str, object]) -> Sequence[str]:
    path = str(answers.get("path") or "").strip()
    return column_names(path) if path else ()


class Table(ImageFiles):
    """Images listed in a CSV, TSV or Parquet file.

    Rows without an image or a label are dropped, and so are repeats of an image with the same label, whose boxes are
    added to the first one's; ``notes`` tells how many. Labels such as "NA" count as missing unless ``class_names`` has
    them. Boxes are cut at the edges of their image, and those without area in it are left out.

    Several labels of an image, in one cell (``Effusion|Mass``, a list) or in several rows, are an error unless
    ``multiple`` or ``positive`` says what is to become of them.

    Parameters
    ----------
    path : str or Path
        The table, its first line naming the columns.
    image : str or None
        Column of the images' paths; guessed from usual names unless given. An image may be named without its ending
        where one file alone fits.
    label : str or None
        Column of class names, or with ``class_names`` also of indices into those; guessed from usual names unless
        given. Where all indices occur, images with -1, as for what is uncertain, are left out.
    caption : str or None
        Column of texts; guessed unless given, ``"(none)"`` for none.
    boxes : str or None
        Column of lists ``[[x1, y1, x2, y2], ...]`` in pixels of the upright image, in a CSV as JSON; guessed unless
        given, ``"(none)"`` for none.
    group : str or None
        Column with two values, whether an image holds a feature that may be spurious; none unless given. Of values
        other than yes and no (1 and 0, true and false ...) the later one in the alphabet, or the larger number, counts
        as present.
    root : str or Path or None
        Folder that the paths start from and must stay in; the table's own unless given.
    class_names : sequence of str, or str, or None
        Classes in order, as a list or a text with commas; the labels that occur, sorted, unless given.
    templates : sequence of str
        Prompts, each with one ``{}``.
    multiple : {"refuse", "drop"}
        What becomes of an image with several labels.
    positive : str or None
        A label; the classes are then this one and all images without it, called "no" and the label, or by two
        ``class_names``. Images with several labels are of the first if it is among them.

    Raises
    ------
    DataError
        For columns that are not there, several labels of an image, labels that are not among ``class_names``, boxes
        that are none, paths outside of ``root``; rows are counted from 1 below the header.
    """

    form_label = "Table: CSV, TSV or Parquet"
    form = (
        Field("path", "Table", "path", help="a .csv, .tsv or .parquet file, one row an image"),
        Field("image", "Images", "choice", help="column of paths", choices=choose("image", _columns)),
        Field("label", "Labels", "choice", help="column of classes", choices=choose("label", _columns)),
        Field("caption", "Captions", "choice", help="column", choices=choose("caption", _columns, optional=True)),
        Field("boxes", "Boxes", "choice", help="column of JSON", choices=choose("boxes", _columns, optional=True)),
        Field("group", "Feature", "choice", help="column, yes or no", choices=choose("group", _columns, optional=True)),
        Field("multiple", "Several", "choice", help="labels of one image", choices=lambda answers: MULTIPLE),
        Field("positive", "One label", "text", help="against all others: Effusion", required=False),
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
        multiple: Multiple = "refuse",
        positive: str | None = None,
    ) -> None:
        file = user_path(path)
        there = column_names(file)
        given = {"image": image, "label": label, "caption": caption, "boxes": boxes, "group": group or ""}
        used = _used(file, there, given)
        columns = read_columns(file, list(used.values()), EMPTY)
        rows = {role: columns[name] for role, name in used.items()}
        images = _names(rows["image"], used["image"])
        cells = read_cells(rows["label"], names_from(class_names) or ())
        complete = [row for row, name in enumerate(images) if name is not None and cells.labels[row]]
        if not complete:
            raise DataError(
                "rows with an image and a label",
                f"none among {len(images)} of {str(file)!r}{cells.said_missing}",
                "Check which columns are read.",
            )
        folder = user_path(root) if root else file.parent
        files, looked_up = _find(folder, [str(images[row]) for row in complete], file.parent)
        groups = as_texts([plain(value) for value in rows["group"]]) if "group" in rows else None
        by_row = dict(zip(complete, files, strict=True))
        first, repeats = _first_of_each(complete, files)
        if groups:
            _check_same("group", repeats, [() if text is None else (text,) for text in groups], by_row)
        if multiple == "refuse" and not positive:
            _check_same("label", repeats, cells.labels, by_row)
        of_image = [
            tuple(dict.fromkeys(label for each in (row, *repeats[row]) for label in cells.labels[each]))
            if repeats[row]
            else cells.labels[row]
            for row in first
        ]
        classes = one_class_each(of_image, class_names, multiple, positive, lambda place: f"in row {first[place] + 1}")
        require_two(classes.names, cells, classes.notes)
        kept = [first[place] for place in classes.kept]
        feature, present = _feature(used.get("group"), groups or [], kept)
        n_repeats, n_dropped = sum(map(len, repeats.values())), len(images) - len(complete)
        super().__init__(
            [by_row[row] for row in kept],
            classes.labels,
            classes.names,
            name=file.stem,
            templates=templates,
            captions=[caption_of(rows["caption"][row]) for row in kept] if "caption" in rows else None,
            feature_name=feature,
            feature_present=present,
            root=folder.resolve(),
            notes=[
                *encoding_notes(file),
                *([f"{n_dropped} rows without an image or a label were dropped."] if n_dropped else []),
                *cells.notes,
                *number_notes(classes.names, class_names),
                *([f"{n_repeats} rows that repeat an image were dropped."] if n_repeats else []),
                *classes.notes,
                *looked_up,
            ],
        )
        if "boxes" in rows:
            self._frame(boxes_of(rows["boxes"], kept, repeats))

    def _frame(self, lists: list[list[tuple[float, ...]]]) -> None:
        """Take the boxes of each image that have an area in it."""
        drawn = np.array([box for row in lists for box in row], np.float64).reshape(-1, 4)
        image_index = np.repeat(np.arange(len(lists)), [len(row) for row in lists])
        whole = np.isfinite(drawn).all(1) & (drawn[:, :2] < drawn[:, 2:]).all(1)
        fitted = fit_boxes(self, drawn[whole], image_index[whole])
        self.regions: Regions | None = Regions(fitted.boxes[fitted.inside], image_index[whole][fitted.inside])
        n_flat, n_cut = len(drawn) - len(self.regions), fitted.n_cut
        beyond = f"{n_cut:,} of {len(drawn):,} boxes reached beyond their image and were cut: are they in its pixels?"
        self.notes = (
            *self.notes,
            *([beyond] if n_cut else []),
            *([f"{n_flat} boxes without area inside their image were left out."] if n_flat else []),
        )


def _used(file: Path, there: Sequence[str], given: Mapping[str, str | None]) -> dict[str, str]:
    """Role -> the column that has it, of those that are read; one that is not given is guessed."""
    chosen = {role: guess(there, role) if name is None else name for role, name in given.items()}
    used = {role: name for role, name in chosen.items() if name and name != NONE}
    check_columns(file, there, list(used.values()))
    for role in ("image", "label"):
        if role not in used:
            came = f"the columns {', '.join(map(repr, there))}"
            raise DataError(f"a column with each {role} in {str(file)!r}", came, f"Name it: {role}=...")
    return used


def _names(values: Sequence[object], column: str) -> list[str | None]:
    """Names of images, None where there is none; ids are names, too, and texts stay as they are written."""
    plain_values = [plain(value) for value in values]
    for value in plain_values:
        if isinstance(value, bool) or not isinstance(value, (str, int, float, type(None))):
            remedy = "Pick the column of paths, image=..."
            if isinstance(value, (bytes, dict)):
                remedy = "For images stored in the table itself, open it with HuggingFaceDataset."
            raise DataError(f"paths in the column {column!r}", type(value).__name__, remedy)
    return [None if value is None else as_text(value) for value in plain_values]


def _find(folder: Path, names: list[str], beside: Path) -> tuple[list[Path], list[str]]:
    """The files of names; where all are such as 7.0 and none is there, those of 7, which pandas wrote so."""
    found = find_files(folder, names, beside=beside)
    if all(map(FLOAT.fullmatch, names)) and not any(map(os.path.isfile, found[0])):
        files, notes = find_files(folder, [name.removesuffix(".0") for name in names], beside=beside)
        if any(map(os.path.isfile, files)):
            return files, [f"Names such as {names[0]!r} were read without the .0, since no file is called so.", *notes]
    return found


def _first_of_each(rows: list[int], files: list[Path]) -> tuple[list[int], dict[int, list[int]]]:
    """The first row of each file, and each of these rows -> later rows of the same file."""
    first: dict[Path, int] = {}
    repeats: dict[int, list[int]] = {}
    for row, file in zip(rows, files, strict=True):
        kept = first.setdefault(file, row)
        if kept == row:
            repeats[row] = []
        else:
            repeats[kept].append(row)
    return list(first.values()), repeats


def _check_same(
    role: str, repeats: dict[int, list[int]], values: list[tuple[str, ...]], files: dict[int, Path]
) -> None:
    """Rows of one image must agree."""
    for kept, others in repeats.items():
        for row in others:
            if set(values[kept]) != set(values[row]):
                remedy = "Remove the wrong row."
                if role == "label":
                    remedy = (
                        "Remove the wrong row; if images have several labels, leave these out with multiple='drop', or "
                        f"ask for one against all others, as with positive={values[kept][0]!r}."
                    )
                raise DataError(
                    f"one {role} for each image",
                    f"{listed(values[kept]) or 'none'} in row {kept + 1} and {listed(values[row]) or 'none'} in row "
                    f"{row + 1} for {str(files[kept])!r}",
                    remedy,
                )


def _feature(column: str | None, values: list[str | None], rows: list[int]) -> tuple[str | None, np.ndarray | None]:
    """Name of the feature and whether each image holds it."""
    if not column:
        return None, None
    empty = [row for row in rows if values[row] is None]
    if empty:
        came = f"none in {len(empty)} rows, the first row {empty[0] + 1}"
        remedy = "Fill them in (words such as 'NA' count as none), or leave the group out."
        raise DataError(f"a value in {column!r} for every image", came, remedy)
    texts = [str(values[row]) for row in rows]
    plain_texts = [text.casefold() for text in texts]
    if set(plain_texts) <= YES | NO:
        return column, np.array([text in YES for text in plain_texts])
    occurring = in_order(texts)
    if len(occurring) != 2:
        raise DataError(f"two values in {column!r}", listed(occurring), "Pick a column that says yes or no.")
    return f"{column}: {occurring[1]}", np.array([text == occurring[1] for text in texts])
