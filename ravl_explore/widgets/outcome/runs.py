"""RunsWidget: every mitigation so far in one table; mean and spread where an objective was run with several seeds."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import traitlets
from traitlets import Bunch

from ravl_explore.comparison import Comparison
from ravl_explore.errors import InputError
from ravl_explore.evaluation import Evaluation
from ravl_explore.experiments.cautions import Caution
from ravl_explore.experiments.runs import SPREAD, Run, Runs
from ravl_explore.measures import BY_KEY, Measure, numbers
from ravl_explore.mitigation import Mitigation
from ravl_explore.support.files import user_path, write_whole
from ravl_explore.support.text import storable
from ravl_explore.training import TrainingSettings
from ravl_explore.widgets.basics.acts import RowPicker
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.static import script, style

Record = Mapping[Any, Any]  # a row of a table of runs, by column
Cells = dict[str, object]
"""A row or a column as the browser gets it, plain JSON."""
FEATURES = ("feature", "model")
COMMON = ("epochs", "learning_rate", "batch_size")
UNDERLINED = "Underlined: best of its column; a run that was stopped, or is no better than before, does not count."
EMPTY = "Runs are listed here as they end."


class RunsWidget(Closing, RowPicker):
    """Runs as a table that can be sorted by any column; one row can be picked, to look at its comparison.

    Every method may be called from any thread.

    Parameters
    ----------
    runs : Runs, optional
        What to show; can be changed with :meth:`show`, and grows with :meth:`add`.

    Attributes
    ----------
    selected : int or None
        Number of the picked run in the order in which they were made; set it, or observe it: observers hear of every
        click.
    """

    _esm = script("runs.js")
    _css = style("runs.css")
    columns = traitlets.List(traitlets.Dict()).tag(sync=True)
    """Of each column the key of its cells, its title, whether it holds numbers, and what it means."""

    before = traitlets.List(traitlets.Dict()).tag(sync=True)
    """Rows of the models before, one for each different evaluation."""

    means = traitlets.List(traitlets.Dict()).tag(sync=True)
    """Rows of means and spreads, one for each objective that was run with several seeds."""

    notes = traitlets.List(traitlets.Unicode(), default_value=[EMPTY]).tag(sync=True)
    """Sentences below the table."""

    sort = traitlets.Unicode("").tag(sync=True)
    """Key of the column by which the rows are sorted; empty for the order in which they were made."""

    descending = traitlets.Bool(False).tag(sync=True)
    """Whether the largest comes first."""

    def __init__(self, runs: Runs | None = None) -> None:
        super().__init__()
        self._guard = threading.RLock()  # of the list; not held while whoever observes the pick runs
        self._runs: tuple[Run, ...] = ()
        self._cautions: tuple[Caution, ...] = ()
        if runs is not None:
            self.show(runs)

    @property
    def runs(self) -> Runs | None:
        """What is listed; None as long as nothing is."""
        with self._guard:
            return Runs(self._runs[0].comparison.before, self._runs, self._cautions) if self._runs else None

    @property
    def comparison(self) -> Comparison | None:
        """Before and after of the picked run, or None."""
        with self._guard:
            picked = self.selected
            return self._runs[picked].comparison if picked is not None and picked < len(self._runs) else None

    def add(self, mitigation: Mitigation, comparison: Comparison, caution: str = "") -> None:
        """List one more run, and pick it; ``caution`` says below the table why its numbers cannot be trusted.

        Parameters
        ----------
        mitigation : Mitigation
            The run.
        comparison : Comparison
            Before and after.
        caution : str
            Empty where there is none.
        """
        run = Run.of(mitigation, comparison)
        if caution:
            run = replace(run, notes=(*run.notes, f"{comparison.after.data_name}: {caution}"))
        with self._guard:
            self._fill((*self._runs, run))
            newest = len(self._runs) - 1
        self.selected = newest  # without the lock: whoever observes it may ask for more

    def show(self, runs: Runs) -> None:
        """List these instead; none is picked."""
        self.selected = None
        with self._guard:
            self._cautions = runs.cautions
            self._fill(tuple(runs))

    def clear(self) -> None:
        """Forget every run."""
        self.selected = None
        with self._guard:
            self._cautions = ()
            self._fill(())

    def to_csv(self, path: str | Path) -> None:
        """Write the table of runs, one row each, as :meth:`Runs.frame` gives it.

        Raises
        ------
        InputError
            When no run is listed.
        StorageError
            When the folder is not there, or cannot be written to.
        """
        runs = self.runs
        if runs is None:
            raise InputError("at least one run to write", "none", "Mitigate first.")
        write_whole(user_path(path), storable(runs.frame().to_csv(index=False)).encode())

    def _fill(self, listed: tuple[Run, ...]) -> None:
        self._runs = listed
        runs = self.runs
        if runs is None:
            self.columns, self.before, self.rows, self.means, self.notes = [], [], [], [], [EMPTY]
            return
        frame, summary, measures = runs.frame(), runs.summary(), [BY_KEY[key] for key in runs.measures]
        before = [run.comparison.before for run in listed]
        best = {each.key: _best(frame, each, before) for each in measures}
        with self.hold_sync():
            self.columns = _columns(measures)
            self.before = _befores(before, measures)
            self.rows = [
                _row(at, run, row, measures, best)
                for at, (run, row) in enumerate(zip(listed, frame.to_dict("records"), strict=True))
            ]
            self.means = [_mean(row, measures) for row in summary.to_dict("records") if row["n"] > 1]
            self.notes = [*([UNDERLINED] if any(best.values()) else []), *runs.notes]

    @traitlets.validate("selected")
    def _keep_in_list(self, proposal: Bunch) -> int | None:
        value = proposal.value
        if value is not None and not 0 <= value < len(self._runs):
            raise traitlets.TraitError(f"selected must be a run from 0 to {len(self._runs) - 1}, or None, not {value}")
        return value


def _columns(measures: Sequence[Measure]) -> list[Cells]:
    return [
        {"key": "objective", "title": "Objective", "number": False, "help": "What was minimised"},
        {"key": "seed", "title": "Seed", "number": True, "help": "None where nothing is drawn at random"},
        *(
            {"key": each.key, "title": each.with_unit(each.label), "number": True, "help": each.help}
            for each in measures
        ),
        {"key": "seconds", "title": "Seconds", "number": True, "help": "How long it took"},
    ]


def _befores(evaluations: Sequence[Evaluation], measures: Sequence[Measure]) -> list[Cells]:
    """A row for each different evaluation before; the panel makes an equal one for every run."""
    rows: dict[object, Cells] = {}
    for evaluation in evaluations:
        values = numbers(evaluation).items()
        key = tuple((each, None if math.isnan(value) else value) for each, value in values)  # NaN equals nothing
        name = f"before, {evaluation.data_name}"
        rows[name, key] = {
            "objective": name,
            "cells": {each.key: _cell(each.value(evaluation), each) for each in measures},
        }
    return list(rows.values())


def _settings(run: Run) -> str:
    """How it was trained: what everybody asks for, and what is not as usual."""
    usual = vars(TrainingSettings())

    def tells(key: str, value: object) -> bool:
        trained = run.seed is not None  # what takes no step is not trained in any way
        return key in FEATURES or (trained and (key in COMMON or value != usual.get(key, value)))

    return ", ".join(f"{key}={value!r}" for key, value in run.settings.items() if tells(key, value))


def _steps(run: Run) -> str:
    n = len(run.history.records)
    return "No training step" if run.seed is None else f"{n:,} step{'s' * (n != 1)}"


def _row(at: int, run: Run, row: Record, measures: Sequence[Measure], best: dict[str, set[int]]) -> Cells:
    seed = None if pd.isna(row["seed"]) else int(row["seed"])
    stopped = "" if row["complete"] else ", stopped"
    return {
        "index": at,
        "objective": f"{row['objective']}{stopped}",
        "help": f"{row['options']}\n{_settings(run)}\n{_steps(run)}, compared on {row['data']}",
        "cells": {
            "seed": {"text": None if seed is None else str(seed), "value": seed},
            **{
                each.key: _cell(row[each.key], each) | ({"best": True} if at in best[each.key] else {})
                for each in measures
            },
            "seconds": {"text": f"{row['seconds']:.0f}", "value": float(row["seconds"])},
        },
    }


def _mean(row: Record, measures: Sequence[Measure]) -> Cells:
    return {
        "objective": str(row["objective"]),
        "help": f"Mean and standard deviation of {row['n']} runs, compared on {row['data']}",
        "cells": {
            "seed": {"text": f"n = {row['n']}", "value": int(row["n"])},
            **{each.key: _cell(row[each.key], each, row[each.key + SPREAD]) for each in measures},
            "seconds": {"text": f"{row['seconds']:.0f}", "value": float(row["seconds"])},
        },
    }


def _cell(value: float, measure: Measure, spread: float = math.nan) -> Cells:
    if not math.isfinite(value):
        return {"text": None, "value": None}
    digits = measure.digits
    text = f"{round(value, digits) + 0.0:.{digits}f}"  # no -0.0
    if math.isfinite(spread):
        text += f" ± {spread:.{digits}f}"
    return {"text": text, "value": float(value)}


def _best(frame: pd.DataFrame, measure: Measure, before: Sequence[Evaluation]) -> set[int]:
    """Runs with the best value, to two decimals, of those that began alike.

    Those that were stopped do not count, nor those that are not better than before.
    """
    best: set[int] = set()

    def merit_of(value: float) -> float:
        return measure.merit(round(float(value), 2))

    merit = [merit_of(value) for value in frame[measure.key]]
    start = [merit_of(measure.value(evaluation)) for evaluation in before]
    alike = list(zip(frame["data"], start, strict=True))
    usable = [at for at, complete in enumerate(frame["complete"]) if complete and math.isfinite(merit[at])]
    for each in dict.fromkeys(alike):
        here = [at for at in usable if alike[at] == each]
        if len(here) > 1:
            top = max(merit[at] for at in here)
            if not top <= each[1]:  # what they began with
                best |= {at for at in here if merit[at] == top}
    return best
