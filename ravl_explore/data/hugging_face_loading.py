"""A datasets.Dataset by name, from a folder or out of what was handed over; and where its images may lie."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravl_explore.data.columns import is_table, listed
from ravl_explore.data.given_files import existing_folder, expanded
from ravl_explore.data.inside import resolve_inside
from ravl_explore.errors import DataError, InputError

SPLIT = "test"  # where none is asked for
SPLIT_WORDS = frozenset({
    "train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "evaluation",
})  # fmt: skip
SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?")  # test-00000-of-00001.parquet, as the hub writes it
NUMBERED = re.compile(r"(.*?)[-_. ]*\d+")  # test_0.parquet


@dataclass(frozen=True)
class Loaded:
    """What was loaded.

    Attributes
    ----------
    table : a ``datasets.Dataset`` without format and transform
    title : what to call it
    folders : in which the image files that it names must lie; none where a program made it itself
    notes : what was assumed, as sentences
    """

    table: Any
    title: str
    folders: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def load(given: Any, split: str | None, config: str | None) -> Loaded:
    """Load what was named, or take the split out of what was handed over.

    Raises
    ------
    DataError
        When it cannot be loaded, has no such split (those there are, are listed), or is streamed.
    InputError
        For an object of another kind.
    """
    import datasets

    if isinstance(given, (str, Path)):
        loaded = _by_name(str(given), split, config)
    elif isinstance(given, (datasets.Dataset, datasets.DatasetDict)):
        loaded = Loaded(given, "dataset", ())
    else:
        raise _other(given)
    table, title = loaded.table, loaded.title
    if isinstance(table, datasets.DatasetDict):
        if (split or SPLIT) not in table:
            raise _no_split(split or SPLIT, title, sorted(map(str, table)))
        table = table[split or SPLIT]
    elif split and table.split is not None and not _parts(split) <= _parts(str(table.split)):
        raise _no_split(split, title, [str(table.split)])
    if table.format["type"] is not None or table.format["columns"] != table.column_names:
        table = table.with_format(None)  # a format or transform would hand out tensors, or hide columns
    if not isinstance(given, (str, Path)):
        title = str(table.info.dataset_name or title)
    return Loaded(table, title, loaded.folders, loaded.notes)


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote it."""
    return any(os.path.isfile(folder / name) for name in ("state.json", "dataset_dict.json"))  # noqa: PTH113


def parquet_files(folder: Path, split: str | None, config: str | None = None) -> tuple[list[Path], list[str]]:
    """The folder's Parquet files of a split, none where it holds no Parquet, and notes.

    A file is of the split that it is called by (``test.parquet``, ``test-00000-of-00001.parquet``), or else the folder
    that it lies in. Where no file says of which split it is, all are taken unless a split is asked for.

    Raises
    ------
    DataError
        For a split that is not there, or in several folders that are no splits, which are configurations.
    """
    found = sorted(folder.rglob("*.parquet"))
    named = {file: _split_of(file.relative_to(folder)) for file in found}
    if config is not None:
        named = {file: of for file, of in named.items() if config in of[0]}
    splits = sorted({name for _, name in named.values() if name})
    if not splits and not split:
        note = f"The {len(named)} Parquet files name no split; all were read."
        return list(named), [note] if named else []
    if not named:
        if found:
            there = sorted({part for file in found for part in _split_of(file.relative_to(folder))[0]})
            raise DataError(f"the configuration {config!r}", f"the folders {listed(there)}", "Name one of those.")
        return [], []
    wanted = _parts(split or SPLIT)
    if not wanted <= set(splits):
        raise _no_split(split or SPLIT, str(folder), splits)
    files = [file for file, (_, name) in named.items() if name in wanted]
    places = sorted({"/".join(named[file][0]) for file in files})
    if len(places) > 1:
        came = f"Parquet files of {split or SPLIT!r} in the folders {listed(places)}"
        raise DataError("one configuration", came, "Name one of the folders as config.")
    return files, []


def inside_one(folders: Sequence[Path], name: str) -> Path:
    """The path of a file that a dataset names, which must lie in one of the folders, the first of which is its own.

    Raises
    ------
    DataError
        When it leads elsewhere.
    """
    for folder in folders:
        try:
            return resolve_inside(folder, [name])[0]
        except DataError:
            continue
    raise DataError(
        f"image files inside {str(folders[0])!r}",
        f"{name!r}, which leads elsewhere",
        "If you trust the dataset, write it anew with save_to_disk, which stores the images themselves, and open that.",
    )


