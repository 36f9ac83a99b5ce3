"""Runs: the numbers of each run as they were measured, with mean and spread over seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ravl_explore.experiments import Caution, Runs
from tests.unit.experiments.cases import BEFORE, run


def test_frame_has_a_row_a_run_with_the_measures_of_the_comparison(runs: Runs) -> None:
    frame = runs.frame()
    assert frame["objective"].tolist() == ["one", "two", "one", "free", "one"]
    assert frame["seed"].isna().tolist() == [False, False, False, True, False]
    assert frame["steps"].tolist() == [3] * 5 and frame["complete"].tolist() == [True, True, True, False, True]
    for at, each in enumerate(runs):
        for row in each.comparison.frame().itertuples():
            assert frame.loc[at, f"{row.level} {row.measure}"] == row.after
    assert runs.measures == tuple(frame.columns[8:])
    assert runs.measures == (
        "image accuracy", "image worst group", "shortcut ε1", "shortcut ε2", "shortcut performance gap G",
    )  # fmt: skip


def test_summary_is_mean_and_sample_deviation_over_seeds(runs: Runs) -> None:
    summary, frame = runs.summary().set_index("objective"), runs.frame()
    assert summary["n"].to_dict() == {"one": 3, "two": 1, "free": 1}
    for measure in runs.measures:
        values = [value for name, value in zip(frame["objective"], frame[measure], strict=True) if name == "one"]
        mean = sum(values) / 3
        spread = (sum((value - mean) ** 2 for value in values) / 2) ** 0.5
        assert summary.loc["one", measure] == pytest.approx(mean)
        assert summary.loc["one", f"{measure}, sd"] == pytest.approx(spread)
        assert np.isnan(summary.loc["two", f"{measure}, sd"])


def test_notes_say_what_was_run_once_and_what_was_stopped(runs: Runs) -> None:
    assert runs.notes == (
        "free takes no training step: it was run once and has no spread over seeds.",
        "1 of 5 runs stopped before the last step.",
        f"Guessing gives 50.0% on {BEFORE.data_name}.",
    )
    told = replace(runs, cautions=(Caution("class missing", "d has no “bag”."), Caution("chance", "It guesses.")))
    assert told.notes == (*runs.notes, "d has no “bag”.", "It guesses.")
    assert Runs(BEFORE).notes == () and len(Runs(BEFORE).frame()) == len(Runs(BEFORE).summary()) == 0


def test_labels_tell_options_and_settings_apart() -> None:
    alike = (run("a", 0, (1, 2, 3, 4)), run("a", 0, (1, 2, 3, 4), options={"weight": "0.5"}), run("b", 0, (1, 2, 3, 4)))
    assert Runs(BEFORE, alike).labels == ("a (weight=0.8)", "a (weight=0.5)", "b")
    longer = replace(alike[0], settings={"epochs": 5}, seed=1)
    assert Runs(BEFORE, (alike[0], longer)).labels == ("a (epochs=3)", "a (epochs=5)")
    assert Runs(BEFORE, (alike[0], replace(alike[0], seed=1))).labels == ("a", "a")
    assert Runs(BEFORE, (*alike, longer)).summary()["n"].tolist() == [1, 1, 1, 1]
