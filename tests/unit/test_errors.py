"""Every bad input ends in a RavlError that says what was expected, what came, and what to do about it."""

from __future__ import annotations

import copy
import errno
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ravl_explore as rx
from ravl_explore import errors
from ravl_explore.clustering import KMedoids
from ravl_explore.data import ArrayDataset, Folder
from ravl_explore.errors import (
    DataError,
    InputError,
    MissingDependencyError,
    ModelError,
    RavlError,
    StorageError,
    TrainingError,
)
from ravl_explore.models import Checkpoint
from ravl_explore.objectives import RegionAware
from ravl_explore.regions import Given, Regions

BLACK = np.zeros((2, 8, 8, 3), np.uint8)
NAMES = ("cat", "dog")


def refused(kind: type[RavlError], call: Callable[[], Any], *content: str) -> RavlError:
    """The call raises ``kind``; its message has all three parts, reads well, and holds all of ``content``."""
    with pytest.raises(kind) as raised:
        call()
    error = raised.value
    message = str(error)
    assert message == f"Expected {error.expected}, got {error.came}. {error.remedy}"
    for part in (error.expected, error.came, error.remedy):
        assert part.strip() and part == part.strip() and "None" not in part
    assert not error.expected.endswith(".") and not error.came.endswith(".")
    assert error.remedy[0].isupper() and error.remedy.endswith((".", ")."))
    assert len(error.remedy.split()) >= 2, "a sentence, not a word"
    assert len(message) < 1000 and "Traceback" not in message and "object at 0x" not in message
    for part in content:
        assert part in message, message
    return error


# --- data -------------------------------------------------------------------------------------------------------------


def test_no_images(tmp_path: Path) -> None:
    refused(DataError, lambda: ArrayDataset([], [], NAMES), "at least one image", "none")
    for name in NAMES:
        (tmp_path / name).mkdir()
    refused(DataError, lambda: Folder(tmp_path), "at least one image")
    refused(DataError, lambda: Folder(tmp_path / "missing"), "missing", "not a folder")


@pytest.mark.parametrize("label", [2, -1])
def test_labels_outside_the_classes(label: int) -> None:
    refused(DataError, lambda: ArrayDataset(BLACK, [0, label], NAMES), "from 0 to 1", f"{label} at image 1")


def test_one_class(tmp_path: Path) -> None:
    refused(DataError, lambda: ArrayDataset(BLACK, [0, 0], ["cat"]), "at least two classes", "got 1")
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "cat" / "a.png")
    refused(DataError, lambda: Folder(tmp_path), "at least two classes", "got 1")


@pytest.mark.parametrize("content", [b"", b"this is text"])
def test_an_unreadable_image_is_named_wherever_it_is_first_met(model: Any, tmp_path: Path, content: bytes) -> None:
    for name in NAMES:
        (tmp_path / name).mkdir()
        Image.new("RGB", (40, 40)).save(tmp_path / name / "good.png")
    bad = tmp_path / "dog" / "holiday photo.jpg"
    bad.write_bytes(content)
    refused(DataError, lambda: Folder(tmp_path).image(2), str(bad))
    refused(DataError, lambda: rx.embed(model, Folder(tmp_path)), str(bad))


# --- regions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "content"),
    [
        ((0, 0, 9.5, 8), ("inside its image", "in image 1 of 8 x 8 pixels", "9.5")),
        ((-2, 0, 4, 4), ("inside its image", "in image 1 of 8 x 8 pixels", "-2")),
        ((3, 3, 3, 5), ("x1 < x2", "region 1", "3")),
        ((5, 0, 2, 4), ("x1 < x2", "reversed", "region 1")),
        ((0, float("nan"), 2, 4), ("finite", "region 1", "nan")),
        ((0, 0, float("inf"), 4), ("finite", "region 1", "inf")),
    ],
    ids=["outside", "before the edge", "empty", "reversed", "nan", "infinite"],
)
def test_boxes(model: Any, box: tuple, content: tuple[str, ...]) -> None:
    data = ArrayDataset(BLACK, [0, 1], NAMES)
    refused(InputError, lambda: rx.embed(model, data, Given(Regions.from_lists([[[0, 0, 4, 4]], [box]]))), *content)


def test_no_boxes(model: Any) -> None:
    data = ArrayDataset(BLACK, [0, 1], NAMES)
    refused(InputError, lambda: rx.embed(model, data, Given()), "a dataset with boxes")
    refused(InputError, lambda: rx.embed(model, data, Given(Regions.from_lists([[], []]))), "at least one region")


