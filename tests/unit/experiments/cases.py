"""Evaluations and runs that are made by hand, for tests of what is done with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ravl_explore.comparison import compare
from ravl_explore.evaluation import Evaluation
from ravl_explore.experiments.runs import Run
from ravl_explore.metrics import group_accuracy
from ravl_explore.training import History, StepRecord

LABELS = np.repeat([0, 1], 20)
PRESENT = np.tile(np.repeat([True, False], 10), 2)
NAMES = ("shirt", "bag")


def evaluation(right: tuple[int, int, int, int], **changes: Any) -> Evaluation:
    """Ten images each of shirt with, shirt without, bag with, bag without the feature; how many are right."""
    correct = np.concatenate([np.arange(10) < n for n in right])
    arguments: dict[str, Any] = {
        "image": group_accuracy(correct, LABELS, PRESENT, NAMES),
        "region": None,
        "predictions": np.where(correct, LABELS, 1 - LABELS),
        "labels": LABELS,
        "class_names": NAMES,
        "model_name": "m",
        "data_name": "d",
        "feature_name": "red",
        "attribute": "shirt",
        "gap": sum(right) / 40,
    }
    return Evaluation(**(arguments | changes))


BEFORE = evaluation((10, 5, 2, 9))


def run(name: str, seed: int | None, right: tuple[int, int, int, int], **changes: Any) -> Run:
    history = History(tuple(StepRecord(i, 3, 0, {"loss": 1 / i}, 0.5 * i, {"accuracy": 0.5}) for i in (1, 2, 3)))
    comparison = compare(BEFORE, evaluation(right))
    return replace(Run(name, f"{name}()", {"weight": "0.8"}, seed, {"epochs": 3}, 1.5, comparison, history), **changes)
