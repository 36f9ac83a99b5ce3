"""A dataset of one's own is held against what it says: its attributes before the work, its images as they are read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ravl_explore as rx
from ravl_explore import data, objectives
from ravl_explore.data.base import check_dataset
from ravl_explore.data.known_images import Identity, difference, outline
from ravl_explore.errors import DataError, InputError, RavlError

Make = Callable[[np.ndarray], Any]


class Own:
    """The protocol, by hand: four pictures of 20 x 16 pixels, of which the third is what ``make`` makes of it."""

    name, class_names, templates = "own", ("a cat", "a dog"), ("a {}",)
    captions = regions = feature_name = feature_present = region_labels = region_feature = None

    def __init__(self, make: Make = lambda pixels: pixels, **changes: Any) -> None:
        self.make = make
        self.labels = np.array([0, 1, 0, 1])
        self.image_sizes: Any = np.tile([20, 16], (4, 1))
        self.__dict__.update(changes)

    def __len__(self) -> int:
        return 4

    def image(self, index: int) -> Any:
        pixels = np.random.default_rng(index).integers(0, 255, (16, 20, 3), dtype=np.uint8)
        return self.make(pixels) if index == 2 else pixels


LIES: dict[str, Make] = {
    "floats from 0 to 1": lambda x: x / 255,
    "int16": lambda x: x.astype(np.int16),
    "one channel": lambda x: x[..., :1],
    "grey": lambda x: x[..., 0],
    "four channels": lambda x: np.dstack([x, x[..., 0]]),
    "channels first": lambda x: x.transpose(2, 0, 1),
    "turned": lambda x: x.transpose(1, 0, 2),
    "another size": lambda x: np.zeros((99, 7, 3), np.uint8),
    "no pixels": lambda x: x[:0],
    "None": lambda x: None,
    "a list": lambda x: x.tolist(),
    "Pillow's": Image.fromarray,
}


@pytest.mark.parametrize("make", LIES.values(), ids=LIES.keys())
def test_an_image_that_is_not_what_the_dataset_says_is_named(model: Any, find_feature: Any, make: Make) -> None:
    with pytest.raises(DataError, match="image 2"):
        rx.embed(model, Own(make))
    good = Own()
    marked = rx.assign(rx.embed(model, good), find_feature(good, 0))
    with pytest.raises(DataError, match="image 2"):
        rx.mitigate(model, Own(make), marked, objectives.Standard(), epochs=1)


def test_such_images_can_be_skipped(model: Any) -> None:
    embeddings = rx.embed(model, Own(LIES["grey"]), max_unreadable=1)
    assert [each.index for each in embeddings.unreadable] == [2] and len(embeddings.image) == 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": [0, 1, 0, 1]}, "labels as an array of int64, got a list"),
        ({"labels": np.array([0.0, 1, 0, 1])}, "labels as an array of int64"),
        ({"labels": np.array(["0", "1", "0", "1"])}, "labels as an array of int64"),
        ({"labels": np.array([0, 1, 0, 1], np.uint8)}, "labels as an array of int64"),
        ({"labels": np.array([[0], [1], [0], [1]])}, "one label for each of 4 images"),
        ({"class_names": "ab"}, "class_names as a list of texts, got 'ab'"),
        ({"class_names": (0, 1)}, "class_names as texts, got 0"),
        ({"class_names": ("cat", None)}, "class_names as texts, got None"),
        ({"captions": "a cat"}, "captions as a list of texts"),
        ({"captions": ["a", "b", float("nan"), "c"]}, "captions as texts, got nan at 2"),
        ({"templates": [3]}, "templates as texts"),
        ({"templates": None}, "a list of prompt templates"),
        ({"feature_present": np.array([0, 1, 0, 1])}, "feature_present as an array of bool"),
        ({"feature_name": 3}, "feature_name a text"),
        ({"name": None}, "name a text"),
        ({"regions": np.zeros((4, 4))}, "regions as Regions"),
        ({"region_labels": np.array(["a"])}, "region_labels as an array of int64"),
    ],
)
def test_what_it_says_of_itself_is_checked(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RavlError, match=told):
        check_dataset(Own(**changes))


@pytest.mark.parametrize(
    "sizes", [np.tile([20, 16], (3, 1)), np.zeros((4, 2), int), [[20, 16]] * 4, np.tile([20.0, 16.0], (4, 1)), None]
)
def test_sizes_are_checked(model: Any, sizes: Any) -> None:
    with pytest.raises(DataError, match="image_sizes as integers"):
        rx.embed(model, Own(image_sizes=sizes))


@pytest.mark.parametrize("missing", ["labels", "image", "captions", "__len__", "image_sizes"])
def test_what_is_missing_is_named(missing: str) -> None:
    every = {key: value for base in (Own,) for key, value in vars(base).items() if not key.startswith("__")}
    every |= {"__len__": Own.__len__, "labels": np.array([0, 1, 0, 1]), "image_sizes": np.tile([20, 16], (4, 1))}
    with pytest.raises(InputError, match=f"data a dataset, got .* which has no {missing}"):
        check_dataset(type("Part", (), {key: value for key, value in every.items() if key != missing})())


def test_a_good_one_passes(model: Any) -> None:
    assert rx.embed(model, Own()).image.shape[0] == 4


# --- names that look alike --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("caf\u00e9", "cafe\u0301"),
        ("cat", "c\u200bat"),
        ("cat", "\ufeffcat"),
        ("cat", "\uff43at"),
        ("of\ufb01ce", "office"),
        ("Stra\u00dfe", "STRASSE"),
        ("a cat", "a\u00a0cat"),
        ("cat", "ca\u00adt"),
    ],
)
def test_names_that_are_read_alike_are_refused(one: str, other: str) -> None:
    with pytest.raises(DataError, match="class names that differ"):
        data.ArrayDataset(np.zeros((2, 4, 4, 3), np.uint8), [0, 1], [one, other])


def test_a_name_of_nothing_to_see_is_empty() -> None:
    with pytest.raises(DataError, match="a name for every class"):
        data.ArrayDataset(np.zeros((2, 4, 4, 3), np.uint8), [0, 1], ["cat", "\u200b"])


# --- arrays -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": ["0", "1"]}, "labels as whole numbers"),
        ({"labels": [0.5, 1]}, "labels as whole numbers"),
        ({"labels": [0, [1, 2]]}, "labels as a list of numbers"),
        ({"labels": [True, False]}, "labels as whole numbers"),
        ({"class_names": "ab"}, "class_names as a list"),
        ({"class_names": ["a", None]}, "class_names as texts"),
        ({"captions": "ab"}, "captions as a list"),
        ({"feature_present": ["no", "no"]}, "feature_present as True or False"),
        ({"feature_present": [0, 2]}, "feature_present as True or False"),
        ({"images": "pictures"}, "images as an array"),
        ({"images": 3}, "images as an array"),
        ({"images": [None, None]}, "image 0 as None"),
        ({"name": 3}, "name a text"),
    ],
)
def test_arrays_of_other_kinds_are_not_converted(changes: dict[str, Any], told: str) -> None:
    arguments = {"images": np.zeros((2, 4, 4, 3), np.uint8), "labels": [0, 1], "class_names": ["a", "b"]} | changes
    with pytest.raises(DataError, match=told):
        data.ArrayDataset(**arguments)  # type: ignore[arg-type]


def test_numbers_may_be_class_names_and_flags_may_be_0_and_1() -> None:
    made = data.ArrayDataset(np.zeros((2, 4, 4, 3), np.uint8), [0, 1], [0, 1], feature_present=[0, 1])  # type: ignore[list-item]
    assert made.class_names == ("0", "1") and made.feature_present is not None
    assert made.feature_present.dtype == bool and made.feature_present.tolist() == [False, True]


# --- whose images they are --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of three pictures each."""
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(3):
            write(tmp_path / "pictures" / name / f"{i}.bmp", 10 * label + i)
    return tmp_path / "pictures"


