"""Runs: the numbers of each run as they were measured, mean and spread over seeds, and nothing done twice."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore import objectives
from ravl_explore.assignment.assignment import assign
from ravl_explore.comparison import compare
from ravl_explore.errors import Cancelled, InputError, StorageError
from ravl_explore.evaluation import Evaluation, evaluate
from ravl_explore.experiments import grid as running
from ravl_explore.experiments.grid import every_objective, run_all
from ravl_explore.experiments.runs import Run, Runs
from ravl_explore.metrics import group_accuracy
from ravl_explore.mitigation import mitigate
from ravl_explore.objectives import Projection, RegionAware, Standard, Upsampled
from ravl_explore.regions import Grid
from ravl_explore.training import History, StepRecord
from ravl_explore.widgets.basics.menus import choices

Make = Callable[..., Any]
SETTINGS = {"epochs": 1, "learning_rate": 1e-4, "batch_size": 8}
LABELS = np.repeat([0, 1], 20)
PRESENT = np.tile(np.repeat([True, False], 10), 2)
NAMES = ("shirt", "bag")


def evaluation(right: tuple[int, int, int, int], **changes: Any) -> Evaluation:
    """Ten images each of shirt with, shirt without, bag with, bag without the feature; how many are right."""
    correct = np.concatenate([np.arange(10) < n for n in right])
    arguments: dict[str, Any] = {
        "image": group_accuracy(correct, LABELS, PRESENT, NAMES),
        "region": None,
        "predictions": np.where(correct, LABELS, 1 - LABELS),
        "labels": LABELS,
        "class_names": NAMES,
        "model_name": "m",
        "data_name": "d",
        "feature_name": "red",
        "attribute": "shirt",
        "gap": sum(right) / 40,
    }
    return Evaluation(**(arguments | changes))


BEFORE = evaluation((10, 5, 2, 9))


def run(name: str, seed: int | None, right: tuple[int, int, int, int], **changes: Any) -> Run:
    history = History(tuple(StepRecord(i, 3, 0, {"loss": 1 / i}, 0.5 * i, {"accuracy": 0.5}) for i in (1, 2, 3)))
    comparison = compare(BEFORE, evaluation(right))
    return replace(Run(name, f"{name}()", {"weight": "0.8"}, seed, {"epochs": 3}, 1.5, comparison, history), **changes)


@pytest.fixture
def runs() -> Runs:
    return Runs(
        BEFORE,
        (
            run("one", 0, (10, 6, 4, 9)),
            run("two", 0, (9, 9, 8, 9)),
            run("one", 1, (10, 7, 7, 9)),
            run("free", None, (5, 5, 5, 5), complete=False),
            run("one", 2, (9, 6, 1, 10)),
        ),
    )


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
    assert Runs(BEFORE).notes == () and len(Runs(BEFORE).frame()) == len(Runs(BEFORE).summary()) == 0


def test_labels_tell_options_and_settings_apart() -> None:
    alike = (run("a", 0, (1, 2, 3, 4)), run("a", 0, (1, 2, 3, 4), options={"weight": "0.5"}), run("b", 0, (1, 2, 3, 4)))
    assert Runs(BEFORE, alike).labels == ("a (weight=0.8)", "a (weight=0.5)", "b")
    longer = replace(alike[0], settings={"epochs": 5}, seed=1)
    assert Runs(BEFORE, (alike[0], longer)).labels == ("a (epochs=3)", "a (epochs=5)")
    assert Runs(BEFORE, (alike[0], replace(alike[0], seed=1))).labels == ("a", "a")
    assert Runs(BEFORE, (*alike, longer)).summary()["n"].tolist() == [1, 1, 1, 1]


def test_saved_runs_are_read_as_they_were(runs: Runs, tmp_path: Path) -> None:
    small = evaluation((1, 2, 3, 4), image=group_accuracy(LABELS == 0, LABELS, PRESENT, NAMES, 99), gap=None)
    other = evaluation((5, 5, 5, 6), data_name="e", gap=float("nan"), region=BEFORE.image, attribute=None)
    odd = run("odd", 3, (1, 1, 1, 1), comparison=compare(other, other))
    bad = History((StepRecord(1, 1, 0, {"loss": float("inf")}, 0.1, {"accuracy": float("nan")}, {"q": 0.5}),))
    runs = Runs(small, (*runs.runs, odd, run("bad", 4, (1, 1, 1, 1), history=bad)))
    path = runs.save(tmp_path / "runs.json")
    again = rx.Runs.load(path)
    assert again.frame().equals(runs.frame()) and again.summary().equals(runs.summary())
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
    path = runs.save(tmp_path / "runs.json")
    with pytest.raises(StorageError, match="no such file"):
        Runs.load(tmp_path / "other.json")
    whole = path.read_text()
    for content in (whole[: len(whole) // 2], '{"format": "ravl_explore runs 1"}', "[1]", '{"format": "runs 9"}', "\0"):
        path.write_text(content)
        with pytest.raises(StorageError):
            Runs.load(path)


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
    path = runs.save(tmp_path / "runs.json")
    content = json.loads(path.read_text())
    content["runs"][0] |= change
    if by_an_earlier_version:
        del content["digest"]
    path.write_text(json.dumps(content))
    with pytest.raises(StorageError, match="a complete file of runs"):
        Runs.load(path)


def test_a_changed_number_is_told(runs: Runs, tmp_path: Path) -> None:
    path = runs.save(tmp_path / "runs.json")
    text = path.read_text()
    path.write_text(text.replace('"seconds": 1.5', '"seconds": 1.6', 1))
    with pytest.raises(StorageError, match="changed after it was written"):
        Runs.load(path)
    path.write_text("[" * 100_000)
    with pytest.raises(StorageError, match="a complete file of runs"):
        Runs.load(path)
    content = {key: value for key, value in json.loads(text).items() if key != "digest"}
    path.write_text(json.dumps(content))
    assert Runs.load(path).frame().equals(runs.frame()), "earlier versions wrote none"


def test_a_closed_folder_of_runs_is_told(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = runs.save(tmp_path / "runs.json")

    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", closed)
    with pytest.raises(StorageError, match="Permission denied"):
        Runs.load(path)


@pytest.fixture
def work(model: Any, make_data: Make, find_features: Make) -> tuple[Any, Any, Any, Any]:
    """Model, fine-tuning data, features and test data; regions and groups are known."""
    test = make_data(42, seed=1)
    test.regions = Grid(2, 2)(test)
    test.region_labels = np.where(np.arange(4)[None] == 0, test.labels[:, None], -1).ravel()
    train = make_data(24)
    return model, train, find_features(train)[-1:], test


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(objective, seed) of every training that run_all does."""
    found: list[tuple[str, int]] = []

    def count(*arguments: Any, **keywords: Any) -> Any:
        found.append((keywords["objective"].name, keywords["seed"]))
        return mitigate(*arguments, **keywords)

    monkeypatch.setattr(running, "mitigate", count)
    return found


