"""Any image set of Hugging Face ``datasets``, by its name on the hub or from a folder (extra ``hf``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ravl_explore.data.base import CLIP_TEMPLATES
from ravl_explore.data.cells import EMPTY, caption_of, plain
from ravl_explore.data.column_roles import NONE, guess
from ravl_explore.data.columns import check_columns, column_names, listed, names_from, number_notes
from ravl_explore.data.formats import Source
from ravl_explore.data.given_files import read_json
from ravl_explore.data.hugging_face_loading import inside_one, is_saved, load
from ravl_explore.data.hugging_face_splits import SPLIT, parquet_files
from ravl_explore.data.label_cells import read_cells
from ravl_explore.data.labels import MULTIPLE, Multiple, one_class_each, require_two
from ravl_explore.data.lazy_images import LazyImages
from ravl_explore.errors import DataError, MissingDependencyError
from ravl_explore.support.fields import Field
from ravl_explore.support.files import user_path
from ravl_explore.support.fingerprints import digest

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

ClassIndex = int | None  # as datasets stores a class label; below 0, or None, where it is hidden


class HuggingFaceDataset(LazyImages):
    """Images of a ``datasets.Dataset`` on disk; pixels are read by this package, so upright and in every depth.

    Rows without a label (None, or -1 where labels are hidden) are dropped; ``notes`` tells how many. A format or
    transform that was set on the dataset is taken off. Class labels that no row has stay classes, which is told.
    Image files that a folder or a set of the hub names must lie in that folder, or in the caches of Hugging Face.

    Parameters
    ----------
    name : str, Path, datasets.Dataset or datasets.DatasetDict
        The name of a dataset on the hub (``org/name``), a folder written by ``save_to_disk``, a folder of Parquet files
        or of images; or the dataset itself.
    split : str or None
        Where there are several; ``test`` unless given.
    image : str or None
        Column of the images; the first of images, else guessed from usual names, unless given.
    label : str or None
        Column of the labels; the first of class labels, else guessed from usual names, unless given.
    caption : str or None
        Column of texts, or of lists of texts whose first is taken; guessed unless given, ``"(none)"`` for none.
    class_names : sequence of str, or str, or None
        As of :class:`~ravl_explore.data.table.Table`; the class labels' own names unless given.
    templates : sequence of str
        Prompts, each with one ``{}``.
    config : str or None
        Name of the configuration, where the hub's dataset has several.
    multiple : {"refuse", "drop"}
        For rows with several labels, as of :class:`~ravl_explore.data.table.Table`.
    positive : str or None
        For rows with several labels, as of :class:`~ravl_explore.data.table.Table`.

    Raises
    ------
    MissingDependencyError
        Without ``datasets``.
    DataError
        When it cannot be loaded (offline, unknown, another split, streamed), for columns that are not there, unknown
        labels, several labels of a row, and image files outside of its folder.
    InputError
        For an object that is no dataset of ``datasets``.
    """

    form_label = "Hugging Face dataset"
    form = (
        Field("name", "Name", "path", help="org/name on the hub, or a folder"),
        Field("split", "Split", "text", help="test unless given", required=False),
        Field("image", "Images", "search", help="column; guessed", required=False, choices=lambda a: _columns(a)),
        Field("label", "Labels", "search", help="column; guessed", required=False, choices=lambda a: _columns(a)),
        Field("caption", "Captions", "search", help="column; guessed", required=False, choices=lambda a: _columns(a)),
        Field("multiple", "Several", "choice", help="labels of one image", choices=lambda answers: MULTIPLE),
        Field("positive", "One label", "text", help="against all others: Effusion", required=False),
        Field("class_names", "Classes", "text", help="names in order, with commas: cat, dog", required=False),
    )

    def __init__(
        self,
        name: str | Path | Dataset | DatasetDict,
        split: str | None = None,
        image: str | None = None,
        label: str | None = None,
        caption: str | None = None,
        class_names: Sequence[str] | str | None = None,
        templates: Sequence[str] = CLIP_TEMPLATES,
        config: str | None = None,
        multiple: Multiple = "refuse",
        positive: str | None = None,
    ) -> None:
        try:
            import datasets
        except ImportError as error:
            raise MissingDependencyError(
                "datasets, which loads Hugging Face's sets",
                f"an import that fails ({error})",
                "Install it: pip install 'ravl-explore[hf]'.",
            ) from error
        loaded = load(name, split or None, config or None)
        table, title = loaded.table, loaded.title
        there, features = list(table.column_names), table.features
        image = image or _of_type(features, datasets.Image) or guess(there, "image")
        label = label or _of_type(features, datasets.ClassLabel) or guess(there, "label")
        caption = guess(there, "caption") if caption is None else "" if caption in ("", NONE) else caption
        if not image or not label:
            role, came = "label" if image else "image", f"the columns {', '.join(map(repr, there))}"
            raise DataError(f"a column with each {role} in {title!r}", came, f"Name it: {role}=...")
        check_columns(title, there, [column for column in (image, label, caption) if column])

        values, own = _labels(table, label)
        asked = names_from(class_names) or ()
        cells = read_cells([plain(value, EMPTY) for value in values], (*own, *asked))
        labelled = [row for row, of_row in enumerate(cells.labels) if of_row]
        if not labelled:
            came = f"none among {len(values)} of {title!r}{cells.said_missing}"
            raise DataError("rows with a label", came, "Take another split.")
        of_row = [cells.labels[row] for row in labelled]
        named = class_names if positive else asked or own or None
        classes = one_class_each(of_row, named, multiple, positive, lambda place: f"in row {labelled[place] + 1}")
        require_two(classes.names, cells, classes.notes)
        kept = [labelled[place] for place in classes.kept]
        texts = table.select_columns([caption])[:][caption] if caption else None
        stored = _as_images(table.select_columns([image]), image)
        if loaded.folders:
            for path in _paths(stored, image):
                inside_one(loaded.folders, path)
        n_dropped = len(values) - len(labelled)
        self._rows = np.array(kept, np.int64)
        self._mark = digest(["hugging face", table._fingerprint, image, self._rows])
        super().__init__(
            _Images(stored, image, self._rows, loaded.folders),
            classes.labels,
            classes.names,
            name=Path(title).name or title,
            templates=templates,
            captions=None if texts is None else [caption_of(texts[row]) for row in kept],
            notes=[
                *loaded.notes,
                *number_notes(classes.names, class_names),
                *([f"{n_dropped} rows without a label were dropped."] if n_dropped else []),
                *cells.notes,
                *classes.notes,
            ],
        )

    def where(self, index: int) -> str:
        """The row in the dataset; rows may have no file.

        Parameters
        ----------
        index : int
            The image's number here, from 0 up.
        """
        return f"row {int(self._rows[index])} of {self.name}"

    def fingerprint(self) -> str:
        """Of the dataset's own fingerprint, the column and the rows."""
        return self._mark


