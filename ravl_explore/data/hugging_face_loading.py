"""A datasets.Dataset by name, from a folder or out of what was handed over; and where its images may lie."""

# ruff: noqa: PTH110, PTH113, PTH117  pathlib's own raise where a folder is closed
from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravl_explore.data.columns import PARQUET, is_table
from ravl_explore.data.given_files import existing_file, existing_folder, read_json
from ravl_explore.data.hugging_face_splits import SPLIT, key_of, keys_of, no_split, parquet_files
from ravl_explore.data.listed_paths import resolve_inside
from ravl_explore.errors import DataError, InputError, RavlError
from ravl_explore.support.files import user_path

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

CARD, BARE_CARD = "README.md", ".huggingface.yaml"  # what datasets reads of a folder, the second over the first


@dataclass(frozen=True)
class Loaded:
    """What was loaded.

    Attributes
    ----------
    table : datasets.Dataset
        Without format and transform.
    title : str
        What to call it.
    folders : tuple of Path
        In which the image files that it names must lie; none where a program made it itself.
    notes : tuple of str
        What was assumed, as sentences.
    """

    table: Dataset
    title: str
    folders: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def load(given: object, split: str | None, config: str | None) -> Loaded:
    """Load what was named, or take the split out of what was handed over.

    Parameters
    ----------
    given : str, Path, datasets.Dataset or datasets.DatasetDict
        A name on the hub, a folder, or the dataset itself.
    split : str or None
        Such as ``"test"`` or ``"train[:10%]+test"``; :data:`SPLIT` unless given.
    config : str or None
        Name of the configuration, where there are several.

    Raises
    ------
    DataError
        When it cannot be loaded, has no such split (those there are, are listed), or is streamed.
    InputError
        For an object of another kind.
    """
    import datasets

    if isinstance(given, (str, Path)):
        title = str(given)
        table, folders, notes = _by_name(title, split, config)
    elif isinstance(given, (datasets.Dataset, datasets.DatasetDict)):
        table, title, folders, notes = given, "dataset", (), ()
    else:
        raise _other(given)
    if isinstance(table, datasets.DatasetDict):
        if (split or SPLIT) not in table:
            raise no_split(split or SPLIT, title, sorted(map(str, table)))
        table = table[split or SPLIT]
    elif split and table.split is not None and not keys_of(split) <= keys_of(str(table.split)):
        raise no_split(split, title, [str(table.split)])
    if table.format["type"] is not None or table.format["columns"] != table.column_names:
        table = table.with_format(None)  # a format or transform would hand out tensors, or hide columns
    if not isinstance(given, (str, Path)):
        title = str(table.info.dataset_name or title)
    return Loaded(table, title, folders, notes)


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote it.

    Parameters
    ----------
    folder : Path
    """
    return any(os.path.isfile(folder / name) for name in ("state.json", "dataset_dict.json"))


def inside_one(folders: Sequence[Path], name: str) -> Path:
    """The path of a file that a dataset names, which must lie in one of the folders, the first of which is its own.

    Parameters
    ----------
    folders : sequence of Path
    name : str
        A path as the dataset has it; one that is not absolute starts from the first folder.

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


def _by_name(
    name: str, split: str | None, config: str | None
) -> tuple[Dataset | DatasetDict, tuple[Path, ...], tuple[str, ...]]:
    """What has the name, the folders in which its images must lie, and what was assumed."""
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
            paths = {key_of(of): [str(inside_one(folders, str(file.absolute()))) for file in files[of]] for of in files}
            parts = (split or SPLIT).split("+")
            cut = (part.partition("[") for part in parts)
            asked = "+".join(key_of(name.strip()) + bracket + rest for name, bracket, rest in cut)
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
    return loaded, folders, tuple(notes)


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
        for text in _texts(said.get("configs") if isinstance(said, Mapping) else None):
            inside_one(folders[:1], text)


def _read_yaml(file: Path) -> object:
    import yaml

    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _texts(value: object) -> list[str]:
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


def _runs_scripts(load_dataset: Callable[..., object]) -> bool:
    """Whether this release of ``datasets`` still knows sets that bring code, and asks before it runs."""
    return "trust_remote_code" in inspect.signature(load_dataset).parameters


def _other(given: object) -> DataError | InputError:
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
