"""compare(): one model's evaluation beside another's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Int

from ravl_explore.errors import InputError
from ravl_explore.evaluation import Evaluation
from ravl_explore.metrics import Samples, paired
from ravl_explore.support import checks

Interval = tuple[float, float]
LEVELS = ("image", "region")
EPSILONS = ("ε1", "ε2")
HIGHER_IS_BETTER = ("accuracy", "worst group")  # of the others 0 is best


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two evaluations on the same data.

    Attributes
    ----------
    before, after : the evaluations
    """

    before: Evaluation
    after: Evaluation

    def __post_init__(self) -> None:
        for name in ("before", "after"):
            checks.instance(name, getattr(self, name), Evaluation, "Make one with rx.evaluate(model, data).")
        before, after = self.before, self.after
        same = (
            not before.identity.unlike(after.identity)
            and before.class_names == after.class_names
            and np.array_equal(before.labels, after.labels)
            and np.array_equal(before.image.table["n"], after.image.table["n"])
        )
        if not same:
            raise InputError(
                "two evaluations of the same dataset",
                f"{before.data_name!r} and {after.data_name!r}",
                "Evaluate both models on the same images, with the same assignment.",
            )

    @property
    def fixed(self) -> Int[np.ndarray, " n_fixed"]:
        """Images that the new model gets right and the old one did not, in the dataset's order."""
        return np.flatnonzero(_right(self.after) & ~_right(self.before)).astype(np.int64)

    @property
    def broken(self) -> Int[np.ndarray, " n_broken"]:
        """Images that the old model got right and the new one does not, in the dataset's order."""
        return np.flatnonzero(_right(self.before) & ~_right(self.after)).astype(np.int64)

    def frame(self) -> pd.DataFrame:
        """One row a measure: level, measure, unit, before, after, difference, low, high; accuracies in percent.

        ``low`` and ``high`` are the 95 % interval of the difference, from a paired bootstrap over images: where it
        holds 0, chance may explain the difference. NaN for evaluations that an earlier version saved.
        """
        rows = measures(self.before)
        after = {(level, measure): value for level, measure, _, value in measures(self.after)}
        table = pd.DataFrame(rows, columns=["level", "measure", "unit", "before"])
        table["after"] = [after.get((level, measure), np.nan) for level, measure, _, _ in rows]
        table["difference"] = table["after"] - table["before"]
        found = [self._interval(level, measure, unit) for level, measure, unit, _ in rows]
        table["low"], table["high"] = np.array(found, float).reshape(-1, 2).T
        return table

    def groups(self) -> pd.DataFrame:
        """One row a level and group: level, class_name, present, n, before, after, difference, low, high; in percent.

        ``low`` and ``high`` are as in :meth:`frame`; NaN for groups too small to count as the worst.
        """
        tables = []
        for level in LEVELS:
            before, after = getattr(self.before, level), getattr(self.after, level)
            if before is None or after is None:
                continue
            table = before.table[["class_name", "present", "n"]].assign(level=level)
            table["before"] = 100 * before.table["accuracy"]
            table["after"] = 100 * after.table["accuracy"]
            drawn = self._redrawn.get(level)
            least = 1 if before.samples is None else before.samples.min_size
            found = [
                paired.UNKNOWN if drawn is None or n < least else drawn.interval(paired.group(cell))
                for cell, n in enumerate(table["n"])
            ]
            table["low"], table["high"] = 100 * np.array(found).T
            tables.append(table[table["n"] > 0])
        result = pd.concat(tables, ignore_index=True)
        result["difference"] = result["after"] - result["before"]
        columns = ["level", "class_name", "present", "n", "before", "after", "difference", "low", "high"]
        return result.loc[:, columns]

    @cached_property
    def _redrawn(self) -> dict[str, paired.Redrawn]:
        """Draws of the images by level, and by the discovered feature; without those whose samples are not known."""
        found = {}
        for level in (*LEVELS, "found"):
            before, after = (_samples(each, level) for each in (self.before, self.after))
            if before is None or after is None or not len(before.cell) or before.min_size != after.min_size:
                continue
            if np.array_equal(before.cell, after.cell):
                found[level] = paired.redraw(before, after, 2 * len(self.before.class_names))
        return found

    def _interval(self, level: str, measure: str, unit: str) -> Interval:
        drawn = self._redrawn.get({"shortcut": "image" if unit else "found"}.get(level, level))
        if drawn is None:
            return paired.UNKNOWN
        low, high = drawn.interval(self._measure(level, measure))
        return (100 * low, 100 * high) if unit else (low, high)

    def _measure(self, level: str, measure: str) -> paired.Measure:
        if measure == "accuracy":
            return paired.overall
        if measure == "worst group":
            groups = getattr(self.before, level)
            return paired.worst(groups.table["n"].to_numpy() >= max(groups.samples.min_size, 1))
        if measure in EPSILONS:
            if self.before.attribute not in self.before.class_names:
                return _unknown
            return paired.shortcut(self.before.class_names.index(self.before.attribute), EPSILONS.index(measure))
        return paired.gap

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
    return Comparison(before, after)


def _unknown(right: np.ndarray, n: np.ndarray) -> np.ndarray:
    """What the images cannot tell, such as a shortcut to a class that none of them has."""
    return np.full(len(n), np.nan)


def _right(evaluation: Evaluation) -> np.ndarray:
    return evaluation.predictions == evaluation.labels


def _samples(evaluation: Evaluation, level: str) -> Samples | None:
    """Outcomes by group of a level; of ``"found"``: of images, grouped by whether they hold the discovered feature."""
    if level != "found":
        groups = getattr(evaluation, level)
        return None if groups is None else groups.samples
    if evaluation.found is None:
        return None
    cell, right = 2 * evaluation.labels + evaluation.found, _right(evaluation)
    return Samples(cell, right, np.arange(len(cell)), 1)


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
        values = zip(EPSILONS, (first, second), strict=True)
        rows += [("shortcut", name, "points", 100 * value) for name, value in values]
    if evaluation.gap is not None:
        rows.append(("shortcut", "performance gap G", "", evaluation.gap))
    return rows


def numbers(evaluation: Evaluation) -> dict[str, float]:
    """The same by name, level before measure: ``"image worst group"``, ``"shortcut ε1"``."""
    return {f"{level} {measure}": value for level, measure, _, value in measures(evaluation)}