def test_each_run_is_what_mitigate_and_evaluate_give(work: tuple[Any, ...]) -> None:
    model, train, features, test = work
    parts = [Upsampled(), RegionAware(), Projection()]
    runs = run_all(*work, objectives=parts, seeds=(3, 4), **SETTINGS)
    assert [(each.objective, each.seed) for each in runs] == [
        (parts[0].name, 3), (parts[1].name, 3), (parts[2].name, None), (parts[0].name, 4), (parts[1].name, 4),
    ]  # fmt: skip
    assignment = assign(model, test, features)
    assert repr(runs.before.image) == repr(evaluate(model, test, assignment=assignment).image)
    by_hand = mitigate(model, train, features, objective=RegionAware(), seed=4, **SETTINGS)
    after = evaluate(by_hand.model, test, assignment=assignment)
    last = runs.runs[-1]
    assert [record.terms for record in last.history.records] == [record.terms for record in by_hand.history.records]
    assert np.array_equal(last.comparison.after.predictions, after.predictions)
    assert repr(last.comparison.after.region) == repr(after.region) and last.comparison.after.gap == after.gap
    assert last.spelled == repr(RegionAware()) and last.settings["epochs"] == 1 and "seed" not in last.settings
    assert "Projection, no training takes no training step" in runs.notes[0]


def test_an_interrupted_grid_goes_on_from_its_folder(
    work: tuple[Any, ...], tmp_path: Path, trained: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int, stage: str) -> None:
        if stage.startswith("Run 3 of 4"):
            raise Cancelled

    grid: dict[str, Any] = {"objectives": [Standard(), Upsampled()], "seeds": (0, 1), "folder": tmp_path / "a" / "b"}
    with pytest.raises(Cancelled):
        run_all(*work, **grid, **SETTINGS, progress=stop)
    first = [(Standard().name, 0), (Upsampled().name, 0)]
    assert trained == first
    runs = run_all(*work, **grid, **SETTINGS)
    assert trained == first + [(name, 1) for name, _ in first]

    # all is there: nothing is trained or embedded, and the numbers are the same
    monkeypatch.setattr(running, "embed", lambda *_, **__: pytest.fail("embedded again"))
    again = run_all(*work, **grid, **SETTINGS)
    assert len(trained) == 4 and again.frame().equals(runs.frame())
    renamed = run_all(*work, **grid | {"objectives": {"mine": Standard()}}, **SETTINGS)
    assert [each.objective for each in renamed] == ["mine", "mine"] and len(trained) == 4
    assert sorted(path.name[: path.name.rindex("-")] for path in grid["folder"].iterdir()) == [
        "before", "standard-fine-tuning-0", "standard-fine-tuning-1",
        "upsampled-fine-tuning-0", "upsampled-fine-tuning-1",
    ]  # fmt: skip


