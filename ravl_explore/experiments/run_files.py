"""Runs as JSON files, whole or not at all; numbers that are not finite become text, as JSON has no word for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ravl_explore.comparison import compare
from ravl_explore.data.known_images import Identity
from ravl_explore.errors import RavlError, StorageError
from ravl_explore.evaluation import Evaluation
from ravl_explore.experiments.cautions import Caution
from ravl_explore.experiments.runs import Run, Runs
from ravl_explore.metrics import GroupAccuracy, Samples
from ravl_explore.support.files import write_whole
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.json_values import plain
from ravl_explore.training import History, StepRecord

FORMAT = "ravl_explore runs 1"
KEY_SHOWN = 8  # digits of a key in its file's name
Content = dict[str, Any]
Made = TypeVar("Made")


def save_runs(runs: Runs, path: Path) -> Path:
    """Write all of it to one JSON file; the models are not in it.

    Raises
    ------
    StorageError
        When the folder is not there, or the disk is full.
    """
    befores = {id(each): each for each in (runs.before, *(run.comparison.before for run in runs))}
    place = {key: at for at, key in enumerate(befores)}
    content = {
        "befores": [pack_evaluation(each) for each in befores.values()],
        "runs": [{"before": place[id(run.comparison.before)], **pack_run(run)} for run in runs],
        "cautions": [[caution.code, caution.text] for caution in runs.cautions],
    }
    return write_content(path, content)


def load_runs(path: Path) -> Runs:
    """Read what :func:`save_runs` wrote.

    Raises
    ------
    StorageError
        When the file is not there, cut short, or not one of ours.
    """

    def unpack(content: Content) -> Runs:
        befores = [unpack_evaluation(each) for each in content["befores"]]
        runs = tuple(unpack_run(each, befores[each["before"]]) for each in content["runs"])
        return Runs(befores[0], runs, tuple(Caution(*each) for each in content.get("cautions", ())))

    return read_content(path, unpack)


def is_runs(path: Path) -> bool:
    """Whether a file is JSON that says what it is, by how it begins: other results are safetensors."""
    with path.open("rb") as file:
        head = file.read(64)
    return head.startswith(b"{") and b'"format"' in head


def read_kept(folder: Path, key: str, unpack: Callable[[Any], Made]) -> Made | None:
    """What the folder has of that key, whatever its file is called."""
    for path in sorted(folder.glob(f"*-{key[:KEY_SHOWN]}.json")):
        found = read_content(path, lambda content: unpack(content["content"]) if content["key"] == key else None)
        if found is not None:
            return found
    return None


def keep(folder: Path, stem: str, key: str, content: Content | str) -> None:
    """Write it under a key, to a file whose name begins with ``stem``."""
    write_content(folder / f"{stem}-{key[:KEY_SHOWN]}.json", {"key": key, "content": content})


def write_content(path: Path, content: Content) -> Path:
    """``content`` as a JSON file that says what it is, and by a digest whether it is as it was written."""
    whole = {"format": FORMAT, **content, "digest": digest([content])}
    return write_whole(path, json.dumps(whole, allow_nan=False, indent=1).encode())


def read_content(path: Path, unpack: Callable[[Content], Made]) -> Made:
    """What ``unpack`` makes of a file by :func:`write_content`; StorageError when it is none, cut short or changed."""
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


def pack_run(run: Run) -> Content:
    """A run as JSON, but for the evaluation before."""
    return {
        "objective": run.objective,
        "spelled": run.spelled,
        "options": dict(run.options),
        "seed": run.seed,
        "settings": dict(run.settings),
        "seconds": run.seconds,
        "best_step": run.history.best_step,
        "complete": run.complete,
        "notes": list(run.notes),
        "after": pack_evaluation(run.comparison.after),
        "history": [plain(vars(record)) for record in run.history.records],
    }


def unpack_run(content: Content, before: Evaluation) -> Run:
    """What :func:`pack_run` packed, with the evaluation before."""
    for name, kind in _KINDS.items():
        if not isinstance(content[name], kind) or isinstance(content[name], bool) != (name == "complete"):
            raise TypeError(f"{name} of a run is {content[name]!r}")
    return Run(
        objective=content["objective"],
        spelled=content["spelled"],
        options=content["options"],
        seed=content["seed"],
        settings=content["settings"],
        seconds=content["seconds"],
        comparison=compare(before, unpack_evaluation(content["after"])),
        history=History(tuple(_record(each) for each in content["history"]), content.get("best_step")),
        complete=content["complete"],
        notes=tuple(content["notes"]),
    )


_KINDS: dict[str, Any] = {
    "objective": str, "spelled": str, "options": dict, "seed": (int, type(None)), "settings": dict,
    "seconds": (int, float), "complete": bool, "notes": list,
}  # fmt: skip


def _record(content: Content) -> StepRecord:
    known = {each.name for each in fields(StepRecord)}
    numbers: Content = {
        key: {name: float(number) for name, number in value.items()} if isinstance(value, dict) else value
        for key, value in content.items()
        if key in known
    }
    return StepRecord(**numbers)


def pack_evaluation(evaluation: Evaluation) -> Content:
    """An evaluation as JSON."""
    content = dict(vars(evaluation))
    for level in ("image", "region"):
        content[level] = None if content[level] is None else _pack_groups(content[level])
    return plain(content)


def unpack_evaluation(content: Content) -> Evaluation:
    """What :func:`pack_evaluation` packed."""
    values = dict(content)
    for level in ("image", "region"):
        values[level] = None if content[level] is None else _unpack_groups(content[level])
    found = content.get("found")
    values["found"] = None if found is None else np.asarray(found, bool)
    for name in ("predictions", "labels"):
        values[name] = np.asarray(content[name], np.int64)
    values["identity"] = Identity(*content.get("identity", ()))
    values["class_names"] = tuple(content["class_names"])
    values["gap"] = None if content["gap"] is None else float(content["gap"])
    return Evaluation(**values)


def _pack_groups(groups: GroupAccuracy) -> Content:
    table = {column: groups.table[column].tolist() for column in groups.table.columns}
    return {
        "table": table,
        "overall": groups.overall,
        "worst": groups.worst,
        "worst_group": groups.worst_group,
        "samples": None if groups.samples is None else dict(vars(groups.samples)),
    }


def _unpack_groups(content: Content) -> GroupAccuracy:
    columns = content["table"]
    table = pd.DataFrame(columns | {"accuracy": [float(value) for value in columns["accuracy"]]})
    worst, samples = content["worst_group"], content.get("samples")  # files by earlier versions have no samples
    return GroupAccuracy(
        table,
        float(content["overall"]),
        float(content["worst"]),
        None if worst is None else (worst[0], worst[1]),
        None if samples is None else _unpack_samples(samples),
    )


def _unpack_samples(content: Content) -> Samples:
    return Samples(
        np.asarray(content["cell"], np.int64),
        np.asarray(content["correct"], bool),
        np.asarray(content["image"], np.int64),
        int(content["min_size"]),
    )
