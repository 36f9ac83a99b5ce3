"""compare(): one model's evaluation beside another's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int

from ravl_explore.errors import InputError
from ravl_explore.evaluation import Evaluation


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two evaluations on the same data.

    Attributes
    ----------
    before, after : the evaluations
    """

    before: Evaluation
    after: Evaluation

    @property
    def fixed(self) -> Int[np.ndarray, " n_fixed"]:
        """Images that the new model gets right and the old one did not, in the dataset's order."""
        return np.flatnonzero(_right(self.after) & ~_right(self.before)).astype(np.int64)

    @property
    def broken(self) -> Int[np.ndarray, " n_broken"]:
        """Images that the old model got right and the new one does not, in the dataset's order."""
        return np.flatnonzero(_right(self.before) & ~_right(self.after)).astype(np.int64)

    def frame(self) -> pd.DataFrame:
        """One row a measure: level, measure, unit, before, after, difference; accuracies in percent."""
        rows = measures(self.before)
        after = {(level, measure): value for level, measure, _, value in measures(self.after)}
        table = pd.DataFrame(rows, columns=["level", "measure", "unit", "before"])
        table["after"] = [after.get((level, measure), np.nan) for level, measure, _, _ in rows]
        table["difference"] = table["after"] - table["before"]
        return table

    def groups(self) -> pd.DataFrame:
        """One row a level and group: level, class_name, present, n, before, after, difference; in percent."""
        tables = []
        for level in ("image", "region"):
            before, after = getattr(self.before, level), getattr(self.after, level)
            if before is None or after is None:
                continue
            table = before.table[["class_name", "present", "n"]].assign(level=level)
            table["before"] = 100 * before.table["accuracy"]
            table["after"] = 100 * after.table["accuracy"]
            tables.append(table[table["n"] > 0])
        result = pd.concat(tables, ignore_index=True)
        result["difference"] = result["after"] - result["before"]
        columns = ["level", "class_name", "present", "n", "before", "after", "difference"]
        return result.loc[:, columns]

    def changes(self) -> pd.DataFrame:
        """One row a class: class_name, n images, how many of them are fixed, broken, and the difference of the two."""
        n_classes, labels = len(self.before.class_names), self.before.labels
        table = pd.DataFrame({"class_name": list(self.before.class_names)})
        table["n"] = np.bincount(labels, minlength=n_classes)
        table["fixed"] = np.bincount(labels[self.fixed], minlength=n_classes)
        table["broken"] = np.bincount(labels[self.broken], minlength=n_classes)
        table["difference"] = table["fixed"] - table["broken"]
        return table


def compare(before: Evaluation, after: Evaluation) -> Comparison:
    """Put two evaluations of the same dataset side by side.

    Raises
    ------
    InputError
        When they are of different images, labels, classes or groups.
    """
    same = (
        before.class_names == after.class_names
        and np.array_equal(before.labels, after.labels)
        and np.array_equal(before.image.table["n"], after.image.table["n"])
    )
    if not same:
        raise InputError(
            "two evaluations of the same dataset",
            f"{before.data_name!r} and {after.data_name!r}",
            "Evaluate both models on the same images, with the same assignment.",
        )
    return Comparison(before, after)


def _right(evaluation: Evaluation) -> np.ndarray:
    return evaluation.predictions == evaluation.labels


def measures(evaluation: Evaluation) -> list[tuple[str, str, str, float]]:
    """(level, measure, unit, value) of everything that one evaluation says in one number; accuracies in percent."""
    rows = [
        ("image", "accuracy", "%", 100 * evaluation.image.overall),
        ("image", "worst group", "%", 100 * evaluation.image.worst),
    ]
    if evaluation.region is not None:
        rows += [
            ("region", "accuracy", "%", 100 * evaluation.region.overall),
            ("region", "worst group", "%", 100 * evaluation.region.worst),
        ]
    if evaluation.attribute is not None and evaluation.feature_name is not None:
        first, second = evaluation.shortcut()
        rows += [("shortcut", "ε1", "points", 100 * first), ("shortcut", "ε2", "points", 100 * second)]
    if evaluation.gap is not None:
        rows.append(("shortcut", "performance gap G", "", evaluation.gap))
    return rows
