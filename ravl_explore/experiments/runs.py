"""Runs: many mitigations side by side, each with its numbers, and their mean and spread over seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ravl_explore.comparison import Comparison, compare
from ravl_explore.data.known_images import Identity
from ravl_explore.errors import RavlError, StorageError
from ravl_explore.evaluation import Evaluation
from ravl_explore.measures import measures_of, numbers
from ravl_explore.metrics import GroupAccuracy, Samples
from ravl_explore.mitigation import Mitigation
from ravl_explore.objectives.base import Objective
from ravl_explore.objectives.training_free import TrainingFree
from ravl_explore.support.files import user_path, write_whole
from ravl_explore.support.fingerprints import digest
from ravl_explore.training import History, StepRecord

FORMAT = "ravl_explore runs 1"
SPREAD = ", sd"
Content = dict[str, Any]
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Run:
    """One mitigation with what came of it.

    Attributes
    ----------
    objective : what it is called
    spelled : the objective as Python writes it, with all its options
    options : the objective's options, each as Python writes it
    seed : None for an objective without steps, which comes out the same for every seed
    settings : how it was trained, without the seed
    seconds : how long it took
    comparison : before and after
    history : one record a step
    complete : False when it was stopped before the last step
    notes : what the user should know of it, as sentences
    """

    objective: str
    spelled: str
    options: Mapping[str, str]
    seed: int | None
    settings: Mapping[str, Any]
    seconds: float
    comparison: Comparison
    history: History
    complete: bool = True
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, mitigation: Mitigation, comparison: Comparison, *, name: str = "", seconds: float | None = None) -> Run:
        """What is kept of a mitigation: all but the model; ``seconds`` are those of its last step unless given."""
        objective, records = mitigation.objective, mitigation.history.records
        settings = {key: _json(value) for key, value in vars(mitigation.settings).items()}
        seed = settings.pop("seed", None)
        # what was suppressed, and of which model: runs that differ in these are no repetitions of each other
        settings["clusters"] = [each.cluster for each in mitigation.features]
        settings["discovery"] = digest([mitigation.features[0].medoids])[:8] if mitigation.features else ""
        settings["model"] = mitigation.model.name.removesuffix(f", {objective.name}")
        return cls(
            objective=name or objective.name,
            spelled=repr(objective),
            options=options_of(objective),
            seed=None if isinstance(objective, TrainingFree) else seed,
            settings=settings,
            seconds=(records[-1].seconds if records else 0.0) if seconds is None else seconds,
            comparison=comparison,
            history=mitigation.history,
            complete=mitigation.complete,
            notes=mitigation.notes,
        )


@dataclass(frozen=True, eq=False)
class Runs:
    """Several runs, and the model that all started from.

    Attributes
    ----------
    before : the evaluation before any mitigation
    runs : in the order in which they were made
    """

    before: Evaluation
    runs: tuple[Run, ...] = ()

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each run's objective; where one name has several options or settings, with those that differ."""
        alike: dict[str, list[Content]] = {}
        for run in self.runs:
            alike.setdefault(run.objective, []).append(_choices(run))
        return tuple(_label(run.objective, _choices(run), alike[run.objective]) for run in self.runs)

    @property
    def measures(self) -> tuple[str, ...]:
        """What the table's numbers are called: keys of the measures that the evaluations have."""
        evaluations = (self.before, *(run.comparison.after for run in self.runs))
        return tuple(dict.fromkeys(measure.key for each in evaluations for measure in measures_of(each)))

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said beside the numbers, as sentences."""
        once = dict.fromkeys(label for label, run in zip(self.labels, self.runs, strict=True) if run.seed is None)
        stopped = sum(not run.complete for run in self.runs)
        notes = [f"{label} takes no training step: it was run once and has no spread over seeds." for label in once]
        if stopped:
            notes.append(f"{stopped} of {len(self)} runs stopped before the last step.")
        compared = (run.comparison.before for run in self.runs)
        notes += [f"Guessing gives {100 * each.chance:.1f}% on {each.data_name}." for each in compared]
        return tuple(dict.fromkeys([*notes, *(note for run in self.runs for note in run.notes)]))

    def frame(self) -> pd.DataFrame:
        """One row a run: objective, seed, data, steps, complete, seconds, options, settings, then the measures.

        Accuracies are in percent, ε in points; a measure that a run's data cannot tell is NaN.
        """
        rows = [
            {
                "objective": label,
                "seed": run.seed,
                "data": run.comparison.after.data_name,
                "steps": len(run.history.records),
                "complete": run.complete,
                "seconds": run.seconds,
                "options": run.spelled,
                "settings": ", ".join(f"{key}={value!r}" for key, value in run.settings.items()),
                **numbers(run.comparison.after),
            }
            for label, run in zip(self.labels, self.runs, strict=True)
        ]
        columns = ["objective", "seed", "data", "steps", "complete", "seconds", "options", "settings", *self.measures]
        return pd.DataFrame(rows, columns=columns).astype({"seed": "Int64"})

    def summary(self) -> pd.DataFrame:
        """One row an objective (and dataset), in the order of the runs: objective, data, n, then mean and spread.

        A measure's mean has its name, its spread the name and ", sd": the standard deviation over runs (n - 1 in the
        denominator), NaN for a single one.
        """
        frame = self.frame()
        rows = []
        for (objective, data), group in frame.groupby(["objective", "data"], sort=False):  # type: ignore[misc]
            rows.append({"objective": objective, "data": data, "n": len(group)})
            for measure in ("seconds", *self.measures):
                rows[-1] |= {measure: group[measure].mean(), measure + SPREAD: group[measure].std()}
        columns = [name for measure in ("seconds", *self.measures) for name in (measure, measure + SPREAD)]
        return pd.DataFrame(rows, columns=["objective", "data", "n", *columns])

    def save(self, path: str | Path) -> Path:
        """Write all of it to one JSON file, whole or not at all; the models are not in it.

        Raises
        ------
        StorageError
            When the folder is not there, or the disk is full.
        """
        befores = {id(each): each for each in (self.before, *(run.comparison.before for run in self.runs))}
        place = {key: at for at, key in enumerate(befores)}
        content = {
            "befores": [pack_evaluation(each) for each in befores.values()],
            "runs": [{"before": place[id(run.comparison.before)], **pack_run(run)} for run in self.runs],
        }
        return write_content(user_path(path), content)

    @classmethod
    def load(cls, path: str | Path) -> Runs:
        """Read what :meth:`save` wrote.

        Raises
        ------
        StorageError
            When the file is not there, cut short, or not one of ours.
        """

        def unpack(content: Content) -> Runs:
            befores = [unpack_evaluation(each) for each in content["befores"]]
            return cls(befores[0], tuple(unpack_run(each, befores[each["before"]]) for each in content["runs"]))

        return read_content(user_path(path), unpack)


def options_of(objective: Objective) -> dict[str, str]:
    """An objective's options, each as Python writes it; all in one where it is no dataclass."""
    if not is_dataclass(objective):
        return {"": repr(objective)}
    return {each.name: repr(getattr(objective, each.name)) for each in fields(objective)}


def _choices(run: Run) -> Content:
    return {**run.options, **{key: repr(value) for key, value in run.settings.items()}}


def _label(name: str, own: Content, alike: Sequence[Content]) -> str:
    differ = [f"{key}={own[key]}" for key in own if any(other.get(key) != own[key] for other in alike)]
    return f"{name} ({', '.join(differ)})" if differ else name


# JSON: floats that are not finite become text, as JSON has no word for them


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
        "history": [_json(vars(record)) for record in run.history.records],
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
    return _json(content)


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


def _json(value: Any) -> Any:
    """Plain JSON of nested values; numbers that are not finite as text, anything unknown as Python writes it."""
    if isinstance(value, Mapping):
        return {str(key): _json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(each) for each in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return _json(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    return value if value is None or isinstance(value, (bool, int, str)) else repr(value)
