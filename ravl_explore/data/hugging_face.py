"""Any image set of Hugging Face ``datasets``, by its name on the hub or from a folder (extra ``hf``)."""

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
    classes_of,
    column_names,
    guess,
    names_from,
    number_notes,
    plain,
)
from ravl_explore.data.files import LazyImages
from ravl_explore.data.reading import Source
from ravl_explore.errors import DataError, MissingDependencyError
from ravl_explore.files import user_path
from ravl_explore.fingerprints import digest
from ravl_explore.forms import Field


class HuggingFaceDataset(LazyImages):
    """Images of a ``datasets.Dataset`` on disk; pixels are read by this package, so upright and in every depth.

    Rows without a label (None, or -1 where labels are hidden) are dropped; ``notes`` tells how many.

    Parameters
    ----------
    name : of a dataset on the hub (``org/name``), a folder written by ``save_to_disk``, a folder of Parquet files or of
        images; or a ``datasets.Dataset``
    split : where there are several
    image, label : columns; the first of images and of class labels, else guessed from usual names, unless given
    caption : column of texts, or of lists of texts whose first is taken; guessed unless given, ``"(none)"`` for none
    class_names : as of :class:`~ravl_explore.data.table.Table`; the class labels' own names unless given
    templates : prompts, each with one ``{}``
    config : name of the configuration, where the hub's dataset has several

    Raises
    ------
    MissingDependencyError
        Without ``datasets``.
    DataError
        When it cannot be loaded (offline, unknown, another split), for columns that are not there, and unknown labels.
    """

    form_label = "Hugging Face dataset"
    form = (
        Field("name", "Name", "path", help="org/name on the hub, or a folder"),
        Field("split", "Split", "text", default="test"),
        Field("image", "Images", "search", help="column; guessed", required=False, choices=lambda a: _columns(a)),
        Field("label", "Labels", "search", help="column; guessed", required=False, choices=lambda a: _columns(a)),
        Field("caption", "Captions", "search", help="column; guessed", required=False, choices=lambda a: _columns(a)),
        Field("class_names", "Classes", "text", help="names in order, with commas: cat, dog", required=False),
    )

    def __init__(
        self,
        name: Any,
        split: str = "test",
        image: str | None = None,
        label: str | None = None,
        caption: str | None = None,
        class_names: Sequence[str] | str | None = None,
        templates: Sequence[str] = CLIP_TEMPLATES,
        config: str | None = None,
    ) -> None:
        try:
            import datasets
        except ImportError as error:
            raise MissingDependencyError(
                "datasets, which loads Hugging Face's sets",
                f"an import that fails ({error})",
                "Install it: pip install 'ravl-explore[hf]'.",
            ) from error
        table = _load(str(name), split, config) if isinstance(name, (str, Path)) else name
        title = str(name) if isinstance(name, (str, Path)) else str(table.info.dataset_name or "dataset")
        there, features = list(table.column_names), table.features
        image = image or _of_type(features, datasets.Image) or guess(there, "image")
        label = label or _of_type(features, datasets.ClassLabel) or guess(there, "label")
        caption = guess(there, "caption") if caption is None else "" if caption in ("", NONE) else caption
        for role, column in (("image", image), ("label", label)):
            if not column:
                came = f"the columns {', '.join(map(repr, there))}"
                raise DataError(f"a column with each {role} in {title!r}", came, f"Name it: {role}=...")
        assert image and label
        check_columns(title, there, [column for column in (image, label, caption) if column])

        values = [plain(value) for value in table.select_columns([label])[:][label]]
        feature = features[label]
        if isinstance(feature, datasets.ClassLabel):
            values = [None if value is None or value < 0 else feature.names[value] for value in values]
            named = names_from(class_names) or tuple(feature.names)
        else:
            named = class_names
        kept = [row for row, value in enumerate(values) if value is not None]
        if not kept:
            raise DataError("rows with a label", f"none among {len(values)} of {title!r}", "Take another split.")
        names, labels = classes_of(values, kept, named)
        texts = table.select_columns([caption])[:][caption] if caption else None
        stored = table.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        n_dropped = len(values) - len(kept)
        self._rows = np.array(kept, np.int64)
        self._mark = digest(["hugging face", table._fingerprint, image, self._rows])
        super().__init__(
            _Images(stored, image, self._rows),
            labels,
            names,
            name=Path(title).name or title,
            templates=templates,
            captions=None if texts is None else [_caption(texts[row]) for row in kept],
            notes=[
                *number_notes(names, class_names),
                *([f"{n_dropped} rows without a label were dropped."] if n_dropped else []),
            ],
        )

    def where(self, index: int) -> str:
        """The row in the dataset; rows may have no file."""
        return f"row {int(self._rows[index])} of {self.name}"

    def fingerprint(self) -> str:
        """Of the dataset's own fingerprint, the column and the rows."""
        return self._mark


