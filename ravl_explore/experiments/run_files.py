"""Runs as JSON files, whole or not at all, each with a digest that tells whether it is as it was written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NotRequired, TypedDict, TypeVar

from ravl_explore.errors import RavlError, StorageError
from ravl_explore.experiments.cautions import Caution, Code
from ravl_explore.experiments.packing import (
    StoredEvaluation,
    StoredRun,
    pack_evaluation,
    pack_run,
    unpack_evaluation,
    unpack_run,
)
from ravl_explore.experiments.runs import Runs
from ravl_explore.support.files import write_whole
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.json_values import as_json, plain

FORMAT = "ravl_explore runs 1"
KEY_SHOWN = 8  # digits of a key in its file's name
Made = TypeVar("Made")


class PlacedRun(StoredRun):
    """A run of a file of several.

    Attributes
    ----------
    before : int
        Which of the file's ``befores`` its comparison begins with.
    """

    before: int


class StoredRuns(TypedDict):
    """Runs as one file holds them.

    Attributes
    ----------
    befores : list of StoredEvaluation
        The one that all runs started from first.
    runs : list of PlacedRun
        In their order.
    cautions : list of tuple of code and text
        Files of earlier versions have none.
    """

    befores: list[StoredEvaluation]
    runs: list[PlacedRun]
    cautions: NotRequired[list[tuple[Code, str]]]


def save_runs(runs: Runs, path: Path) -> Path:
    """Write all of it to one JSON file; the models are not in it.

    Parameters
    ----------
    runs : Runs
    path : Path
        Of the file, in a folder that is there.

    Raises
    ------
    StorageError
        When the folder is not there, or the disk is full.
    """
    befores = {id(before): before for before in (runs.before, *(run.comparison.before for run in runs))}
    place = {key: at for at, key in enumerate(befores)}
    content: StoredRuns = {
        "befores": [pack_evaluation(before) for before in befores.values()],
        "runs": [{"before": place[id(run.comparison.before)], **pack_run(run)} for run in runs],
        "cautions": [(caution.code, caution.text) for caution in runs.cautions],
    }
    return write_content(path, content)


def load_runs(path: Path) -> Runs:
    """Read what :func:`save_runs` wrote.

    Parameters
    ----------
    path : Path
        Of the file.

    Raises
    ------
    StorageError
        When the file is not there, cut short, or not one of ours.
    """

    def unpack(content: StoredRuns) -> Runs:
        befores = [unpack_evaluation(before) for before in content["befores"]]
        runs = tuple(unpack_run(run, befores[run["before"]]) for run in content["runs"])
        return Runs(befores[0], runs, tuple(Caution(code, text) for code, text in content.get("cautions", ())))

    return read_content(path, unpack)


def is_runs(path: Path) -> bool:
    """Whether a file is JSON that says what it is, by how it begins: other results are safetensors.

    Parameters
    ----------
    path : Path
        Of a file that is there.
    """
    with path.open("rb") as file:
        head = file.read(64)
    return head.startswith(b"{") and b'"format"' in head


def read_kept(folder: Path, key: str, unpack: Callable[..., Made]) -> Made | None:
    """Read what :func:`keep` wrote; None where there is nothing of that key.

    Parameters
    ----------
    folder : Path
        Where it was kept.
    key : str
        Told in the file, whatever that is called.
    unpack : function
        From what was kept, as JSON gives it, to what is returned.

    Raises
    ------
    StorageError
        When the file is cut short or changed.
    """
    for path in sorted(folder.glob(f"*-{key[:KEY_SHOWN]}.json")):
        kept = read_content(path, lambda content: unpack(content["content"]) if content["key"] == key else None)
        if kept is not None:
            return kept
    return None


def keep(folder: Path, stem: str, key: str, content: Mapping[str, object] | str) -> None:
    """Write something under a key, for :func:`read_kept`.

    Parameters
    ----------
    folder : Path
        Where it is kept.
    stem : str
        How the file's name begins.
    key : str
        What it is known by.
    content : mapping of str to object, or str
        Plain values.
    """
    write_content(folder / f"{stem}-{key[:KEY_SHOWN]}.json", {"key": key, "content": content})


def write_content(path: Path, content: Mapping[str, object]) -> Path:
    """Write a JSON file that says what it is, and by a digest whether it is as it was written.

    Parameters
    ----------
    path : Path
        Of the file.
    content : mapping of str to object
        Plain values, see :func:`~ravl_explore.support.json_values.plain`.
    """
    held = {name: plain(value) for name, value in content.items()}
    return write_whole(path, as_json({"format": FORMAT, **held, "digest": digest([held])}, indent=1).encode())


def read_content(path: Path, unpack: Callable[..., Made]) -> Made:
    """Read what :func:`write_content` wrote.

    Parameters
    ----------
    path : Path
        Of the file.
    unpack : function
        From the content, as JSON gives it, to what is returned.

    Raises
    ------
    StorageError
        When it is no such file, cut short or changed.
    """
    try:
        if not path.is_file():
            raise StorageError("saved runs", f"{str(path)!r}, no such file", "Check the path.")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise StorageError(f"a file of {FORMAT}", f"{str(path)!r}", "Check the path, or update ravl_explore.")
        if content.pop("digest", None) not in (None, digest([content])):  # files of earlier versions have none
            raise ValueError("it was changed after it was written")
        return unpack(content)
    except StorageError:
        raise
    except (
        RavlError, OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError,
    ) as error:  # fmt: skip
        raise StorageError("a complete file of runs", f"{str(path)!r} ({error})", "Delete it and run again.") from error