class _Images:
    """Each row's image file, as bytes or as a path, one at a time."""

    def __init__(self, table: Dataset, column: str, rows: np.ndarray, folders: tuple[Path, ...]) -> None:
        self._table, self._column, self._rows, self._folders = table, column, rows, folders

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Source:
        stored = self._table[int(self._rows[index])][self._column] or {}
        path = stored.get("path")
        if stored.get("bytes") or not path:
            return stored.get("bytes") or b""
        return inside_one(self._folders, path) if self._folders else Path(path)


def _labels(table: Dataset, column: str) -> tuple[list[object], tuple[str, ...]]:
    """The cells of a column; class labels by their names, which come along."""
    import datasets

    values = list(table.select_columns([column])[:][column])
    feature = table.features[column]
    inner = getattr(feature, "feature", feature)  # of a sequence of class labels
    if isinstance(inner, datasets.ClassLabel):
        return [_named(value, inner.names) for value in values], tuple(inner.names)
    return values, ()


def _as_images(table: Dataset, column: str) -> Dataset:
    """The column's images as they are stored, each as bytes or as a path."""
    import datasets
    import pyarrow

    try:
        return table.cast_column(column, datasets.Image(decode=False))
    except (pyarrow.ArrowException, TypeError, ValueError, KeyError) as error:
        came = f"{table.features[column]}"[:200]
        raise DataError(f"one image in each row of {column!r}", came, "Name the column of images: image=...") from error


def _paths(table: Dataset, column: str) -> list[str]:
    """Paths of the images whose bytes do not stand in the table; read without the bytes of the others."""
    found: dict[str, None] = {}  # as a set in order
    for chunk in table.data.column(column).chunks:
        paths = chunk.field("path").filter(chunk.field("bytes").is_null())
        found.update(dict.fromkeys(path for path in paths.unique().to_pylist() if path))
    return list(found)


def _named(value: ClassIndex | list[ClassIndex], names: Sequence[str]) -> str | list[str | None] | None:
    """Names of class labels, None for those that are hidden."""
    return [_name(each, names) for each in value] if isinstance(value, list) else _name(value, names)


def _name(value: ClassIndex, names: Sequence[str]) -> str | None:
    if value is None or value < 0:
        return None
    if value >= len(names):
        came = f"{value} for the names {listed(names)}"
        raise DataError("class labels that have a name", came, "Save the dataset anew.")
    return names[value]


def _of_type(features: Mapping[str, object], kind: type) -> str | None:
    return next((name for name, feature in features.items() if isinstance(feature, kind)), None)


def _columns(answers: Mapping[str, object]) -> list[str]:
    """Columns of a folder; those of the hub's sets are not asked for at every key."""
    name, split = str(answers.get("name") or "").strip(), str(answers.get("split") or "") or None
    folder = user_path(name)
    if is_saved(folder):
        saved = folder / (split or SPLIT) if (folder / "dataset_dict.json").exists() else folder
        return _features(saved / "dataset_info.json") if (saved / "dataset_info.json").exists() else []
    files = parquet_files(folder, split)[0] if name and folder.exists() else {}
    return column_names(next(iter(files.values()))[0]) if files else []


def _features(file: Path) -> list[str]:
    """Columns that a saved dataset's description names."""
    described = read_json(file, "a dataset's description")
    features = (described.get("features") or {}) if isinstance(described, dict) else None
    if not isinstance(features, dict):
        raise DataError(
            "a dataset's description with its 'features' by name", f"{str(file)!r} without", "Save the dataset anew."
        )
    return list(features)
