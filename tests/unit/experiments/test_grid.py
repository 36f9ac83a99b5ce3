"""run_all(): each run is what one mitigation gives, what is finished is not done again, and cautions come first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ravl_explore import objectives
from ravl_explore.data.subset import Subset
from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import Cancelled, InputError, StorageError
from ravl_explore.evaluation import evaluate
from ravl_explore.experiments import Experiment, Runs, run_all
from ravl_explore.experiments import grid as grid_module
from ravl_explore.experiments.grid import every_objective
from ravl_explore.mitigation import mitigate
from ravl_explore.objectives import Projection, RegionAware, Standard, Upsampled
from ravl_explore.scores import zero_shot
from ravl_explore.training import TrainingSettings
from ravl_explore.widgets.basics.menus import choices

Make = Callable[..., Any]
SETTINGS: dict[str, Any] = {"settings": TrainingSettings(epochs=1, learning_rate=1e-4, batch_size=8)}


def test_each_run_is_what_mitigate_and_evaluate_give(work: tuple[Any, ...], mark: Make) -> None:
    model, train, feature, test = work
    parts = [Upsampled(), RegionAware(), Projection()]
    runs = run_all(*work, objectives=parts, seeds=(3, 4), **SETTINGS)
    assert [(each.objective, each.seed) for each in runs] == [
        (parts[0].name, 3), (parts[1].name, 3), (parts[2].name, None), (parts[0].name, 4), (parts[1].name, 4),
    ]  # fmt: skip
    found = mark(test, feature)
    assert repr(runs.before.image) == repr(evaluate(zero_shot(embed(model, test)), found).image)
    by_hand = mitigate(model, train, mark(train, feature), RegionAware(), seed=4, **SETTINGS)
    after = evaluate(zero_shot(embed(by_hand.model, test)), found)
    last = runs.runs[-1]
    assert [record.terms for record in last.history.records] == [record.terms for record in by_hand.history.records]
    assert np.array_equal(last.comparison.after.predictions, after.predictions)
    assert repr(last.comparison.after.region) == repr(after.region) and last.comparison.after.gap == after.gap
    assert last.spelled == repr(RegionAware()) and last.settings["epochs"] == 1 and "seed" not in last.settings
    assert last.settings["feature"] == feature.name == f"cluster {feature.clusters[0]}"
    assert f"feature='{feature.name}'" in runs.frame()["settings"][0]
    assert "Projection, no training takes no training step" in runs.notes[0]


def test_an_interrupted_grid_goes_on_from_its_folder(
    work: tuple[Any, ...], tmp_path: Path, trained: list[tuple[str, int]], embedded: list[Any]
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
    embedded.clear()
    again = run_all(*work, **grid, **SETTINGS)
    assert len(trained) == 4 and embedded == []
    assert again.frame().equals(runs.frame()) and again.cautions == runs.cautions
    renamed = run_all(*work, **grid | {"objectives": {"mine": Standard()}}, **SETTINGS)
    assert [each.objective for each in renamed] == ["mine", "mine"] and len(trained) == 4
    assert sorted(path.name[: path.name.rindex("-")] for path in grid["folder"].iterdir()) == [
        "before", "standard-fine-tuning-0", "standard-fine-tuning-1",
        "upsampled-fine-tuning-0", "upsampled-fine-tuning-1",
    ]  # fmt: skip


def test_each_dataset_is_embedded_once_for_all_runs(
    work: tuple[Any, ...], make_data: Make, embedded: list[tuple[Any, Any]]
) -> None:
    model = work[0]
    plain = make_data(60, feature_name=None, feature_present=None)
    runs = run_all(*work, objectives=[Standard()], seeds=(0, 1), validation=plain, **SETTINGS)
    assert [data for of, data in embedded if of is model].count(plain) == 1
    assert len(embedded) == 3 + 2 and sum(of is model for of, _ in embedded) == 3, (
        "by a new model its test images alone"
    )
    assert all("worst_group" in run.history.records[-1].validation for run in runs)


def test_after_each_run_the_runs_so_far_are_told(work: tuple[Any, ...]) -> None:
    stages: list[str] = []
    grown: list[Runs] = []
    runs = run_all(
        *work,
        objectives=[Standard()],
        seeds=(0, 1),
        on_run=grown.append,
        progress=lambda *state: stages.append(state[2]),
        **SETTINGS,
    )
    assert [len(each) for each in grown] == [1, 2]
    assert all(each.before is runs.before and each.cautions == runs.cautions for each in grown)
    assert [run.seed for run in runs] == [run.seed for run in grown[-1]]
    assert any(each.startswith("Run 2 of 2, Standard fine-tuning, seed 1: ") for each in stages)


def test_who_is_told_may_end_it_there(work: tuple[Any, ...], tmp_path: Path, trained: list[tuple[str, int]]) -> None:
    def enough(runs: Runs) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        run_all(*work, objectives=[Standard()], folder=tmp_path, on_run=enough, **SETTINGS)
    assert len(trained) == 1 and len(list(tmp_path.glob("standard-*"))) == 1, "it is kept"


def test_cautions_are_logged_once_and_before_the_first_training(
    work: tuple[Any, ...], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, train, feature, test = work
    pulled = test.class_names.index(feature.attribute)
    lacking = Subset(test, np.flatnonzero(test.labels != pulled), "lacking")
    logged: list[list[str]] = []
    begin = Experiment.begin

    def look(self: Experiment, *arguments: Any, **more: Any) -> Any:
        logged.append([record.getMessage() for record in caplog.records if record.levelno == logging.WARNING])
        return begin(self, *arguments, **more)

    monkeypatch.setattr(Experiment, "begin", look)
    with caplog.at_level(logging.WARNING):
        runs = run_all(model, train, feature, lacking, objectives=[Standard()], seeds=(0, 1), **SETTINGS)
    assert runs.cautions[0].code == "class missing"
    assert f"lacking has no image of '{feature.attribute}'" in runs.cautions[0].text
    assert logged == [[caution.text for caution in runs.cautions]] * 2
    assert [caution.text for caution in runs.cautions if caution.text in runs.notes] == logged[0]


def test_objectives_of_one_name_keep_their_own_learning_rates(work: tuple[Any, ...]) -> None:
    @dataclass(frozen=True)
    class Slow(Standard):
        usual_learning_rate: float = 1e-5

    runs = run_all(*work, objectives=[Slow(), Standard()], seeds=(0,), epochs=1)
    assert [run.objective for run in runs] == [Standard().name] * 2
    assert [run.settings["learning_rate"] for run in runs] == [1e-5, Standard().usual_learning_rate]


def test_every_objective_is_what_the_menu_offers() -> None:
    assert list(every_objective()) == [choice.label for choice in choices(objectives) if not choice.form]
    assert every_objective()["Standard fine-tuning"] == Standard()


@dataclass(eq=False)
class Unsayable:
    """A part that holds what may be another in the next session."""

    rule: Callable[[Any], Any] = lambda data: data
    name = "unsayable"

    def __call__(self, data: Any) -> Any:
        raise AssertionError("not asked")


def test_bad_input(work: tuple[Any, ...], tmp_path: Path) -> None:
    model, train, feature, test = work
    for keywords, message in (
        ({"objectives": []}, "at least one objective"),
        ({"seeds": ()}, "at least one seed"),
        ({"seeds": (1, 1)}, "at least one seed, each once"),
        ({"objectives": [Standard(), Standard()]}, "each objective once"),
        ({"learning_rate": 2.0}, "learning_rate between 0 and 1"),
        ({"settings": {"epochs": 3}}, "settings"),
        ({"validation": 3}, "validation"),
        ({"labels": np.zeros(3, int)}, "one integer label for each of 24 images"),
        ({"proposer": 3}, "proposer"),
        ({"on_run": [print]}, "on_run a function"),
        ({"folder": tmp_path, "objectives": [Standard()], "proposer": Unsayable()}, "told apart in the next session"),
    ):
        with pytest.raises(InputError, match=message):
            run_all(model, train, feature, test, **keywords)
    for no_feature in ([], [feature], feature.clusters, None):
        with pytest.raises(InputError, match=r"Choose clusters with discovery\.choose"):
            run_all(model, train, no_feature, test)  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a folder for the runs"):
        run_all(model, train, feature, test, folder=tmp_path / "file")


def test_a_run_that_was_cut_short_is_told_of(work: tuple[Any, ...], tmp_path: Path) -> None:
    keywords: dict[str, Any] = {"objectives": [Standard()], "seeds": (0,), "folder": tmp_path, **SETTINGS}
    run_all(*work, **keywords)
    path = next(tmp_path.glob("standard*"))
    path.write_text(path.read_text()[:100])
    with pytest.raises(StorageError, match="Delete it and run again"):
        run_all(*work, **keywords)


@dataclass(frozen=True)
class Scaled(Standard):
    """An objective that holds what may be another in the next session."""

    scale: Callable[[float], float] = lambda loss: 2 * loss


def test_only_a_folder_needs_objectives_that_are_known_again(work: tuple[Any, ...], tmp_path: Path) -> None:
    assert len(run_all(*work, objectives=[Scaled()], seeds=(0,), **SETTINGS)) == 1
    with pytest.raises(InputError, match="each objective once"):
        run_all(*work, objectives=[Scaled(), Scaled()], seeds=(0,), **SETTINGS)
    with pytest.raises(InputError, match=r"told apart in the next session.*leave folder out"):
        run_all(*work, objectives=[Scaled()], seeds=(0,), folder=tmp_path, **SETTINGS)


def test_what_runs_share_is_in_no_runs_seconds(work: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    now, made = [0.0], []
    marked = Experiment.marked

    def slow(self: Experiment, progress: Any = None) -> Any:
        now[0] += 0 if made else 1000
        made.append(marked(self, progress))
        return made[-1]

    monkeypatch.setattr(Experiment, "marked", slow)
    monkeypatch.setattr(grid_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    runs = run_all(*work, objectives=[Standard()], seeds=(0,), **SETTINGS)
    assert now[0] == 1000 and runs.runs[0].seconds == 0 and len({id(assignment) for assignment in made}) == 1
