"""Files of runs: read as they were written, and what is none, was cut short or changed is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore.comparison import compare
from ravl_explore.errors import StorageError
from ravl_explore.experiments import Caution, Runs
from ravl_explore.experiments.run_files import load_runs
from ravl_explore.metrics import group_accuracy
from ravl_explore.training import History, StepRecord
from tests.unit.experiments.cases import BEFORE, LABELS, NAMES, PRESENT, evaluation, run


def test_saved_runs_are_read_as_they_were(runs: Runs, tmp_path: Path) -> None:
    small = evaluation((1, 2, 3, 4), image=group_accuracy(LABELS == 0, LABELS, PRESENT, NAMES, 99), gap=None)
    other = evaluation((5, 5, 5, 6), data_name="e", gap=float("nan"), region=BEFORE.image, attribute=None)
    odd = run("odd", 3, (1, 1, 1, 1), comparison=compare(other, other))
    bad = History((StepRecord(1, 1, 0, {"loss": float("inf")}, 0.1, {"accuracy": float("nan")}, {"q": 0.5}),))
    told = (Caution("class missing", "no “bag” ☃"), Caution("chance", "It guesses."))
    runs = Runs(small, (*runs.runs, odd, run("bad", 4, (1, 1, 1, 1), history=bad)), told)
    path = rx.save(runs, tmp_path / "runs.json")
    again = rx.load(path)
    assert again.frame().equals(runs.frame()) and again.summary().equals(runs.summary())
    assert again.cautions == told and again.notes == runs.notes
    for one, two in zip(runs, again, strict=True):
        for name in ("objective", "spelled", "options", "seed", "settings", "seconds", "complete"):
            assert getattr(one, name) == getattr(two, name)
        assert np.array_equal(one.comparison.fixed, two.comparison.fixed)
        assert one.comparison.groups().equals(two.comparison.groups())
        assert one.comparison.frame().equals(two.comparison.frame())
        assert repr(one.history) == repr(two.history)
    assert again.runs[0].comparison.frame()["low"].notna().any()
    assert np.isnan(again.before.image.worst) and again.before.image.worst_group is None and again.before.gap is None
    assert np.isnan(again.runs[5].comparison.before.gap or 0)
    assert len({id(each.comparison.before) for each in again}) == 2
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_what_is_no_file_of_runs(runs: Runs, tmp_path: Path) -> None:
    path = rx.save(runs, tmp_path / "runs.json")
    with pytest.raises(StorageError, match="no such file"):
        rx.load(tmp_path / "other.json")
    whole = path.read_text()
    for content in (whole[: len(whole) // 2], '{"format": "ravl_explore runs 1"}', "[1]", '{"format": "runs 9"}', "\0"):
        path.write_text(content)
        with pytest.raises(StorageError):
            rx.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"objective": 3}, {"spelled": None}, {"options": []}, {"seed": "x"}, {"seed": True}, {"settings": None},
        {"seconds": "long"}, {"complete": 1}, {"notes": "none"}, {"history": [{"step": 1}]}, {"before": 9},
        {"after": {}}, {"best_step": {}, "history": None},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("by_an_earlier_version", [False, True])
def test_a_run_that_cannot_be_is_told(
    runs: Runs, tmp_path: Path, change: dict[str, Any], by_an_earlier_version: bool
) -> None:
    path = rx.save(runs, tmp_path / "runs.json")
    content = json.loads(path.read_text())
    content["runs"][0] |= change
    if by_an_earlier_version:
        del content["digest"]
    path.write_text(json.dumps(content))
    with pytest.raises(StorageError, match="a complete file of runs"):
        rx.load(path)


def test_a_changed_number_is_told(runs: Runs, tmp_path: Path) -> None:
    path = rx.save(runs, tmp_path / "runs.json")
    text = path.read_text()
    path.write_text(text.replace('"seconds": 1.5', '"seconds": 1.6', 1))
    with pytest.raises(StorageError, match="changed after it was written"):
        rx.load(path)
    path.write_text("[" * 100_000)
    with pytest.raises(StorageError, match="a complete file of runs"):
        load_runs(path)
    with pytest.raises(StorageError, match="a complete result file"):
        rx.load(path)
    content = {key: value for key, value in json.loads(text).items() if key not in ("digest", "cautions")}
    path.write_text(json.dumps(content))
    again = rx.load(path)
    assert again.frame().equals(runs.frame()) and again.cautions == (), "earlier versions wrote neither"


@pytest.mark.parametrize(
    "cautions", [[["odd", "text"]], [["seen", 3]], [["seen"]], [3], 3, [["seen", "a", "b"]]], ids=str
)
def test_a_caution_that_cannot_be_is_told(runs: Runs, tmp_path: Path, cautions: Any) -> None:
    path = rx.save(runs, tmp_path / "runs.json")
    content = json.loads(path.read_text()) | {"cautions": cautions}
    del content["digest"]
    path.write_text(json.dumps(content))
    with pytest.raises(StorageError, match="a complete file of runs"):
        rx.load(path)


def test_a_closed_folder_of_runs_is_told(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = rx.save(runs, tmp_path / "runs.json")

    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", closed)
    with pytest.raises(StorageError, match="Permission denied"):
        rx.load(path)