def write(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def test_copied_and_moved_files_are_the_same_images(folder: Path) -> None:
    identity = Identity.of(data.Folder(folder))
    copied = folder.parent / "elsewhere"
    shutil.copytree(folder, copied, copy_function=shutil.copyfile)
    assert identity.fingerprint != data.Folder(copied).fingerprint(), "else this says nothing"
    assert not identity.differs(data.Folder(copied))
    (folder / "cat" / "0.bmp").touch()
    assert not identity.differs(data.Folder(folder))


@pytest.mark.parametrize("what", ["renamed", "exchanged", "overwritten", "another order", "fewer of one class"])
def test_other_files_are_other_images(folder: Path, what: str) -> None:
    found = data.Folder(folder)
    identity = Identity.of(found)
    first, second = folder / "cat" / "0.bmp", folder / "cat" / "1.bmp"
    if what == "renamed":
        first.rename(folder / "cat" / "9.bmp")
    elif what == "exchanged":
        first.rename(folder / "x")
        second.rename(first)
        (folder / "x").rename(second)
    elif what == "overwritten":
        write(first, 1234)  # of the same length
    later: Any = data.Folder(folder)
    if what == "another order":
        later = data.Subset(later, [1, 0, 2, 3, 4, 5])
    elif what == "fewer of one class":
        later = data.Subset(later, [0, 1, 3, 4])
    assert identity.differs(later)


def test_two_identities_differ_as_an_identity_and_a_dataset_do(folder: Path) -> None:
    one, elsewhere = data.Folder(folder), folder.parent / "elsewhere"
    shutil.copytree(folder, elsewhere, copy_function=shutil.copyfile)
    parts = (one, data.Folder(elsewhere), data.Subset(one, [1, 0, 2, 3, 4, 5]), data.Subset(one, [0, 1, 3, 4]))
    for mine in parts:
        for other in parts:
            assert Identity.of(mine).differs(Identity.of(other)) == Identity.of(mine).differs(other)
    assert Identity.of(one).differs(Identity.of(parts[2])) and not Identity.of(one).differs(Identity.of(parts[1]))
    assert not Identity().differs(Identity.of(one)) and not Identity.of(one).differs(Identity()), "nothing is known"


def test_the_first_difference_is_told(make_data: Any) -> None:
    pictures = make_data(6)
    made = SimpleNamespace(labels=pictures.labels, class_names=pictures.class_names, identity=Identity.of(pictures))
    known: dict[str, Any] = {"n_images": 6, "identity": Identity.of(pictures)}
    all_of_it = known | {"labels": pictures.labels, "class_names": pictures.class_names}
    for same in (pictures, made):
        assert difference(same, **known) is None and difference(same, **all_of_it) is None
    others = {
        "number": make_data(5),
        "classes": replaced(made, class_names=("cat", "dog", "cow")),
        "labels": replaced(made, labels=pictures.labels[::-1]),
        "images": make_data(6, seed=1, labels=pictures.labels),
    }
    assert [difference(other, **all_of_it) for other in others.values()] == list(others)
    assert difference(others["classes"], **known) is None, "classes count where they are known"
    assert difference(replaced(made, identity=Identity("others")), **known) == "images"


def replaced(made: SimpleNamespace, **changes: Any) -> SimpleNamespace:
    return SimpleNamespace(**(vars(made) | changes))


def test_files_have_an_outline_and_arrays_have_none(folder: Path, make_data: Any) -> None:
    found = data.Folder(folder)
    assert outline(found) == outline(data.Subset(found, np.arange(6))) != outline(data.Subset(found, [0, 3]))
    assert outline(make_data(3)) == ""


def test_a_saved_discovery_knows_its_images_again(model: Any, cluster: Any, folder: Path, tmp_path: Path) -> None:
    found = data.Folder(folder)
    embeddings = rx.embed(model, found)
    discovery = rx.discover(rx.zero_shot(embeddings), cluster(embeddings.region, [0, 1, 2]))
    kept = rx.load(rx.save(discovery, tmp_path / "found.safetensors")).scores.embeddings
    assert kept.identity == embeddings.identity == Identity.of(found)
    assert kept.of(data.Folder(folder)) is not None
    (folder / "cat" / "0.bmp").rename(folder / "cat" / "9.bmp")
    with pytest.raises(InputError, match="other images"):
        kept.of(data.Folder(folder))


def test_skipped_images_are_no_part_of_it(model: Any, folder: Path) -> None:
    (folder / "dog" / "1.bmp").write_bytes(b"BM cut short")
    found = data.Folder(folder)
    embeddings = rx.embed(model, found, max_unreadable=1)
    assert len(embeddings.unreadable) == 1
    part = embeddings.of(data.Folder(folder))
    assert len(part) == 5 and embeddings.of(part) is part
    (folder / "cat" / "0.bmp").rename(folder / "cat" / "9.bmp")
    with pytest.raises(InputError, match="other images"):
        embeddings.of(data.Folder(folder))
