"""Runs and evaluations as JSON values, and back; numbers that are not finite are texts, which float() reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd

from ravl_explore.comparison import compare
from ravl_explore.data.known_images import Identity
from ravl_explore.evaluation import Evaluation
from ravl_explore.experiments.runs import Run
from ravl_explore.metrics import GroupAccuracy, Samples
from ravl_explore.support.json_values import Json, plain_number
from ravl_explore.training import History, StepRecord
from ravl_explore.training.history import StoredStep

Number = float | str  # a text where it is not finite


class StoredSamples(TypedDict):
    """:class:`~ravl_explore.metrics.Samples` as JSON, with its attributes."""

    cell: list[int]
    correct: list[bool]
    image: list[int]
    min_size: int


class StoredGroups(TypedDict):
    """:class:`~ravl_explore.metrics.GroupAccuracy` as JSON; ``table`` by column. Earlier files have no samples."""

    table: dict[str, list[Number]]
    overall: Number
    worst: Number
    worst_group: tuple[str, bool] | None
    samples: NotRequired[StoredSamples | None]


class StoredEvaluation(TypedDict):
    """:class:`~ravl_explore.evaluation.Evaluation` as JSON. Earlier files have neither ``found`` nor ``identity``."""

    image: StoredGroups
    region: StoredGroups | None
    predictions: list[int]
    labels: list[int]
    class_names: list[str]
    model_name: str
    data_name: str
    feature_name: str | None
    attribute: str | None
    gap: Number | None
    found: NotRequired[list[bool] | None]
    identity: NotRequired[list[str]]


class StoredRun(TypedDict):
    """:class:`~ravl_explore.experiments.runs.Run` as JSON, with the evaluation after and not the one before."""

    objective: str
    spelled: str
    options: Mapping[str, str]
    seed: int | None
    settings: Mapping[str, Json]
    seconds: float
    best_step: NotRequired[int | None]
    complete: bool
    notes: list[str]
    after: StoredEvaluation
    history: list[StoredStep]


KINDS: dict[str, type | tuple[type, ...]] = {
    "objective": str, "spelled": str, "options": dict, "seed": (int, type(None)), "settings": dict,
    "seconds": (int, float), "complete": bool, "notes": list,
}  # fmt: skip


def pack_run(run: Run) -> StoredRun:
    """A run as JSON, but for the evaluation before.

    Parameters
    ----------
    run : Run
        Of any objective.
    """
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
        "history": [record.to_json() for record in run.history.records],
    }


def unpack_run(content: StoredRun, before: Evaluation) -> Run:
    """What :func:`pack_run` packed.

    Parameters
    ----------
    content : StoredRun
        As it is read from a file.
    before : Evaluation
        That its comparison begins with.

    Raises
    ------
    LookupError, TypeError, ValueError, RavlError
        For what is no run.
    """
    stored: Mapping[str, object] = content
    for name, kind in KINDS.items():
        if not isinstance(stored[name], kind) or isinstance(stored[name], bool) != (name == "complete"):
            raise TypeError(f"{name} of a run is {stored[name]!r}")
    return Run(
        objective=content["objective"],
        spelled=content["spelled"],
        options=content["options"],
        seed=content["seed"],
        settings=content["settings"],
        seconds=content["seconds"],
        comparison=compare(before, unpack_evaluation(content["after"])),
        history=History(tuple(StepRecord.from_json(record) for record in content["history"]), content.get("best_step")),
        complete=content["complete"],
        notes=tuple(content["notes"]),
    )


def pack_evaluation(evaluation: Evaluation) -> StoredEvaluation:
    """An evaluation as JSON.

    Parameters
    ----------
    evaluation : Evaluation
        Of any model and data.
    """
    return {
        "image": _pack_groups(evaluation.image),
        "region": None if evaluation.region is None else _pack_groups(evaluation.region),
        "predictions": evaluation.predictions.tolist(),
        "labels": evaluation.labels.tolist(),
        "class_names": list(evaluation.class_names),
        "model_name": evaluation.model_name,
        "data_name": evaluation.data_name,
        "feature_name": evaluation.feature_name,
        "attribute": evaluation.attribute,
        "gap": None if evaluation.gap is None else plain_number(evaluation.gap),
        "found": None if evaluation.found is None else evaluation.found.tolist(),
        "identity": list(evaluation.identity),
    }


def unpack_evaluation(content: StoredEvaluation) -> Evaluation:
    """What :func:`pack_evaluation` packed.

    Parameters
    ----------
    content : StoredEvaluation
        As it is read from a file.

    Raises
    ------
    LookupError, TypeError, ValueError, RavlError
        For what is no evaluation.
    """
    region, found, gap = content["region"], content.get("found"), content["gap"]
    return Evaluation(
        image=_unpack_groups(content["image"]),
        region=None if region is None else _unpack_groups(region),
        predictions=np.asarray(content["predictions"], np.int64),
        labels=np.asarray(content["labels"], np.int64),
        class_names=tuple(content["class_names"]),
        model_name=content["model_name"],
        data_name=content["data_name"],
        feature_name=content["feature_name"],
        attribute=content["attribute"],
        gap=None if gap is None else float(gap),
        found=None if found is None else np.asarray(found, bool),
        identity=Identity(*content.get("identity", ())),
    )


def _pack_groups(groups: GroupAccuracy) -> StoredGroups:
    samples, table = groups.samples, groups.table
    return {
        "table": {column: [_number(cell) for cell in table[column].tolist()] for column in table.columns},
        "overall": plain_number(groups.overall),
        "worst": plain_number(groups.worst),
        "worst_group": groups.worst_group,
        "samples": None
        if samples is None
        else {
            "cell": samples.cell.tolist(),
            "correct": samples.correct.tolist(),
            "image": samples.image.tolist(),
            "min_size": samples.min_size,
        },
    }


def _unpack_groups(content: StoredGroups) -> GroupAccuracy:
    columns: dict[str, list[Number]] = content["table"]
    table = pd.DataFrame(columns | {"accuracy": [float(value) for value in columns["accuracy"]]})
    worst, samples = content["worst_group"], content.get("samples")
    return GroupAccuracy(
        table,
        float(content["overall"]),
        float(content["worst"]),
        None if worst is None else (worst[0], worst[1]),
        None if samples is None else _unpack_samples(samples),
    )


def _unpack_samples(content: StoredSamples) -> Samples:
    return Samples(
        np.asarray(content["cell"], np.int64),
        np.asarray(content["correct"], bool),
        np.asarray(content["image"], np.int64),
        int(content["min_size"]),
    )


def _number(cell: Number) -> Number:
    return plain_number(cell) if isinstance(cell, float) else cell
