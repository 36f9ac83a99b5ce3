"""comparison_figure(): every group's two accuracies, sorted, the worst ringed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ravl_explore.comparison import compare
from ravl_explore.evaluation import Evaluation
from ravl_explore.metrics import group_accuracy
from ravl_explore.plots.comparison import MOST_GROUPS, OVERALL, comparison_figure


def evaluation(seed: int, n_classes: int = 3, feature: str | None = "square", region: bool = True) -> Evaluation:
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(9)
    names = tuple(f"class {i}" for i in range(n_classes))
    labels, present = fixed.integers(n_classes, size=400), fixed.random(400) < 0.5
    if feature is None:
        present[:] = False
    groups = group_accuracy(rng.random(400) < 0.5 + 0.3 * present, labels, present, names)
    return Evaluation(groups, groups if region else None, labels, labels, names, "m", "d", feature, None, None)


def markers(figure: Any, name: str, axis: str) -> dict[str, float]:
    trace = next(each for each in figure.data if each.name == name and each.xaxis == axis)
    return dict(zip(trace.y, trace.x, strict=True))


def test_groups_stand_at_their_accuracies_in_percent() -> None:
    comparison = compare(evaluation(0), evaluation(1))
    figure = comparison_figure(comparison)
    for level, axis in (("image", "x"), ("region", "x2")):
        before, after = markers(figure, "before", axis), markers(figure, "after", axis)
        assert before[OVERALL] == pytest.approx(100 * getattr(comparison.before, level).overall)
        table = comparison.groups()
        for row in table[table["level"] == level].itertuples():
            name = f"{row.class_name} {'with' if row.present else 'without'} square"
            assert (before[name], after[name]) == (pytest.approx(row.before), pytest.approx(row.after))
        assert len(before) == 7


def test_lowest_before_comes_first_below_overall() -> None:
    figure = comparison_figure(compare(evaluation(0), evaluation(1)))
    order = list(reversed(figure.layout.yaxis.categoryarray))
    before = markers(figure, "before", "x")
    assert order[0] == OVERALL
    assert [before[name] for name in order[1:]] == sorted(before[name] for name in order[1:])


def test_the_worst_group_of_each_model_is_ringed() -> None:
    comparison = compare(evaluation(0), evaluation(1))
    ring = next(each for each in comparison_figure(comparison).data if each.name == "worst group")
    assert sorted(ring.x) == sorted(100 * each.image.worst for each in (comparison.before, comparison.after))


def test_without_regions_there_is_one_panel_and_without_a_feature_just_classes() -> None:
    figure = comparison_figure(
        compare(evaluation(0, feature=None, region=False), evaluation(1, feature=None, region=False))
    )
    assert {each.xaxis for each in figure.data} == {"x"}
    assert set(figure.layout.yaxis.categoryarray) == {OVERALL, "class 0", "class 1", "class 2"}


def test_many_groups_are_cut_and_it_says_so() -> None:
    figure = comparison_figure(compare(evaluation(0, n_classes=20), evaluation(1, n_classes=20)))
    assert len(figure.layout.yaxis.categoryarray) == MOST_GROUPS + 1
    assert any("and 16 more groups" in (each.text or "") for each in figure.layout.annotations)
    assert figure.layout.xaxis.range[0] <= 0 and figure.layout.xaxis.range[1] >= 100


def test_names_that_are_cut_alike_stay_apart() -> None:
    from dataclasses import replace

    names = tuple(f"a class with a very long name {i}" for i in range(3))
    before, after = (replace(evaluation(s), class_names=names) for s in (0, 1))
    for each in (before, after):
        each.image.table["class_name"] = np.repeat(names, 2)
    figure = comparison_figure(compare(before, after))
    assert len(set(figure.layout.yaxis.categoryarray)) == 7
