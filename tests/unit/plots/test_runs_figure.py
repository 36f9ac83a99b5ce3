"""runs_figure(): every run at its value, the mean and deviation of the summary, reference lines, text as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ravl_explore.comparison import compare
from ravl_explore.errors import InputError
from ravl_explore.evaluation import Evaluation
from ravl_explore.experiments.runs import Run, Runs
from ravl_explore.metrics import group_accuracy
from ravl_explore.plots.palette import Theme
from ravl_explore.plots.runs import DOT_SHIFT, runs_figure
from ravl_explore.training import History

LABELS = np.repeat([0, 1], 20)
NAMES = ("shirt", "bag")


def evaluation(right: int, **changes: Any) -> Evaluation:
    correct = np.arange(40) % 10 < right
    image = group_accuracy(correct, LABELS, np.arange(40) % 20 < 10, NAMES)
    made = Evaluation(image, None, LABELS, LABELS, NAMES, "m", "d", "red", "shirt", right / 10)
    return replace(made, **changes)


def run(name: str, seed: int | None, right: int, data: str = "d") -> Run:
    comparison = compare(evaluation(2), evaluation(right, data_name=data))
    return Run(name, name, {}, seed, {}, 1.0, comparison, History())


RUNS = Runs(evaluation(2), (run("one", 0, 4), run("<b>$x$</b>", 0, 9), run("one", 1, 8)))


def traces(figure: Any, name: str) -> list[Any]:
    return [trace for trace in figure.data if trace.name == name]


def test_runs_means_and_spread_are_those_of_the_tables() -> None:
    figure = runs_figure(RUNS)
    dots, means = traces(figure, "one run"), traces(figure, "mean ± standard deviation")
    assert len(dots) == len(means) == len(RUNS.measures) == 5
    frame, summary = RUNS.frame(), RUNS.summary()
    for measure, points, mean in zip(RUNS.measures, dots, means, strict=True):
        assert list(points.x) == frame[measure].tolist()
        assert list(points.y) == [DOT_SHIFT, 1 + DOT_SHIFT, DOT_SHIFT]
        assert list(mean.x) == summary[measure].tolist() and list(mean.y) == [0, 1]
        spread = summary[f"{measure}, sd"]
        assert list(mean.error_x.array) == [spread[0], 0.0]
    assert list(figure.layout.yaxis.ticktext) == ["one", "&lt;b&gt;&#36;x&#36;&lt;/b&gt;"]
    assert [note.text for note in figure.layout.annotations] == [
        "image accuracy, &#37;", "image worst group, &#37;", "shortcut ε1, points", "shortcut ε2, points",
        "shortcut performance gap G",
    ]  # fmt: skip
    assert sum(bool(trace.showlegend) for trace in figure.data) == 3, "each kind once in the legend"
    assert list(dots[0].customdata) == ["seed 0", "seed 0", "seed 1"]


def test_a_run_without_a_seed_says_so() -> None:
    figure = runs_figure(Runs(RUNS.before, (run("free", None, 3), run("one", 2, 3))))
    assert list(traces(figure, "one run")[0].customdata) == ["no training step", "seed 2"]


def test_references_are_lines() -> None:
    figure = runs_figure(RUNS, {"clean": evaluation(10, gap=None)}, ["image accuracy", "shortcut performance gap G"])
    assert [list(line.x) for line in traces(figure, "before")] == [[20, 20], [0.2, 0.2]]
    assert [list(line.x) for line in traces(figure, "clean")] == [[100, 100]], "it has no gap"
    assert len({traces(figure, name)[0].line.dash for name in ("before", "clean")}) == 2
    assert len({traces(figure, name)[0].line.color for name in ("before", "clean")}) == 2


def test_rows_say_the_dataset_where_there_are_several() -> None:
    figure = runs_figure(Runs(RUNS.before, (run("one", 0, 3), run("one", 0, 5, "e"))))
    assert list(figure.layout.yaxis.ticktext) == ["one, d", "one, e"]
    line = traces(figure, "before")[0]
    assert list(line.x) == [20, 20] and list(line.y) == [-0.6, 0.5], "it is of d alone"


def test_a_line_is_broken_where_another_dataset_is_between() -> None:
    several = Runs(RUNS.before, (run("one", 0, 3), run("one", 0, 5, "e"), run("two", 0, 5)))
    line = traces(runs_figure(several, measures=["shortcut ε1"]), "before")[0]
    assert list(line.y) == [-0.6, 0.5, None, 1.5, 2.6] and line.x[2] is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_json_without_a_run(theme: Theme) -> None:
    figure = runs_figure(Runs(RUNS.before), theme=theme)
    assert len(traces(figure, "before")) == 5
    json.loads(figure.to_json() or "")


def test_measures_that_are_not_there() -> None:
    for wrong in (["image speed"], []):
        with pytest.raises(InputError, match="measures among"):
            runs_figure(RUNS, measures=wrong)


def test_the_figure_needs_no_more_than_the_tables() -> None:
    given: Any = SimpleNamespace(frame=RUNS.frame, summary=RUNS.summary, measures=RUNS.measures, before=RUNS.before)
    assert runs_figure(given).to_json() == runs_figure(RUNS).to_json()
