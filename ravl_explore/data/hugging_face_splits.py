"""Which files of a folder hold which split of a dataset, by their names; and the names in what was asked for."""

# ruff: noqa: PTH112, PTH113  pathlib's own raise where a folder is closed
from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ravl_explore.data.columns import listed
from ravl_explore.errors import DataError

SPLIT = "test"  # where none is asked for
SPLIT_WORDS = frozenset({
    "train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "evaluation",
})  # fmt: skip
_NAME_ONE = "Name one of those."
SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?")  # test-00000-of-00001.parquet, as the hub writes it
NUMBERED = re.compile(r"(.*?)[-_. ]*\d+")  # test_0.parquet


def parquet_files(place: Path, split: str | None, config: str | None = None) -> tuple[dict[str, list[Path]], list[str]]:
    """Split -> Parquet files of it in a folder, or the one file itself; none where there is no Parquet; and notes.

    A file is of the split that it is called by (``test.parquet``, ``test-00000-of-00001.parquet``), or else the folder
    that it lies in; where none is called so, those whose name holds it as a word (``chest-test.parquet``), which is
    told. Where no file says of which split it is, all are taken unless a split is asked for.

    Parameters
    ----------
    place : Path
        A folder, whose folders are looked through, or a Parquet file.
    split : str or None
        Such as ``"test"`` or ``"train[:10%]+test"``.
    config : str or None
        The folder that holds the configuration.

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
        raise no_split(split or SPLIT, str(place), splits)
    files = {name: [file for file, (_, of) in named.items() if of == name] for name in wanted}
    folders = sorted({"/".join(named[file][0]) for each in files.values() for file in each})
    if len(folders) > 1:
        came = f"Parquet files of {split or SPLIT!r} in the folders {listed(folders)}"
        raise DataError("one configuration", came, "Name one of the folders as config.")
    return files, notes if by_word else []


def split_names(split: str) -> list[str]:
    """Names in a split as datasets writes it.

    Parameters
    ----------
    split : str
        Such as ``"train[:10%]+test"``.

    Examples
    --------
    >>> split_names("train[:10%]+test+train[20%:]")
    ['train', 'test']
    """
    return list(dict.fromkeys(part.partition("[")[0].strip() for part in split.split("+")))


def keys_of(split: str) -> set[str]:
    """Names in a split, each as :func:`key_of` gives it.

    Parameters
    ----------
    split : str
        Such as ``"train[:10%]+test"``.
    """
    return {key_of(name) for name in split_names(split)}


def key_of(split: str) -> str:
    """A split's name as datasets takes it.

    Parameters
    ----------
    split : str
        One name, without a part in brackets.
    """
    return re.sub(r"\W", "_", split)


def no_split(split: str, title: str, there: Sequence[str]) -> DataError:
    """What to raise when a split is not there.

    Parameters
    ----------
    split : str
        What was asked for.
    title : str
        Of the dataset.
    there : sequence of str
        The splits that there are; none where no file says of which split it is.
    """
    came = f"the splits {list(there)}" if there else "files that name no split"
    remedy = _NAME_ONE if there else "Leave the split out to read all of them."
    return DataError(f"split {split!r} of {title!r}", came, remedy)


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
