"""compare(): one model's evaluation beside another's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Int

from ravl_explore.data.known_images import difference
from ravl_explore.errors import InputError
from ravl_explore.evaluation import Evaluation
from ravl_explore.measures import Drawn, Measure, measures_of, samples, verdict
from ravl_explore.metrics import GroupAccuracy, paired
from ravl_explore.support import checks

DRAWN: tuple[Drawn, ...] = ("image", "region", "found")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two evaluations on the same data.

    Attributes
    ----------
    before, after : Evaluation
        Of the old model and of the new one.

    Raises
    ------
    InputError
        When they are of different images, labels, classes or groups.
    """

    before: Evaluation
    after: Evaluation

    def __post_init__(self) -> None:
        for name in ("before", "after"):
            checks.instance(name, getattr(self, name), Evaluation, "Make one with rx.evaluate(model, data).")
        one, other = self.before, self.after
        told = difference(other, len(one.labels), one.identity, class_names=one.class_names, labels=one.labels)
        if told is not None or not np.array_equal(one.image.table["n"], other.image.table["n"]):
            raise InputError(
                "two evaluations of the same dataset",
                f"{one.data_name!r} and {other.data_name!r}",
                "Evaluate both models on the same images, with the same assignment.",
            )

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Those of :meth:`frame`, one a row."""
        return measures_of(self.before)

    @property
    def fixed(self) -> Int[np.ndarray, " n_fixed"]:
        """Images that the new model gets right and the old one did not, in the dataset's order."""
        return np.flatnonzero(self.after.right & ~self.before.right).astype(np.int64)

    @property
    def broken(self) -> Int[np.ndarray, " n_broken"]:
        """Images that the old model got right and the new one does not, in the dataset's order."""
        return np.flatnonzero(self.before.right & ~self.after.right).astype(np.int64)

    def frame(self) -> pd.DataFrame:
        """One row a measure: level, measure, unit, before, after, difference, low, high, verdict.

        Accuracies are in percent. ``low`` and ``high`` are the 95 % interval of the difference, from a paired
        bootstrap over images: where it holds 0, chance may explain the difference. NaN for evaluations that an earlier
        version saved. ``verdict`` says it in words: "better", "worse", "may be chance", "no change" (the difference is
        0 with the decimals that are shown) or "not known" (see :func:`~ravl_explore.measures.verdict`).
        """
        measures = self.measures
        table = pd.DataFrame(
            {
                "level": [measure.level for measure in measures],
                "measure": [measure.name for measure in measures],
                "unit": [measure.unit for measure in measures],
                "before": [measure.value(self.before) for measure in measures],
                "after": [measure.value(self.after) for measure in measures],
            }
        )
        table["difference"] = table["after"] - table["before"]
        intervals = [self._interval(measure) for measure in measures]
        table["low"], table["high"] = np.array(intervals, float).reshape(-1, 2).T
        numbers = table[["before", "after", "low", "high"]].to_numpy()
        table["verdict"] = [
            verdict(*row, best=measure.best, digits=measure.digits)
            for measure, row in zip(measures, numbers, strict=True)
        ]
        return table

    def groups(self) -> pd.DataFrame:
        """One row a level and group: level, class_name, present, n, before, after, difference, low, high, verdict.

        Accuracies are in percent. ``low``, ``high`` and ``verdict`` are as in :meth:`frame`; the interval is NaN for
        groups too small to count as the worst.
        """
        levels = [level for level in self.before.levels if level in self.after.levels]
        result = pd.concat([self._groups_of(level) for level in levels], ignore_index=True)
        result["difference"] = result["after"] - result["before"]
        numbers = result[["before", "after", "low", "high"]].to_numpy()
        result["verdict"] = [verdict(*row, best="higher", digits=1) for row in numbers]
        columns = ["level", "class_name", "present", "n", "before", "after", "difference", "low", "high", "verdict"]
        return result.loc[:, columns]

    def _groups_of(self, level: str) -> pd.DataFrame:
        """Groups of one level that hold a sample."""
        before, after = self.before.levels[level], self.after.levels[level]
        table = before.table[["class_name", "present", "n"]].assign(level=level)
        table["before"] = 100 * before.table["accuracy"]
        table["after"] = 100 * after.table["accuracy"]
        redrawn, least = self._redrawn.get(level), _least(before)
        intervals = [
            paired.UNKNOWN if redrawn is None or n < least else redrawn.interval(paired.group(cell))
            for cell, n in enumerate(table["n"])
        ]
        table["low"], table["high"] = 100 * np.array(intervals).T
        return table.loc[table["n"] > 0, :]

    @cached_property
    def _redrawn(self) -> dict[str, paired.Redrawn]:
        """Draws of the images, for intervals; without those whose samples are not known, or not the same ones."""
        redrawn: dict[str, paired.Redrawn] = {}
        for drawn in DRAWN:
            before, after = samples(self.before, drawn), samples(self.after, drawn)
            if before is None or after is None or not len(before.cell) or before.min_size != after.min_size:
                continue
            if np.array_equal(before.cell, after.cell):
                redrawn[drawn] = paired.redraw(before, after, 2 * len(self.before.class_names))
        return redrawn

    def _interval(self, measure: Measure) -> tuple[float, float]:
        """Of the difference, in the measure's unit."""
        redrawn = self._redrawn.get(measure.drawn)
        if redrawn is None:
            return paired.UNKNOWN
        low, high = redrawn.interval(measure.statistic(self.before))
        return measure.scale * low, measure.scale * high

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

    Parameters
    ----------
    before, after : Evaluation
        Of the old model and of the new one.

    Raises
    ------
    InputError
        When they are of different images, labels, classes or groups.
    """
    return Comparison(before, after)


def _least(groups: GroupAccuracy) -> int:
    """Samples that a group must hold to have an interval."""
    return 1 if groups.samples is None else groups.samples.min_size