# --- models -----------------------------------------------------------------------------------------------------------


def test_another_embedding_size(model: Any, make_data: Callable[..., Any], make_discovery: Callable[..., Any]) -> None:
    feature, told = make_discovery().choose(0), []
    refused(InputError, lambda: rx.assign(rx.embed(model, make_data()), feature), "embeddings of 6 dimensions", "32")

    def mitigate() -> Any:
        return rx.mitigate(model, make_data(), feature, RegionAware(), progress=lambda *state: told.append(state))

    refused(ModelError, mitigate, "6 embedding dimensions", "32")
    assert told == [], "before anything is embedded"


def test_embeddings_of_two_sizes(make_embeddings: Callable[..., Any]) -> None:
    refused(ModelError, lambda: make_embeddings(text=np.eye(3, 9, dtype=np.float32)), "one embedding size", "9", "6")


def test_nan_embeddings(make_model: Callable[..., Any], make_data: Callable[..., Any]) -> None:
    broken = make_model()
    with torch.no_grad():
        broken.visual.conv1.weight[0] = float("nan")
    refused(ModelError, lambda: rx.embed(broken, make_data(3)), "finite image embeddings", "3 of 3")
    text = make_model()
    with torch.no_grad():
        text._clip.text_projection[0] = float("nan")
    refused(ModelError, lambda: rx.embed(text, make_data(3)), "finite text embeddings", "3 of 3")


def test_fewer_regions_than_clusters(model: Any, make_data: Callable[..., Any]) -> None:
    embeddings = rx.embed(model, make_data(3))
    refused(InputError, lambda: KMedoids(range(5, 14))(embeddings.region), "n_clusters=13", "12 regions")


class Bait:
    """Unpickling this creates a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.path,)


def test_not_a_checkpoint(tmp_path: Path) -> None:
    text, bait = tmp_path / "readme.pt", tmp_path / "evil.pt"
    text.write_text("no weights here")
    refused(ModelError, lambda: Checkpoint(text), "checkpoint", str(text))
    torch.save({"weights": Bait(tmp_path / "ran")}, bait)
    refused(ModelError, lambda: Checkpoint(bait), str(bait), "pickled code", "not run")
    assert not (tmp_path / "ran").exists()
    refused(ModelError, lambda: Checkpoint(tmp_path / "missing.pt"), "no such file")
    (tmp_path / "x.safetensors").write_bytes(b"\1" * 50)
    refused(ModelError, lambda: Checkpoint(tmp_path / "x.safetensors"), "x.safetensors")


def test_a_device_that_is_not_there(tmp_path: Path, model: Any) -> None:
    torch.save(model.state_dict, tmp_path / "good.pt")
    refused(ModelError, lambda: Checkpoint(tmp_path / "good.pt", "cuda:42"), "cuda:42", "cpu")
    refused(ModelError, lambda: Checkpoint(tmp_path / "good.pt", "tpu9"), "tpu9", "cuda")


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_full_disk(tmp_path: Path, make_discovery: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    path = tmp_path / "found.safetensors"
    refused(StorageError, lambda: rx.save(make_discovery(), path), str(path), "No space left", "Free space")
    assert list(tmp_path.iterdir()) == []


# --- discovery --------------------------------------------------------------------------------------------------------


def test_settings_and_empty_results(make_discovery: Callable[..., Any]) -> None:
    refused(InputError, lambda: make_discovery(min_influence=2), "from 0 to 1", "2")
    refused(InputError, lambda: make_discovery(rule="best"), "paper", "'best'")
    empty = make_discovery(min_influence=1.0)
    refused(InputError, lambda: empty.best, "survives discovery", "Lower min_influence")


# --- the classes themselves -------------------------------------------------------------------------------------------

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RavlError)]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_pickling_and_copying(kind: type[RavlError]) -> None:
    """Else a worker process that raises one breaks the pool instead of telling the user."""
    error = kind("a cat", "a dog", "Call it.")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind and str(again) == str(error) == "Expected a cat, got a dog. Call it."
        assert (again.expected, again.came, again.remedy) == ("a cat", "a dog", "Call it.")


def test_errors_are_also_what_python_programmers_catch() -> None:
    assert set(KINDS) == {
        RavlError,
        InputError,
        DataError,
        ModelError,
        StorageError,
        MissingDependencyError,
        TrainingError,
    }
    assert issubclass(InputError, ValueError)
    assert issubclass(StorageError, OSError)
    assert issubclass(MissingDependencyError, ImportError)
    assert not issubclass(rx.Cancelled, RavlError), "stopping is no error"