def test_a_grid_goes_on_with_images_that_were_copied(
    work: tuple[Any, ...], tmp_path: Path, trained: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from ravl_explore.data.files import ImageFiles

    model, train, features, test = work

    def stored(name: str, time: int) -> Any:
        (tmp_path / name).mkdir()
        files = [tmp_path / name / f"{i}.png" for i in range(len(train))]
        for i, file in enumerate(files):
            Image.fromarray(train.image(i)).save(file)
            os.utime(file, (time, time))
        return ImageFiles(files, train.labels, train.class_names, name=name, captions=train.captions)

    grid: dict[str, Any] = {"objectives": [Standard()], "seeds": (0,), "folder": tmp_path / "grid", **SETTINGS}
    first, copies = stored("one", 1), stored("two", 2)
    run_all(model, first, features, test, **grid, validation=first)
    run_all(model, copies, features, test, **grid, validation=copies)
    assert len(trained) == 1
    with monkeypatch.context() as patch:
        patch.setattr(running, "content_fingerprint", lambda *_, **__: pytest.fail("read again"))
        run_all(model, copies, features, test, **grid, validation=first)
    shutil.copy(copies.files[0], copies.files[1])
    os.utime(copies.files[1], (3, 3))
    run_all(model, copies, features, test, **grid, validation=first)
    assert len(trained) == 2, "an image is another"


@pytest.mark.parametrize(
    "what", ["option", "setting", "train labels", "given labels", "test prompts", "model", "features", "proposer"]
)
def test_whatever_changes_the_numbers_is_run_again(
    work: tuple[Any, ...],
    what: str,
    tmp_path: Path,
    trained: list[tuple[str, int]],
    make_model: Make,
    make_data: Make,
    find_features: Make,
) -> None:
    model, train, features, test = work
    keywords: dict[str, Any] = {"objectives": [Standard()], "seeds": (0,), "folder": tmp_path, **SETTINGS}
    run_all(model, train, features, test, **keywords)
    if what == "option":
        keywords["objectives"] = [Standard(equal_captions="positives")]
    elif what == "setting":
        keywords["learning_rate"] = 2e-4
    elif what == "train labels":
        train = make_data(24, labels=np.roll(train.labels, 1))
    elif what == "given labels":
        keywords["labels"] = np.roll(train.labels, 1)
    elif what == "test prompts":
        test.templates = ("{}",)
    elif what == "model":
        model = make_model(5)
    elif what == "features":
        features = find_features(train)[:1]
    else:
        keywords["proposer"] = Grid(2, 1)
    run_all(model, train, features, test, **keywords)
    assert len(trained) == 2


def test_validation_images_are_marked_once_for_all_runs(
    work: tuple[Any, ...], make_data: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded, original = [], running.embed

    def count(model: Any, data: Any, *rest: Any, **more: Any) -> Any:
        embedded.append(data)
        return original(model, data, *rest, **more)

    monkeypatch.setattr(running, "embed", count)
    plain = make_data(60, feature_name=None, feature_present=None)
    runs = run_all(*work, objectives=[Standard()], seeds=(0, 1), validation=plain, **SETTINGS)
    assert sum(each is plain for each in embedded) == 1
    assert all("worst_group" in run.history.records[-1].validation for run in runs)


def test_streamed_runs_grow(work: tuple[Any, ...]) -> None:
    stages: list[str] = []
    grown = run_all(
        *work,
        objectives=[Standard()],
        seeds=(0, 1),
        stream=True,
        progress=lambda *state: stages.append(state[2]),
        **SETTINGS,
    )
    assert [len(each) for each in grown] == [1, 2]
    assert any(each.startswith("Run 2 of 2, Standard fine-tuning, seed 1: ") for each in stages)


def test_every_objective_is_what_the_menu_offers() -> None:
    assert list(every_objective()) == [choice.label for choice in choices(objectives) if not choice.form]
    assert every_objective()["Standard fine-tuning"] == Standard()


@dataclass(eq=False)
class Nameless:
    """A part that says nothing of itself."""

    name = "nameless"
    __repr__ = object.__repr__

    def __call__(self, data: Any) -> Any:
        raise AssertionError("not asked")


def test_bad_input(work: tuple[Any, ...], tmp_path: Path) -> None:
    model, train, features, test = work
    for keywords, message in (
        ({"objectives": []}, "at least one objective"),
        ({"seeds": ()}, "at least one seed"),
        ({"seeds": (1, 1)}, "at least one seed, each once"),
        ({"objectives": [Standard(), Standard()]}, "each objective once"),
        ({"stream": False, "assignment": None}, "that all runs share, got assignment"),
        ({"folder": tmp_path, "objectives": [Standard()], "proposer": Nameless()}, "told apart in the next session"),
    ):
        with pytest.raises(InputError, match=message):
            run_all(model, train, features, test, **keywords)
    with pytest.raises(InputError, match="at least one feature"):
        run_all(model, train, [], test)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a folder for the runs"):
        run_all(model, train, features, test, folder=tmp_path / "file")


def test_a_run_that_was_cut_short_is_told_of(work: tuple[Any, ...], tmp_path: Path) -> None:
    keywords: dict[str, Any] = {"objectives": [Standard()], "seeds": (0,), "folder": tmp_path, **SETTINGS}
    run_all(*work, **keywords)
    path = next(tmp_path.glob("standard*"))
    path.write_text(path.read_text()[:100])
    with pytest.raises(StorageError, match="Delete it and run again"):
        run_all(*work, **keywords)
