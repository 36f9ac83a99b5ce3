"""A datasets.Dataset by name, from a folder or out of what was handed over; and where its images may lie."""

# ruff: noqa: PTH110, PTH112, PTH113, PTH117  pathlib's own raise where a folder is closed
from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravl_explore.data.columns import PARQUET, is_table, listed
from ravl_explore.data.given_files import existing_file, existing_folder, read_json
from ravl_explore.data.listed_paths import resolve_inside
from ravl_explore.errors import DataError, InputError, RavlError
from ravl_explore.support.files import user_path

SPLIT = "test"  # where none is asked for
SPLIT_WORDS = frozenset({
    "train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "evaluation",
})  # fmt: skip
CARD, BARE_CARD = "README.md", ".huggingface.yaml"  # what datasets reads of a folder, the second over the first
_NAME_ONE = "Name one of those."
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
    elif split and table.split is not None and not _keys(split) <= _keys(str(table.split)):
        raise _no_split(split, title, [str(table.split)])
    if table.format["type"] is not None or table.format["columns"] != table.column_names:
        table = table.with_format(None)  # a format or transform would hand out tensors, or hide columns
    if not isinstance(given, (str, Path)):
        title = str(table.info.dataset_name or title)
    return Loaded(table, title, loaded.folders, loaded.notes)


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote it."""
    return any(os.path.isfile(folder / name) for name in ("state.json", "dataset_dict.json"))


def parquet_files(place: Path, split: str | None, config: str | None = None) -> tuple[dict[str, list[Path]], list[str]]:
    """Split -> Parquet files of it in a folder, or the one file itself; none where there is no Parquet; and notes.

    A file is of the split that it is called by (``test.parquet``, ``test-00000-of-00001.parquet``), or else the folder
    that it lies in; where none is called so, those whose name holds it as a word (``chest-test.parquet``), which is
    told. Where no file says of which split it is, all are taken unless a split is asked for.

    Raises
    ------
    DataError
        For a split that is not there, or in several folders that are no splits, which are configurations.
    """
    folder, found = (place, sorted(place.rglob("*.parquet"))) if os.path.isdir(place) else (place.parent, [place])
    named = {file: _split_of(file.relative_to(folder)) for file in found if os.path.isfile(file)}
    if config is not None and named:
        there = sorted({name for folders, _ in named.values() for name in folders})
        if config not in there:
            raise DataError(f"the configuration {config!r}", f"the folders {listed(there) or 'none'}", _NAME_ONE)
        named = {file: of for file, of in named.items() if config in of[0]}
    splits = _splits(named)
    if not split and (not splits or place in named):
        note = f"Split unknown: {len(named)} Parquet files that name none were read."
        return ({SPLIT: list(named)} if named else {}), [] if splits or not named else [note]
    if not named:
        return {}, []
    wanted = split_names(split or SPLIT)
    by_word = {file: (of[0], word) for file, of in named.items() if (word := _word(file, of[1])) in wanted}
    by_word = {file: of for file, of in by_word.items() if of[1] not in splits}
    notes = [f"Parquet files were taken for a split by a word in their names: {listed([f.name for f in by_word])}."]
    named |= by_word
    splits = _splits(named)
    if not set(wanted) <= set(splits):
        raise _no_split(split or SPLIT, str(place), splits)
    files = {name: [file for file, (_, of) in named.items() if of == name] for name in wanted}
    folders = sorted({"/".join(named[file][0]) for each in files.values() for file in each})
    if len(folders) > 1:
        came = f"Parquet files of {split or SPLIT!r} in the folders {listed(folders)}"
        raise DataError("one configuration", came, "Name one of the folders as config.")
    return files, notes if by_word else []


def inside_one(folders: Sequence[Path], name: str) -> Path:
    """The path of a file that a dataset names, which must lie in one of the folders, the first of which is its own.

    Raises
    ------
    DataError
        When it leads elsewhere.
    """
    for folder in folders if os.path.isabs(name) else folders[:1]:
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
    import yaml
    from datasets import config as settings
    from datasets.exceptions import DatasetsError
    from huggingface_hub import constants

    place = user_path(name)
    local = os.path.exists(place) or name.startswith(("~", ".", os.sep)) or is_table(name)
    caches = (Path(settings.HF_DATASETS_CACHE), Path(constants.HF_HUB_CACHE))
    folders = (_folder_of(place), *caches) if local else caches
    options: dict[str, Any] = {"trust_remote_code": False} if _runs_scripts(datasets.load_dataset) else {}
    notes: list[str] = []
    try:
        if is_saved(place):
            for file in _saved_files(place):
                inside_one(folders, str(file.absolute()))
            loaded = datasets.load_from_disk(str(place))
        elif local and (found := parquet_files(place, split, config))[0]:
            files, notes = found
            paths = {_key(of): [str(inside_one(folders, str(file.absolute()))) for file in files[of]] for of in files}
            parts = (split or SPLIT).split("+")
            asked = "+".join(_key(part.partition("[")[0].strip()) + "".join(part.partition("[")[1:]) for part in parts)
            loaded = datasets.load_dataset("parquet", data_files=paths, split=asked)
        else:
            if local:
                _check_cards(place, folders)
            loaded = datasets.load_dataset(str(place) if local else name, config, split=split or SPLIT, **options)
    except RavlError:
        raise
    except (
        OSError, ValueError, RuntimeError, DatasetsError, TypeError, AttributeError, LookupError, ImportError,
        yaml.YAMLError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise DataError(
            f"split {split or SPLIT!r} of the dataset {name!r}",
            f"{type(error).__name__}: {reason}",
            "Check the name and split; offline, save it elsewhere with save_to_disk and give that folder.",
        ) from error
    return Loaded(loaded, name, folders, tuple(notes))


def _folder_of(place: Path) -> Path:
    """The folder that a dataset is, or that its one Parquet file lies in."""
    kind = "a dataset's folder, a Parquet file, or a name on the hub"
    if os.path.isfile(place):
        if place.suffix.lower() in PARQUET:
            return place.parent
        if is_table(place):
            raise DataError(kind, f"{str(place)!r}, a table of text", "Open a table of paths with Table.")
    return existing_folder(place, kind)


def _saved_files(folder: Path) -> list[Path]:
    """Arrow files that the descriptions which ``save_to_disk`` wrote name."""
    states = [state for state in (folder / "state.json", *folder.glob("*/state.json")) if os.path.isfile(state)]
    found = []
    for state in states:
        content = read_json(state, "a dataset that save_to_disk wrote")
        for entry in content["_data_files"]:
            found.append(state.parent / entry["filename"])
    return found


def _check_cards(folder: Path, folders: Sequence[Path]) -> None:
    """A folder's descriptions may name the files to load: none of them may lie elsewhere, and nothing is fetched."""
    import yaml
    from huggingface_hub.repocard import metadata_load

    for name, read in ((CARD, metadata_load), (BARE_CARD, _read_yaml)):
        card = folder / name
        if not os.path.exists(card):
            continue
        existing_file(card, f"a {name}")  # on a pipe, reading would wait for ever
        try:
            said = read(card)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            remedy = "Mend it, or move the file away."
            raise DataError(f"a {name} whose description is YAML", f"{str(card)!r}", remedy) from error
        if said and not isinstance(said, Mapping):
            raise DataError(f"a {name} of keys and values", f"{str(card)!r}", "Mend it, or move the file away.")
        for text in _texts((said or {}).get("configs")):
            inside_one(folders[:1], text)


