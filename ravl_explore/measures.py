"""Measures: what one evaluation says in one number, with its names, its unit, and which way of it is best."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ravl_explore.evaluation import Evaluation
from ravl_explore.metrics import Samples, paired

Level = Literal["image", "region", "shortcut"]
Best = Literal["higher", "lower", "zero", "none"]
Drawn = Literal["image", "region", "found"]
Verdict = Literal["better", "worse", "may be chance", "no change", "not known"]


@dataclass(frozen=True)
class Measure:
    """One row of a comparison, one column of a table of runs.

    Attributes
    ----------
    level : {"image", "region", "shortcut"}
        What it is of.
    name : str
        What the level's rows of a comparison call it: ``"worst group"``.
    label : str
        Heading of its column, without the unit: ``"Images, worst group"``.
    short : str
        The same where there is little room: ``"images, worst group"``, ``"gap G"``.
    unit : {"%", "points", ""}
        Of shares and of their differences; G has none.
    digits : int
        Decimals that are shown.
    best : {"higher", "lower", "zero", "none"}
        Which way is better; "zero" is nearer to 0.
    help : str
        One sentence for whoever points at the heading.
    read : function of an Evaluation
        The number, a share not yet in percent; None where such an evaluation has none.
    drawn : {"image", "region", "found"}
        Which samples a paired interval draws, see :func:`samples`.
    statistic : function of an Evaluation
        The measure as a paired interval counts it, for comparisons that start with this evaluation.
    """

    level: Level
    name: str
    label: str
    short: str
    unit: Literal["%", "points", ""]
    digits: int
    best: Best
    help: str
    read: Callable[[Evaluation], float | None]
    drawn: Drawn
    statistic: Callable[[Evaluation], paired.Statistic]

    @property
    def key(self) -> str:
        """Its name among all measures, as columns of runs have it: ``"image worst group"``."""
        return f"{self.level} {self.name}"

    @property
    def scale(self) -> int:
        """Units in a whole: 100 for percent and points."""
        return 100 if self.unit else 1

    def value(self, evaluation: Evaluation) -> float:
        """The number of an evaluation, in ``unit``; NaN where it is not known."""
        share = self.read(evaluation)
        return math.nan if share is None else float(self.scale * share)

    def with_unit(self, text: str) -> str:
        """A heading that ends with the unit, if there is one."""
        return f"{text}, {self.unit}" if self.unit else text

    def merit(self, value: float) -> float:
        """A number that is the higher the better the value; NaN where no way is best."""
        return merit(value, self.best)


def merit(value: float, best: Best) -> float:
    """A number that is the higher the better the value; NaN where no way is best.

    Parameters
    ----------
    value : float
        Of a measure.
    best : {"higher", "lower", "zero", "none"}
        Which way is better.

    Examples
    --------
    >>> merit(-0.3, "zero"), merit(0.2, "zero"), merit(0.2, "lower")
    (-0.3, -0.2, -0.2)
    """
    return {"higher": value, "lower": -value, "zero": -abs(value), "none": math.nan}[best]


def verdict(before: float, after: float, low: float, high: float, *, best: Best, digits: int) -> Verdict:
    """What a change means, given the 95 % interval of the difference; all numbers count as they are shown.

    Parameters
    ----------
    before, after, low, high : float
        NaN where not known.
    best : {"higher", "lower", "zero", "none"}
        Which way is better.
    digits : int
        Decimals that are shown.

    Returns
    -------
    {"better", "worse", "may be chance", "no change", "not known"}
        "no change" where the difference is 0, whatever the interval; "may be chance" where the interval holds 0;
        "not known" where a value, the interval or the best way is not, and where the value went from one side of its
        best, 0, to the other.

    Examples
    --------
    >>> verdict(20.0, 70.0, 35.0, 62.0, best="higher", digits=1)
    'better'
    >>> verdict(20.0, 25.0, -4.0, 13.0, best="higher", digits=1)
    'may be chance'
    """
    if not (math.isfinite(before) and math.isfinite(after)):
        return "not known"
    if _shown(after - before, digits) == 0:
        return "no change"
    crossed = best == "zero" and before * after < 0
    if crossed or not (math.isfinite(low) and math.isfinite(high)):
        return "not known"
    if _shown(low, digits) <= 0 <= _shown(high, digits):
        return "may be chance"
    if best == "none":
        return "not known"
    return "better" if merit(after, best) >= merit(before, best) else "worse"


def _shown(value: float, digits: int) -> float:
    return round(float(value), digits)  # of a NumPy number, round() would make 0.0 of 0.05


def samples(evaluation: Evaluation, drawn: Drawn) -> Samples | None:
    """Outcomes by group, as a paired interval draws them; None where they are not known.

    Parameters
    ----------
    evaluation : Evaluation
        What was measured.
    drawn : {"image", "region", "found"}
        Of images or of regions; or of images, by whether they hold the found feature.
    """
    if drawn != "found":
        groups = evaluation.levels.get(drawn)
        return None if groups is None else groups.samples
    if evaluation.found is None:
        return None
    cell = 2 * evaluation.labels + evaluation.found
    return Samples(cell, evaluation.right, np.arange(len(cell)), 1)


def _accuracy(level: Literal["image", "region"], help: str) -> Measure:
    def read(evaluation: Evaluation) -> float | None:
        groups = evaluation.levels.get(level)
        return None if groups is None else groups.overall

    label, short = f"{level.capitalize()}s, all", f"{level}s"
    return Measure(level, "accuracy", label, short, "%", 1, "higher", help, read, level, lambda _: paired.overall)


def _worst_group(level: Literal["image", "region"], help: str) -> Measure:
    def read(evaluation: Evaluation) -> float | None:
        groups = evaluation.levels.get(level)
        return None if groups is None else groups.worst

    def statistic(evaluation: Evaluation) -> paired.Statistic:
        groups = evaluation.levels[level]
        least = 1 if groups.samples is None else max(groups.samples.min_size, 1)
        return paired.worst(groups.table["n"].to_numpy() >= least)

    label, short = f"{level.capitalize()}s, worst group", f"{level}s, worst group"
    return Measure(level, "worst group", label, short, "%", 1, "higher", help, read, level, statistic)


def _epsilon(which: int, help: str) -> Measure:
    def read(evaluation: Evaluation) -> float | None:
        if evaluation.attribute is None or evaluation.feature_name is None:
            return None
        return evaluation.shortcut()[which]

    def statistic(evaluation: Evaluation) -> paired.Statistic:
        if evaluation.attribute not in evaluation.class_names:
            return paired.unknown  # no image tells of a shortcut to a class that none of them has
        return paired.shortcut(evaluation.class_names.index(evaluation.attribute), which)

    name = ("ε1", "ε2")[which]
    return Measure("shortcut", name, name, name, "points", 1, "zero", help, read, "image", statistic)


WORST_GROUPS = (
    _worst_group("image", "The same in the group of class and feature where it is lowest"),
    _worst_group("region", "The same in the group where it is lowest"),
)
EPSILONS = (
    _epsilon(0, "0 is best: how much more accurate the class that the feature pulls to is with the feature"),
    _epsilon(1, "0 is best: how much less accurate the other class that is hit hardest is with the feature"),
)
GAP = Measure(
    level="shortcut",
    name="performance gap G",
    label="Gap G",
    short="gap G",
    unit="",
    digits=2,
    best="zero",
    help="0 is best: how much class accuracies differ with and without the discovered cluster",
    read=lambda evaluation: evaluation.gap,
    drawn="found",
    statistic=lambda _: paired.gap,
)
MEASURES = (
    _accuracy("image", "Whole images classified rightly"),
    WORST_GROUPS[0],
    _accuracy("region", "Regions that show a class, classified alone"),
    WORST_GROUPS[1],
    *EPSILONS,
    GAP,
)
BY_KEY = {measure.key: measure for measure in MEASURES}


def measures_of(evaluation: Evaluation) -> tuple[Measure, ...]:
    """Those that an evaluation has a number for, be it NaN; in the order of ``MEASURES``.

    Parameters
    ----------
    evaluation : Evaluation
        Of any model and data.
    """
    return tuple(measure for measure in MEASURES if measure.read(evaluation) is not None)


def numbers(evaluation: Evaluation) -> dict[str, float]:
    """Values of the measures by their keys: ``"image worst group"``, ``"shortcut ε1"``.

    Parameters
    ----------
    evaluation : Evaluation
        Of any model and data.
    """
    return {measure.key: measure.value(evaluation) for measure in measures_of(evaluation)}
