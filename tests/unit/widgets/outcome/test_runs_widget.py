"""RunsWidget: the numbers of the runs and no others, plain JSON, the picked run's comparison."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import traitlets

from ravl_explore.comparison import compare
from ravl_explore.errors import InputError, StorageError
from ravl_explore.evaluation import Evaluation
from ravl_explore.experiments import Caution, Run, Runs
from ravl_explore.metrics import group_accuracy
from ravl_explore.mitigation import Mitigation
from ravl_explore.objectives import Projection, Standard
from ravl_explore.training import History, StepRecord, TrainingSettings
from ravl_explore.widgets.basics.static import script
from ravl_explore.widgets.outcome.runs import EMPTY, UNDERLINED, RunsWidget
from tests.unit.conftest import nothing_marked

LABELS = np.repeat([0, 1], 20)
NAMES = ("shirt", "bag")


def evaluation(right: int, **changes: Any) -> Evaluation:
    image = group_accuracy(np.arange(40) % 10 < right, LABELS, np.arange(40) % 20 < 10, NAMES)
    made = Evaluation(image, None, LABELS, LABELS, NAMES, "m", "<i>d</i>", "red", "shirt", right / 10)
    return replace(made, **changes)


def run(name: str, seed: int | None, right: int, **changes: Any) -> Run:
    comparison = compare(evaluation(2), evaluation(right))
    return replace(Run(name, f"{name}()", {}, seed, {"epochs": 3}, 61.4, comparison, History()), **changes)


RUNS = Runs(evaluation(2), (run("one", 0, 4), run("<b>two</b>", None, 9, complete=False), run("one", 1, 8)))


def mitigation(objective: Any = None, seed: int = 0, n: int = 3) -> Mitigation:
    model: Any = SimpleNamespace(name="a model")
    history = History(tuple(StepRecord(i, 3, 0, {"loss": 1.0}, float(i)) for i in range(1, n + 1)))
    return Mitigation(model, history, objective or Standard(), TrainingSettings(seed=seed), nothing_marked(), n == 3)


def test_rows_are_those_of_the_frame() -> None:
    widget, frame = RunsWidget(RUNS), RUNS.frame()
    assert [row["index"] for row in widget.rows] == [0, 1, 2]
    assert [row["objective"] for row in widget.rows] == ["one", "<b>two</b>, stopped", "one"]
    for name in RUNS.measures:
        assert [row["cells"][name]["value"] for row in widget.rows] == frame[name].tolist()
    assert widget.rows[0]["cells"]["image accuracy"]["text"] == "40.0"
    assert widget.rows[0]["cells"]["shortcut performance gap G"]["text"] == "0.40"
    assert [row["cells"]["seed"]["value"] for row in widget.rows] == [0, None, 1]
    assert widget.rows[0]["cells"]["seconds"]["text"] == "61"
    assert widget.rows[0]["cells"]["shortcut ε2"]["text"] == "0.0", "not -0.0"
    assert {column["key"] for column in widget.columns} == {"objective", "seed", "seconds", *RUNS.measures}
    assert widget.notes == [UNDERLINED, *RUNS.notes] and len(widget.notes) == 4


def test_the_help_tells_what_is_not_as_usual_and_no_training_where_there_was_none() -> None:
    settings = {
        "epochs": 3,
        "learning_rate": 5e-4,
        "weight_decay": 0.5,
        "accumulate": 1,
        "feature": "cluster 7",
        "discovery": "a1",
    }
    widget = RunsWidget(Runs(RUNS.before, tuple(run("one", seed, 4, settings=settings) for seed in (0, None))))
    assert [row["help"] for row in widget.rows] == [
        "one()\nepochs=3, learning_rate=0.0005, weight_decay=0.5, feature='cluster 7'\n0 steps, compared on <i>d</i>",
        "one()\nfeature='cluster 7'\nNo training step, compared on <i>d</i>",
    ]


def test_means_are_shown_of_what_has_several_seeds() -> None:
    widget, summary = RunsWidget(RUNS), RUNS.summary()
    assert [row["objective"] for row in widget.means] == ["one"]
    cell = widget.means[0]["cells"]["image accuracy"]
    assert cell == {"text": "60.0 ± 28.3", "value": summary.loc[0, "image accuracy"]}
    assert widget.means[0]["cells"]["seed"]["text"] == "n = 2"


def test_the_best_of_each_measure_is_flagged() -> None:
    def best(widget: RunsWidget, name: str) -> list[int]:
        return [row["index"] for row in widget.rows if row["cells"][name].get("best")]

    widget = RunsWidget(RUNS)
    assert best(widget, "image accuracy") == [2], "what was stopped does not count"
    assert best(widget, "shortcut performance gap G") == [], "all are worse than before"
    worse = RunsWidget(Runs(RUNS.before, (run("one", 0, 2), run("one", 1, 1))))
    assert best(worse, "image accuracy") == [] and best(worse, "shortcut performance gap G") == [1]
    alone = RunsWidget(Runs(RUNS.before, RUNS.runs[:1]))
    assert best(alone, "image accuracy") == [] and UNDERLINED not in alone.notes


def test_equal_evaluations_before_are_one_row() -> None:
    other = compare(evaluation(3, data_name="e"), evaluation(4, data_name="e"))
    widget = RunsWidget(Runs(RUNS.before, (*RUNS.runs, run("three", 0, 1, comparison=other))))
    assert [row["objective"] for row in widget.before] == ["before, <i>d</i>", "before, e"]
    assert widget.before[1]["cells"]["image accuracy"]["value"] == 30
    assert len({id(each.comparison.before) for each in RUNS}) == 3


def test_a_caution_stays_below_the_table() -> None:
    widget = RunsWidget()
    widget.add(mitigation(), compare(evaluation(2), evaluation(4)), "Too optimistic")
    assert "<i>d</i>: Too optimistic" in widget.notes


def test_cautions_of_the_runs_stay_below_the_table_too() -> None:
    beware = Caution("class missing", "<i>d</i> has no image of 'coat'.")
    widget = RunsWidget(replace(RUNS, cautions=(beware,)))
    assert widget.notes == [UNDERLINED, *RUNS.notes, beware.text]
    assert widget.runs is not None and widget.runs.cautions == (beware,)
    widget.show(RUNS)
    assert beware.text not in widget.notes
    widget.show(replace(RUNS, cautions=(beware,)))
    widget.clear()
    widget.add(mitigation(), compare(evaluation(2), evaluation(4)))
    assert beware.text not in widget.notes


def test_runs_are_added_and_the_newest_is_picked() -> None:
    widget = RunsWidget()
    assert (widget.rows, widget.notes, widget.runs, widget.comparison) == ([], [EMPTY], None, None)
    first, second = compare(evaluation(2), evaluation(4)), compare(evaluation(2), evaluation(5))
    widget.add(mitigation(seed=7), first)
    assert widget.selected == 0 and widget.comparison is first
    widget.add(mitigation(Projection(), n=2), second)
    assert widget.selected == 1 and widget.comparison is second
    widget.selected = 0
    assert widget.comparison is first
    assert [row["objective"] for row in widget.rows] == ["Standard fine-tuning", "Projection, no training, stopped"]
    assert [row["cells"]["seed"]["value"] for row in widget.rows] == [7, None]
    assert widget.rows[0]["cells"]["seconds"]["value"] == 3.0
    assert widget.runs is not None and len(widget.runs) == 2
    with pytest.raises(traitlets.TraitError, match="from 0 to 1"):
        widget.selected = 2
    widget.clear()
    assert widget.rows == [] and widget.selected is None and widget.comparison is None


def test_every_click_on_a_run_is_heard_also_on_the_picked_one() -> None:
    widget, heard = RunsWidget(RUNS), []
    widget.observe(lambda change: heard.append(change["new"]), "selected")
    for row in (1, 1, 2, 7):
        widget._handle_custom_msg({"kind": "select", "row": row}, [])
    assert heard == [1, 1, 2] and widget.selected == 2


@pytest.mark.parametrize("change", ["show", "clear", "add"])
def test_whoever_hears_of_a_pick_holds_no_lock_that_others_need(change: str) -> None:
    """He may take a lock of his own, under which another thread asks for the runs."""
    widget, answered = RunsWidget(RUNS), []
    widget.selected = 0

    def hear(_: object) -> None:
        asking = threading.Thread(target=lambda: widget.runs, daemon=True)
        asking.start()
        asking.join(10)
        answered.append(not asking.is_alive())

    widget.observe(hear, "selected")
    changes: dict[str, Callable[[], None]] = {
        "show": lambda: widget.show(RUNS),
        "clear": widget.clear,
        "add": lambda: widget.add(mitigation(), compare(evaluation(2), evaluation(5))),
    }
    changes[change]()
    assert answered == [True]


def test_what_is_sent_is_plain_json() -> None:
    widget = RunsWidget(RUNS)
    for name in ("columns", "before", "rows", "means", "notes"):
        value = getattr(widget, name)
        assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert RunsWidget(Runs(RUNS.before)).rows == []


def test_csv_is_the_frame(tmp_path: Path) -> None:
    RunsWidget(RUNS).to_csv(tmp_path / "runs.csv")
    read = pd.read_csv(tmp_path / "runs.csv")
    assert read["objective"].tolist() == ["one", "<b>two</b>", "one"]
    assert read["image accuracy"].tolist() == RUNS.frame()["image accuracy"].tolist()
    with pytest.raises(InputError, match="at least one run"):
        RunsWidget().to_csv(tmp_path / "none.csv")
    with pytest.raises(StorageError, match="existing folder"):
        RunsWidget(RUNS).to_csv(tmp_path / "nowhere" / "runs.csv")


def test_the_browser_never_takes_text_for_html() -> None:
    sent = script("runs.js")
    assert "innerHTML" not in sent and "insertAdjacentHTML" not in sent and "textContent" in sent
