"""Measures: each number as the evaluation has it, NaN where it has none, and a verdict for every kind of change."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ravl_explore.evaluation import Evaluation
from ravl_explore.measures import (
    BY_KEY,
    EPSILONS,
    GAP,
    MEASURES,
    WORST_GROUPS,
    Best,
    measures_of,
    merit,
    numbers,
    samples,
    verdict,
)
from ravl_explore.metrics import group_accuracy, paired

NAN = math.nan
NAMES = ("shirt", "coat", "bag")
RNG = np.random.default_rng(5)
LABELS, PRESENT, FOUND = RNG.integers(3, size=90), RNG.random(90) < 0.5, RNG.random(90) < 0.4
PREDICTIONS = np.where(RNG.random(90) < 0.6, LABELS, RNG.integers(3, size=90))
RIGHT = PREDICTIONS == LABELS
SHOWN = RNG.random(90) < 0.3
ALL = Evaluation(
    image=group_accuracy(RIGHT, LABELS, PRESENT, NAMES, 5),
    region=group_accuracy(SHOWN, LABELS, PRESENT, NAMES, 5, np.arange(90) // 2),
    predictions=PREDICTIONS,
    labels=LABELS,
    class_names=NAMES,
    model_name="m",
    data_name="d",
    feature_name="red",
    attribute="coat",
    gap=0.25,
    found=FOUND,
)
NOTHING: dict[str, Any] = {"region": None, "feature_name": None, "attribute": None, "gap": None, "found": None}


def by_hand(right: np.ndarray) -> dict[tuple[int, bool], float]:
    """Accuracy of each group, by a loop."""
    found = {}
    for label in range(3):
        for present in (False, True):
            hits = [r for r, y, p in zip(right, LABELS, PRESENT, strict=True) if y == label and p == present]
            found[label, present] = sum(hits) / len(hits)
    return found


def test_all_of_them_in_order_with_their_numbers() -> None:
    image, region = by_hand(RIGHT), by_hand(SHOWN)
    gain = [image[label, True] - image[label, False] for label in range(3)]
    expected = {
        "image accuracy": 100 * sum(RIGHT) / 90,
        "image worst group": 100 * min(image.values()),
        "region accuracy": 100 * sum(SHOWN) / 90,
        "region worst group": 100 * min(region.values()),
        "shortcut ε1": 100 * gain[1],
        "shortcut ε2": 100 * max(-gain[0], -gain[2]),
        "shortcut performance gap G": 0.25,
    }
    assert numbers(ALL) == pytest.approx(expected) and list(numbers(ALL)) == list(expected)
    assert measures_of(ALL) == MEASURES and list(BY_KEY) == list(expected)
    assert all(type(each.value(ALL)) is float for each in MEASURES)


def test_names_units_and_ways_that_are_best() -> None:
    shown = [(each.with_unit(each.label), each.short, each.digits, each.best) for each in MEASURES]
    assert shown == [
        ("Images, all, %", "images", 1, "higher"),
        ("Images, worst group, %", "images, worst group", 1, "higher"),
        ("Regions, all, %", "regions", 1, "higher"),
        ("Regions, worst group, %", "regions, worst group", 1, "higher"),
        ("ε1, points", "ε1", 1, "zero"),
        ("ε2, points", "ε2", 1, "zero"),
        ("Gap G", "gap G", 2, "zero"),
    ]
    assert [each.scale for each in MEASURES] == [100] * 6 + [1]
    assert len({each.help for each in MEASURES}) == 7 and all(each.help for each in MEASURES)


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        (NOTHING, [0, 1]),
        ({"region": None}, [0, 1, 4, 5, 6]),
        ({"attribute": None}, [0, 1, 2, 3, 6]),
        ({"feature_name": None}, [0, 1, 2, 3, 6]),
        ({"gap": None}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_what_an_evaluation_does_not_say_is_left_out_and_nan(changes: dict[str, Any], left: list[int]) -> None:
    some = replace(ALL, **changes)
    assert measures_of(some) == tuple(MEASURES[at] for at in left)
    assert [at for at in range(7) if not math.isnan(MEASURES[at].value(some))] == left


def test_what_it_says_but_cannot_know_is_nan() -> None:
    few = replace(ALL, image=group_accuracy(RIGHT, LABELS, PRESENT, NAMES, 99), attribute="hat", gap=NAN)
    assert measures_of(few) == MEASURES
    unknown = [each.key for each in MEASURES if math.isnan(each.value(few))]
    assert unknown == [WORST_GROUPS[0].key, *(each.key for each in EPSILONS), GAP.key]


@pytest.mark.parametrize("measure", MEASURES[:6], ids=[each.key for each in MEASURES[:6]])
def test_intervals_count_the_same_measure(measure: Any) -> None:
    drawn = samples(ALL, measure.drawn)
    assert drawn is not None
    n = np.bincount(drawn.cell, minlength=6)[None].astype(float)
    right = np.bincount(drawn.cell, weights=drawn.correct, minlength=6)[None]
    assert measure.scale * measure.statistic(ALL)(right, n)[0] == pytest.approx(measure.value(ALL))


def test_samples_of_the_found_feature_are_images_by_class_and_whether_they_hold_it() -> None:
    assert GAP.drawn == "found" and GAP.statistic(ALL) is paired.gap
    drawn = samples(ALL, "found")
    assert drawn is not None
    assert drawn.cell.tolist() == [2 * label + held for label, held in zip(LABELS, FOUND, strict=True)]
    assert drawn.correct.tolist() == RIGHT.tolist() and drawn.image.tolist() == list(range(90))
    nothing = replace(ALL, **NOTHING)
    assert samples(nothing, "found") is None and samples(nothing, "region") is None
    assert samples(nothing, "image") is ALL.image.samples


def test_a_shortcut_to_a_class_that_no_image_has_is_nan_in_every_draw() -> None:
    lacking = replace(ALL, attribute="hat")
    for each in EPSILONS:
        assert np.isnan(each.statistic(lacking)(np.ones((4, 6)), np.ones((4, 6)))).tolist() == [True] * 4


def test_the_worst_group_of_an_interval_is_among_those_large_enough() -> None:
    labels = np.array([0, 0, 1])
    groups = group_accuracy(labels == 0, labels, np.zeros(3, bool), NAMES, 2)
    few = replace(ALL, image=groups, region=None, labels=labels, predictions=0 * labels, found=None)
    right, n = np.array([[1.0, 2, 0, 2, 2, 2]]), np.array([[2.0, 2, 1, 2, 2, 2]])
    assert WORST_GROUPS[0].statistic(few)(right, n).tolist() == [0.5], "the group of one is wrong, and does not count"


@pytest.mark.parametrize(
    ("best", "values", "expected"),
    [
        ("higher", (-1.0, 0.5, 2.0), [-1.0, 0.5, 2.0]),
        ("lower", (-1.0, 0.5, 2.0), [1.0, -0.5, -2.0]),
        ("zero", (-1.0, 0.5, 2.0), [-1.0, -0.5, -2.0]),
    ],
)
def test_merit_is_higher_the_better(best: Best, values: tuple[float, ...], expected: list[float]) -> None:
    assert [merit(value, best) for value in values] == expected
    assert math.isnan(merit(NAN, best)) and math.isnan(merit(1.0, "none"))


@pytest.mark.parametrize(
    ("expected", "best", "before", "after", "low", "high"),
    [
        ("better", "higher", 20, 70, 35, 62),
        ("worse", "higher", 70, 20, -62, -35),
        ("better", "lower", 70, 20, -62, -35),
        ("worse", "lower", 20, 70, 35, 62),
        # nearer to zero
        ("better", "zero", 50, 10, -60, -20),
        ("worse", "zero", 10, 50, 20, 60),
        ("better", "zero", -50, -10, 20, 60),
        ("worse", "zero", -10, -50, -60, -20),
        ("better", "zero", 50, 0, -60, -20),
        ("worse", "zero", 0, 50, 20, 60),
        ("worse", "zero", 0, -50, -60, -20),
        # from one side of 0 to the other
        ("not known", "zero", 50, -10, -80, -40),
        ("not known", "zero", -50, 10, 40, 80),
        ("not known", "zero", 50, -10, -80, 5),
        ("better", "higher", -50, 10, 40, 80),
        # the interval holds 0, or ends on it as shown
        ("may be chance", "higher", 20, 25, -4, 13),
        ("may be chance", "zero", 25, 20, -13, 4),
        ("may be chance", "higher", 20, 25, 0, 10),
        ("may be chance", "higher", 25, 20, -10, 0),
        ("may be chance", "higher", 20, 25, 0.04, 10),
        ("better", "higher", 20, 25, 0.06, 10),
        ("may be chance", "higher", 25, 20, -10, -0.04),
        ("worse", "higher", 25, 20, -10, -0.06),
        ("may be chance", "none", 20, 25, -4, 13),
        # the difference is 0, or as shown
        ("no change", "higher", 20, 20, 0, 0),
        ("no change", "higher", 20, 20.04, 0.01, 0.07),
        ("no change", "higher", 20, 19.96, NAN, NAN),
        ("no change", "zero", 0.02, -0.02, -1, 1),
        ("no change", "zero", 0, 0, 0, 0),
        ("better", "higher", 20, 20.06, 0.06, 0.07),
        # something is missing
        ("not known", "higher", NAN, 20, 1, 2),
        ("not known", "higher", 20, NAN, 1, 2),
        ("not known", "zero", NAN, NAN, NAN, NAN),
        ("not known", "higher", 20, 30, NAN, NAN),
        ("not known", "zero", 20, 10, NAN, NAN),
        ("not known", "higher", 20, math.inf, 1, 2),
        ("not known", "none", 20, 30, 5, 15),
    ],
)
def test_verdicts(expected: str, best: Best, before: float, after: float, low: float, high: float) -> None:
    assert verdict(before, after, low, high, best=best, digits=1) == expected
    tenth = [value / 10 for value in (before, after, low, high)]
    assert verdict(*tenth, best=best, digits=2) == expected, "decimals count, not units"


def test_verdicts_of_numpy_numbers_round_as_those_of_python() -> None:
    """np.round takes 0.05 for 0.0, which would be an interval that holds 0."""
    assert verdict(*np.array([20, 25, 0.05, 10]), best="higher", digits=1) == "better"