def _read_yaml(file: Path) -> Any:
    import yaml

    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _texts(value: Any) -> list[str]:
    """All texts in lists and mappings, each of which is looked into once: in YAML one may hold itself."""
    found, seen, waiting = [], set[int](), [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            found.append(each)
        elif isinstance(each, (Mapping, list, tuple)) and id(each) not in seen:
            seen.add(id(each))
            waiting.extend(each.values() if isinstance(each, Mapping) else each)
    return found


def _key(split: str) -> str:
    """A split's name as datasets takes it."""
    return re.sub(r"\W", "_", split)


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


def _splits(named: Mapping[Path, tuple[tuple[str, ...], str]]) -> list[str]:
    return sorted({name for _, name in named.values() if name})


def _word(file: Path, own: str) -> str:
    """The one word for a split in a file's own name, "" without; parts are apart by what no split's name can hold.

    >>> [_word(Path(f"{name}.parquet"), name) for name in ("chest-test", "train_extra", "train-test", "x.testing")]
    ['test', '', '', 'testing']
    """
    words = SPLIT_WORDS.intersection(re.split(r"[-_. ]", own.casefold()))
    parts = [part for part in re.split(r"[-. ]", own) if part.casefold() in words]
    return parts[0] if len(words) == len(parts) == 1 and file.stem.startswith(own) else ""


def _is_split(name: str) -> bool:
    return not SPLIT_WORDS.isdisjoint(re.split(r"[-_. ]", name.casefold()))


def split_names(split: str) -> list[str]:
    """Names in a split as datasets writes it.

    >>> split_names("train[:10%]+test+train[20%:]")
    ['train', 'test']
    """
    return list(dict.fromkeys(part.partition("[")[0].strip() for part in split.split("+")))


def _keys(split: str) -> set[str]:
    return {_key(name) for name in split_names(split)}


def _no_split(split: str, title: str, there: Sequence[str]) -> DataError:
    came = f"the splits {list(there)}" if there else "files that name no split"
    remedy = _NAME_ONE if there else "Leave the split out to read all of them."
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
