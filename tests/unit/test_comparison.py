"""compare() puts two evaluations side by side, in percent, and only those that belong together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore.comparison import compare
from ravl_explore.data.known_images import Identity
from ravl_explore.errors import InputError
from ravl_explore.evaluation import Evaluation
from ravl_explore.measures import verdict
from ravl_explore.metrics import group_accuracy

LABELS = np.repeat([0, 1], 20)
PRESENT = np.tile(np.repeat([True, False], 10), 2)
NAMES = ("shirt", "bag")


def evaluation(right: tuple[int, int, int, int], with_region: bool = True, **changes: Any) -> Evaluation:
    """Ten images each of shirt with, shirt without, bag with, bag without the feature; how many are right."""
    correct = np.concatenate([np.arange(10) < n for n in right])
    arguments: dict[str, Any] = {
        "image": group_accuracy(correct, LABELS, PRESENT, NAMES),
        "region": group_accuracy(~correct, LABELS, PRESENT, NAMES) if with_region else None,
        "predictions": np.where(correct, LABELS, 1 - LABELS),
        "labels": LABELS,
        "class_names": NAMES,
        "model_name": "m",
        "data_name": "d",
        "feature_name": "red square",
        "attribute": "shirt",
        "gap": sum(right) / 40,
    }
    return Evaluation(**(arguments | changes))


def test_frame_has_every_measure_before_and_after() -> None:
    comparison = compare(evaluation((10, 5, 2, 9)), evaluation((9, 8, 7, 9)))
    assert isinstance(comparison, rx.Comparison)
    frame = comparison.frame().set_index(["level", "measure"])
    expected = {
        ("image", "accuracy"): (65, 82.5),
        ("image", "worst group"): (20, 70),
        ("region", "accuracy"): (35, 17.5),
        ("region", "worst group"): (0, 10),
        ("shortcut", "ε1"): (50, 10),
        ("shortcut", "ε2"): (70, 20),
        ("shortcut", "performance gap G"): (0.65, 0.825),
    }
    assert list(frame.index) == list(expected)
    for key, (before, after) in expected.items():
        assert frame.loc[key, ["before", "after", "difference"]].tolist() == pytest.approx(
            [before, after, after - before]
        )
    assert frame["unit"].tolist() == ["%"] * 4 + ["points"] * 2 + [""]


def test_every_row_has_the_verdict_of_its_measure() -> None:
    comparison = compare(evaluation((10, 5, 2, 9), found=PRESENT), evaluation((9, 8, 7, 9), found=PRESENT))
    frame = comparison.frame()
    assert [each.key for each in comparison.measures] == (frame["level"] + " " + frame["measure"]).tolist()
    assert frame["verdict"].tolist() == [
        verdict(row.before, row.after, row.low, row.high, best=each.best, digits=each.digits)
        for each, row in zip(comparison.measures, frame.itertuples(), strict=True)
    ]
    accuracies, shortcuts = ["better", "better", "worse", "better"], ["may be chance", "better", "worse"]
    assert frame["verdict"].tolist() == accuracies + shortcuts
    assert frame.loc[5, "after"] < frame.loc[5, "before"], "ε2 is nearer to 0"
    same = compare(comparison.before, comparison.before)
    assert set(same.frame()["verdict"]) == set(same.groups()["verdict"]) == {"no change"}


def test_every_group_has_a_verdict() -> None:
    groups = compare(evaluation((10, 5, 2, 9)), evaluation((9, 8, 7, 9))).groups()
    image = groups[groups["level"] == "image"]
    assert image["difference"].tolist() == [30, -10, 0, 50]
    assert image["verdict"].tolist() == ["may be chance", "may be chance", "no change", "better"]
    region = groups[groups["level"] == "region"]
    assert region["verdict"].tolist() == ["may be chance", "may be chance", "no change", "worse"]


def test_frame_leaves_out_what_neither_knows() -> None:
    plain = {"with_region": False, "attribute": None, "gap": None, "feature_name": None}
    frame = compare(evaluation((1, 2, 3, 4), **plain), evaluation((2, 2, 3, 4), **plain)).frame()
    assert frame["measure"].tolist() == ["accuracy", "worst group"]
    half = compare(evaluation((1, 2, 3, 4)), evaluation((1, 2, 3, 4), with_region=False)).frame()
    assert half.query("level == 'region'")["after"].isna().all()


def test_groups_show_each_group_that_is_there() -> None:
    groups = compare(evaluation((10, 5, 2, 9)), evaluation((9, 8, 7, 9))).groups()
    image = groups[groups["level"] == "image"]
    assert image["class_name"].tolist() == ["shirt", "shirt", "bag", "bag"]
    assert image["present"].tolist() == [False, True, False, True] and image["n"].tolist() == [10] * 4
    assert image["before"].tolist() == [50, 100, 90, 20]
    assert image["after"].tolist() == [80, 90, 90, 70]
    assert image["difference"].tolist() == [30, -10, 0, 50]
    assert set(groups["level"]) == {"image", "region"}
    alone = evaluation((5, 5, 5, 5), image=group_accuracy(LABELS == 0, LABELS, np.zeros(40, bool), NAMES))
    found = compare(alone, alone).groups()
    assert found[found["level"] == "image"]["n"].tolist() == [20, 20], "groups without an image are left out"


def test_what_cannot_be_compared() -> None:
    one = evaluation((1, 2, 3, 4), identity=Identity("these images"))
    for changes in (
        {"labels": LABELS[::-1], "image": group_accuracy(LABELS == 0, LABELS[::-1], PRESENT, NAMES)},
        {
            "labels": LABELS[:-1],
            "predictions": LABELS[:-1],
            "image": group_accuracy(LABELS[:-1] == 0, LABELS[:-1], PRESENT[:-1], NAMES),
        },
        {"class_names": ("shirt", "hat")},
        {"identity": Identity("other images")},
        {"image": group_accuracy(LABELS == 0, LABELS, np.zeros(40, bool), NAMES)},
    ):
        with pytest.raises(InputError, match="two evaluations of the same dataset, got 'd' and 'e'"):
            compare(one, replace(one, data_name="e", **changes))


def test_fixed_and_broken_are_the_images_whose_answer_changed_sides() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=200)
    old, new = rng.integers(3, size=200), rng.integers(3, size=200)
    names, present = ("a", "b", "c"), np.zeros(200, bool)
    parts = [
        evaluation(
            (1, 1, 1, 1),
            labels=labels,
            predictions=each,
            class_names=names,
            image=group_accuracy(each == labels, labels, present, names),
            region=None,
        )
        for each in (old, new)
    ]
    comparison = compare(*parts)
    fixed, broken = [], []
    for i in range(200):
        if new[i] == labels[i] and old[i] != labels[i]:
            fixed.append(i)
        if old[i] == labels[i] and new[i] != labels[i]:
            broken.append(i)
    assert comparison.fixed.tolist() == fixed and comparison.broken.tolist() == broken
    assert fixed and broken and comparison.fixed.dtype == comparison.broken.dtype == np.int64
    right = [(each.predictions == labels).sum() for each in parts]
    assert right[1] - right[0] == len(fixed) - len(broken)
    same = compare(parts[0], parts[0])
    assert len(same.fixed) == len(same.broken) == 0