class _Images(Sequence[Source]):
    """Each row's image file, as bytes or as a path, one at a time."""

    def __init__(self, table: Any, column: str, rows: np.ndarray) -> None:
        self._table, self._column, self._rows = table, column, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        stored = self._table[int(self._rows[index])][self._column] or {}
        return stored.get("bytes") or (Path(stored["path"]) if stored.get("path") else b"")


def _load(name: str, split: str, config: str | None) -> Any:
    import datasets
    from datasets.exceptions import DatasetsError

    folder = user_path(name)
    try:
        if _saved(folder):
            loaded = datasets.load_from_disk(str(folder))
        elif files := _parquet_files(folder, split):
            loaded = datasets.load_dataset("parquet", data_files={split: files}, split=split)
        else:
            loaded = datasets.load_dataset(str(folder) if folder.is_dir() else name, config, split=split)
    except (OSError, ValueError, RuntimeError, DatasetsError, TypeError, AttributeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise DataError(
            f"split {split!r} of the dataset {name!r}",
            f"{type(error).__name__}: {reason}",
            "Check the name and split; offline, save it elsewhere with save_to_disk and give that folder.",
        ) from error
    if isinstance(loaded, dict):  # a DatasetDict
        if split not in loaded:
            raise DataError(f"split {split!r} of {name!r}", f"the splits {sorted(loaded)}", "Name one of those.")
        loaded = loaded[split]
    return loaded


def _saved(folder: Path) -> bool:
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def _parquet_files(folder: Path, split: str) -> list[str]:
    """Parquet files of the split, as the hub names them (``test-00000-of-00001.parquet``), or all if none is."""
    files = sorted(folder.rglob("*.parquet")) if folder.is_dir() else []
    of_split = [file for file in files if file.name.startswith(split) or file.parent.name == split]
    return [str(file) for file in of_split or files]


def _of_type(features: Mapping[str, Any], kind: type) -> str | None:
    return next((name for name, feature in features.items() if isinstance(feature, kind)), None)


def _caption(value: Any) -> str:
    first = value[0] if isinstance(value, list) and value else value
    return "" if first is None or first == [] else as_text(first).strip()


def _columns(answers: Mapping[str, Any]) -> list[str]:
    """Columns of a folder; those of the hub's sets are not asked for at every key."""
    folder = user_path(str(answers.get("name") or "").strip())
    split = str(answers.get("split") or "test")
    if _saved(folder):
        saved = folder if (folder / "state.json").is_file() else folder / split
        if not (saved / "dataset_info.json").is_file():
            return []
        return _features(saved / "dataset_info.json")
    files = _parquet_files(folder, split) if str(answers.get("name") or "").strip() else []
    return column_names(files[0]) if files else []


def _features(file: Path) -> list[str]:
    """Columns that a saved dataset's description names."""
    try:
        described = json.loads(file.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise DataError("a dataset's description", f"{str(file)!r} ({error})", "Check that it is whole.") from error
    features = (described.get("features") or {}) if isinstance(described, dict) else None
    if not isinstance(features, dict):
        raise DataError(
            "a dataset's description with its 'features' by name", f"{str(file)!r} without", "Save the dataset anew."
        )
    return list(features)
