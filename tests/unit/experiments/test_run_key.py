"""RunKeys: finished runs are known again wherever their images lie, and whatever changes the numbers is another run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.captions import CaptionLabeller
from ravl_explore.data import Folder
from ravl_explore.data.files import ImageFiles
from ravl_explore.experiments import Experiment, run_all, run_key
from ravl_explore.experiments.run_key import RunKeys
from ravl_explore.objectives import ConceptGuided, CounterfactualRegions, Standard
from ravl_explore.regions import Given, Grid, Regions
from ravl_explore.training import TrainingSettings

Make = Callable[..., Any]
QUICK = TrainingSettings(epochs=1, learning_rate=1e-4, batch_size=8)
SETTINGS: dict[str, Any] = {"settings": QUICK}


def folder_of(data: Any, root: Path, time: int = 1) -> Path:
    """The images as PNG files of one age, in a folder a class."""
    for i in range(len(data)):
        file = root / data.class_names[data.labels[i]] / f"{i:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.image(i)).save(file)
        os.utime(file, (time, time))
    return root


@pytest.mark.parametrize("moved", ["copied", "renamed", "touched"])
def test_a_folder_that_moved_reads_the_finished_runs(
    work: tuple[Any, ...], moved: str, tmp_path: Path, trained: list[tuple[str, int]], embedded: list[Any]
) -> None:
    model, train, feature, test = work
    root = folder_of(train, tmp_path / "one")
    grid: dict[str, Any] = {"objectives": [Standard()], "seeds": (0,), "folder": tmp_path / "runs", **SETTINGS}
    first = run_all(model, Folder(root), feature, test, **grid)
    assert len(trained) == 1
    if moved == "copied":
        root = Path(shutil.copytree(root, tmp_path / "elsewhere" / "two", copy_function=shutil.copyfile))
    elif moved == "renamed":
        root = root.rename(tmp_path / "another name")
    else:
        for file in root.rglob("*.png"):
            os.utime(file, (9, 9))
    embedded.clear()
    again = run_all(model, Folder(root), feature, test, **grid)
    assert len(trained) == 1 and embedded == [] and again.frame().equals(first.frame())

    file = next(root.rglob("*.png"))
    Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    run_all(model, Folder(root), feature, test, **grid)
    assert len(trained) == 2, "an image is another"


def test_a_grid_goes_on_with_images_that_were_copied(
    work: tuple[Any, ...], tmp_path: Path, trained: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, train, feature, test = work

    def stored(name: str, time: int) -> Any:
        (tmp_path / name).mkdir()
        files = [tmp_path / name / f"{i}.png" for i in range(len(train))]
        for i, file in enumerate(files):
            Image.fromarray(train.image(i)).save(file)
            os.utime(file, (time, time))
        return ImageFiles(files, train.labels, train.class_names, name=name, captions=train.captions)

    grid: dict[str, Any] = {"objectives": [Standard()], "seeds": (0,), "folder": tmp_path / "grid", **SETTINGS}
    first, copies = stored("one", 1), stored("two", 2)
    run_all(model, first, feature, test, **grid, validation=first)
    run_all(model, copies, feature, test, **grid, validation=copies)
    assert len(trained) == 1
    with monkeypatch.context() as patch:
        patch.setattr(run_key, "content_fingerprint", lambda *_, **__: pytest.fail("read again"))
        run_all(model, copies, feature, test, **grid, validation=first)
    shutil.copy(copies.files[0], copies.files[1])
    os.utime(copies.files[1], (3, 3))
    run_all(model, copies, feature, test, **grid, validation=first)
    assert len(trained) == 2, "an image is another"


@pytest.mark.parametrize(
    "what", ["option", "setting", "train labels", "given labels", "test prompts", "model", "feature", "proposer"]
)
def test_whatever_changes_the_numbers_is_run_again(
    work: tuple[Any, ...],
    what: str,
    tmp_path: Path,
    trained: list[tuple[str, int]],
    make_model: Make,
    make_data: Make,
    find_feature: Make,
) -> None:
    model, train, feature, test = work
    keywords: dict[str, Any] = {"objectives": [Standard()], "seeds": (0,), "folder": tmp_path, **SETTINGS}
    run_all(model, train, feature, test, **keywords)
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
    elif what == "feature":
        feature = find_feature(train, (feature.clusters[0] + 1) % 4)
    else:
        keywords["proposer"] = Grid(2, 1)
    run_all(model, train, feature, test, **keywords)
    assert len(trained) == 2


def key(work: tuple[Any, ...], objective: Any = None, settings: TrainingSettings = QUICK, **parts: Any) -> str:
    """Of a run of this experiment, in no folder."""
    experiment = Experiment(*work, **parts)
    return RunKeys(experiment, None, None).of(objective or Standard(), settings)


def many_boxes(x: float = 3.0) -> Regions:
    """Ten boxes an image of 42, so many that a printed array leaves out the middle; one of those begins at ``x``."""
    boxes = np.tile(np.array([0, 0, 16, 16], np.float32), (420, 1))
    boxes[210, 0] = x
    return Regions(boxes, np.repeat(np.arange(42), 10))


def test_what_does_not_show_in_a_text_is_told_apart(work: tuple[Any, ...], make_data: Make) -> None:
    model, _, feature, test = work
    train = make_data(42)
    work = (model, train, feature, test)
    assert repr(many_boxes(3).boxes) == repr(many_boxes(4).boxes), "as text they are the same"
    labeller = CaptionLabeller(train.class_names, decoys=("cat scan",))
    other = CaptionLabeller(train.class_names, decoys=("cat scan", "hot dog"))
    assert repr(labeller) == repr(other)
    for parts, others in (
        ({"labels": labeller}, {"labels": other}),
        ({"proposer": Given(many_boxes(3))}, {"proposer": Given(many_boxes(4))}),
        ({"labels": np.zeros(42, int)}, {"labels": np.arange(42) // 41}),
        ({"validation": train}, {"validation": make_data(42, captions=["a cat"] * 42)}),
    ):
        assert key(work, **parts) == key(work, **parts) != key(work, **others)
    assert key(work, labels=CaptionLabeller(train.class_names, decoys=("cat scan",))) == key(work, labels=labeller)
    assert key(work, proposer=Given(many_boxes(3))) == key(work, proposer=Given(many_boxes(3)))


@pytest.mark.parametrize("what", ["decoys", "box"])
def test_such_runs_are_not_read(
    work: tuple[Any, ...], make_data: Make, what: str, tmp_path: Path, trained: list[tuple[str, int]]
) -> None:
    model, _, feature, test = work
    train = make_data(42)

    def run(changed: bool) -> None:
        if what == "decoys":
            parts = {"labels": CaptionLabeller(train.class_names, decoys=("cat scan", "hot dog")[: 1 + changed])}
        else:
            parts = {"proposer": Given(many_boxes(3.0 + changed))}
        run_all(model, train, feature, test, objectives=[Standard()], seeds=(0,), folder=tmp_path, **SETTINGS, **parts)

    run(False)
    run(False)
    assert len(trained) == 1
    run(True)
    assert len(trained) == 2


def test_seeds_and_objectives_are_told_apart_and_the_same_is_the_same(work: tuple[Any, ...]) -> None:
    parts = [Standard(), Standard("positives"), CounterfactualRegions(), CounterfactualRegions(loss=Standard())]
    keys = [key(work, part, replace(QUICK, seed=seed)) for part in parts for seed in (0, 1)]
    assert len(set(keys)) == len(keys)
    assert keys == [key(work, part, replace(QUICK, seed=seed)) for part in parts for seed in (0, 1)]


def test_concepts_concern_only_objectives_that_use_relevance(work: tuple[Any, ...]) -> None:
    class Masks:
        """Of files, which may change."""

        uses_regions, content = False, "one"

        def open(self, data: Any, shown: Any = None) -> Any:
            return self

        def fingerprint(self) -> str:
            return self.content

    masks: Any = Masks()
    plain, guided = key(work, concepts=masks), key(work, ConceptGuided(), concepts=masks)
    masks.content = "two"
    assert key(work, concepts=masks) == plain == key(work)
    assert key(work, ConceptGuided(), concepts=masks) != guided