def _by_name(name: str, split: str | None, config: str | None) -> Loaded:
    import datasets
    from datasets.exceptions import DatasetsError
    from huggingface_hub import constants

    folder = expanded(name)
    local = os.path.exists(folder) or name.startswith(("~", ".", os.sep)) or is_table(name)  # noqa: PTH110
    if local:
        existing_folder(name, "a dataset's folder, or its name on the hub")
    caches = (Path(datasets.config.HF_DATASETS_CACHE), Path(constants.HF_HUB_CACHE))
    folders = (folder, *caches) if local else caches
    options = {"trust_remote_code": False} if _runs_scripts(datasets.load_dataset) else {}
    notes: list[str] = []
    try:
        if is_saved(folder):
            loaded = datasets.load_from_disk(str(folder))
        elif local and (found := parquet_files(folder, split, config))[0]:
            files, notes = found
            key = re.sub(r"\W", "_", split or SPLIT)
            paths = [str(inside_one(folders, str(file.absolute()))) for file in files]
            loaded = datasets.load_dataset("parquet", data_files={key: paths}, split=key)
        else:
            loaded = datasets.load_dataset(str(folder) if local else name, config, split=split or SPLIT, **options)
    except (OSError, ValueError, RuntimeError, DatasetsError, TypeError, AttributeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise DataError(
            f"split {split or SPLIT!r} of the dataset {name!r}",
            f"{type(error).__name__}: {reason}",
            "Check the name and split; offline, save it elsewhere with save_to_disk and give that folder.",
        ) from error
    return Loaded(loaded, name, folders, tuple(notes))


def _runs_scripts(load_dataset: Any) -> bool:
    """Whether this release of ``datasets`` still knows sets that bring code, and asks before it runs."""
    return "trust_remote_code" in inspect.signature(load_dataset).parameters


def _split_of(path: Path) -> tuple[tuple[str, ...], str]:
    """(folders that do not name the split, split) of a Parquet file, "" for one that names none.

    >>> [_split_of(Path(p)) for p in ("data/test-00000-of-00001.parquet", "en/train/0000.parquet", "all.parquet")]
    [(('data',), 'test'), (('en',), 'train'), ((), '')]
    """
    folders, stem = path.parent.parts, path.stem
    match = SHARD.fullmatch(stem) or NUMBERED.fullmatch(stem)
    own = match[1] if match else stem
    if _is_split(own) or (SHARD.fullmatch(stem) and not any(map(_is_split, folders))):
        return folders, own
    place = next((place for place, name in reversed(list(enumerate(folders))) if _is_split(name)), None)
    return (folders, "") if place is None else (folders[:place], folders[place])


def _is_split(name: str) -> bool:
    return not SPLIT_WORDS.isdisjoint(re.split(r"[-_. ]", name.casefold()))


def _parts(split: str) -> set[str]:
    """Names in a split as datasets writes it, such as ``train+test`` or ``train[:10%]``."""
    return {part.partition("[")[0].strip() for part in split.split("+")}


def _no_split(split: str, title: str, there: Sequence[str]) -> DataError:
    came = f"the splits {list(there)}" if there else "files that name no split"
    remedy = "Name one of those." if there else "Leave the split out to read all of them."
    return DataError(f"split {split!r} of {title!r}", came, remedy)


def _other(given: Any) -> DataError | InputError:
    import datasets

    if isinstance(given, (datasets.IterableDataset, datasets.IterableDatasetDict)):
        return DataError(
            "a dataset whose rows can be read in any order",
            f"a streamed one, {type(given).__name__}",
            "Load it without streaming=True; of a large one, take some rows: "
            "datasets.Dataset.from_list(list(stream.take(1000)), features=stream.features).",
        )
    remedy = "For images in memory use ArrayDataset, for files ImageFiles."
    if type(given).__module__.partition(".")[0] == "pandas":
        remedy = "Make one with datasets.Dataset.from_pandas, or save it as CSV or Parquet and open that with Table."
    elif isinstance(given, (list, tuple)):
        remedy = "Make one with datasets.Dataset.from_list."
    elif isinstance(given, Mapping):
        remedy = "Hand over one of its values, or make one with datasets.Dataset.from_dict."
    kind = f"{type(given).__module__}.{type(given).__qualname__}"
    return InputError("a name, a folder or a datasets.Dataset", kind, remedy)
