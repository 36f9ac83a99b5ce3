"""ImageFiles reads one image at a time, goes on past the unreadable, and names its content; Subset follows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data import ArrayDataset, Demo, Folder, Subset
from ravl_explore.data.base import check_dataset
from ravl_explore.data.files import ImageFiles
from ravl_explore.errors import Cancelled, DataError, InputError
from ravl_explore.regions.base import Regions

NAMES = ("cat", "dog")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Five pictures, i + 1 pixels wide and 9 high, of grey 10 i."""
    made = []
    for i in range(5):
        path = tmp_path / f"{i}.png"
        Image.new("L", (i + 1, 9), 10 * i).save(path)
        made.append(path)
    return made


def files(paths: list[Path], **more: Any) -> ImageFiles:
    return ImageFiles(paths, [i % 2 for i in range(len(paths))], NAMES, **more)


# --- reading ----------------------------------------------------------------------------------------------------------


def test_sizes_pixels_and_paths(paths: list[Path]) -> None:
    data = files(paths)
    assert data.image_sizes.tolist() == [[i + 1, 9] for i in range(5)]
    assert (data.image(3) == 30).all() and data.image(3).shape == (9, 4, 3)
    assert data.where(3) == str(paths[3]) and data.unreadable() == {}


def test_nothing_is_kept_but_sizes(paths: list[Path]) -> None:
    data = files(paths)
    data.image(0)
    Image.new("L", (1, 9), 99).save(paths[0])
    assert (data.image(0) == 99).all(), "read when asked for"


def test_headers_are_read_once(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    data, read = files(paths), []
    from ravl_explore.data import lazy_images as module

    original = module.header_or_reason
    monkeypatch.setattr(module, "header_or_reason", lambda path: read.append(path) or original(path))
    assert read == [], "not when made"
    _ = data.image_sizes, data.image_sizes, data.unreadable()
    assert sorted(read) == paths


def test_the_unreadable_are_listed_with_reasons_and_the_first_is_named(paths: list[Path]) -> None:
    paths[1].write_bytes(b"")
    paths[3].unlink()
    data = files(paths)
    assert data.unreadable() == {1: "an empty file, 0 bytes", 3: "no such file"}
    with pytest.raises(DataError, match=r"1\.png' \(an empty file, 0 bytes\) and 1 more"):
        _ = data.image_sizes
    assert data.sizes_of(np.array([4, 0])).tolist() == [[5, 9], [1, 9]], "the others' sizes are known all the same"
    with pytest.raises(DataError, match=r"3\.png"):
        data.image(3)


def test_a_scan_reports_and_can_be_stopped(paths: list[Path]) -> None:
    told: list[tuple[int, int]] = []
    files(paths).unreadable(lambda done, total, stage: told.append((done, total)))
    assert told[0] == (0, 5) and told[-1] == (5, 5)

    def stop(done: int, total: int, stage: str) -> None:
        raise Cancelled

    data = files(paths)
    with pytest.raises(Cancelled):
        data.unreadable(stop)
    assert len(data.image_sizes) == 5, "and done later"


def test_no_file_at_all_is_told_at_once(tmp_path: Path, paths: list[Path]) -> None:
    with pytest.raises(DataError, match=r"image files, got .*nowhere.*nor is any other"):
        files([tmp_path / "nowhere" / path.name for path in paths])
    assert len(files([tmp_path / "nowhere.png", *paths])) == 6, "one is enough"


# --- fingerprints -----------------------------------------------------------------------------------------------------


def test_a_fingerprint_is_of_the_files(paths: list[Path], tmp_path: Path) -> None:
    first = files(paths).fingerprint()
    assert first == files(paths).fingerprint() == files(paths, name="other", captions=["a"] * 5).fingerprint()
    assert files(paths[:4]).fingerprint() != first
    assert files(paths[::-1]).fingerprint() != first
    stat = paths[2].stat()
    os.utime(paths[2], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert files(paths).fingerprint() != first
    os.utime(paths[2], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert files(paths).fingerprint() == first
    paths[2].unlink()
    assert files(paths).fingerprint() != first


def test_a_moved_folder_is_the_same_data(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / "old" / name).mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / "old" / name / "a.png")
    before = Folder(tmp_path / "old").fingerprint()
    (tmp_path / "old").rename(tmp_path / "new")
    assert Folder(tmp_path / "new").fingerprint() == before
    (tmp_path / "new" / "cat" / "a.png").rename(tmp_path / "new" / "cat" / "b.png")
    assert Folder(tmp_path / "new").fingerprint() != before


def test_a_fingerprint_of_arrays_is_of_the_pixels() -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    first = ArrayDataset(pixels, [0, 1], NAMES).fingerprint()
    assert ArrayDataset(pixels.copy(), [1, 0], ["hen", "cow"]).fingerprint() == first, "not of what is said of them"
    other = pixels.copy()
    other[1, 3, 3, 2] = 1
    assert ArrayDataset(other, [0, 1], NAMES).fingerprint() != first
    assert ArrayDataset(pixels.reshape(2, 2, 8, 3), [0, 1], NAMES).fingerprint() != first
    assert ArrayDataset(list(other), [0, 1], NAMES).fingerprint() != first


def test_a_fingerprint_of_the_demo_tells_its_splits_apart() -> None:
    assert Demo("val").fingerprint() == Demo("val").fingerprint() != Demo("test").fingerprint()


# --- Subset -----------------------------------------------------------------------------------------------------------


def annotated() -> ArrayDataset:
    """Four images with 2, 0, 1 and 3 boxes; box i of image j starts at (j, i)."""
    boxes = [[(j, i, j + 1, i + 1) for i in range(n)] for j, n in enumerate((2, 0, 1, 3))]
    return ArrayDataset(
        np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8),
        [0, 1, 0, 1],
        NAMES,
        captions=list("abcd"),
        regions=Regions.from_lists(boxes),
        feature_name="red",
        feature_present=np.array([True, False, False, True]),
        region_labels=np.array([0, -1, 0, 1, -1, -1]),
        region_feature=np.array([False, True, False, False, True, False]),
    )


def test_a_subset_keeps_everything_in_its_order() -> None:
    data = Subset(annotated(), [3, 1, 0])
    assert len(data) == 3 and data.labels.tolist() == [1, 1, 0] and data.captions == ("d", "b", "a")
    assert [int(data.image(i)[0, 0, 0]) for i in range(3)] == [3, 1, 0]
    assert data.regions is not None and data.regions.image_index.tolist() == [0, 0, 0, 2, 2]
    assert data.regions.boxes[:, :2].tolist() == [[3, 0], [3, 1], [3, 2], [0, 0], [0, 1]]
    assert data.region_labels is not None and data.region_labels.tolist() == [1, -1, -1, 0, -1]
    assert data.region_feature is not None and data.region_feature.tolist() == [False, True, False, False, True]
    assert data.feature_present is not None and data.feature_present.tolist() == [True, False, True]
    assert data.class_names == NAMES and data.image_sizes.tolist() == [[8, 8]] * 3
    check_dataset(data)


def test_a_subset_by_flags_and_of_a_subset() -> None:
    whole = annotated()
    assert Subset(whole, np.array([True, False, True, True])).captions == ("a", "c", "d")
    assert Subset(Subset(whole, [3, 2, 0]), [2, 0]).captions == ("a", "d")


def test_a_subset_leaves_the_unreadable_out(paths: list[Path]) -> None:
    paths[1].write_bytes(b"no")
    data = files(paths)
    assert Subset(data, [0, 2, 4]).image_sizes.tolist() == [[1, 9], [3, 9], [5, 9]]
    some = Subset(data, [4, 1])
    assert list(some.unreadable()) == [1] and some.where(1) == str(paths[1])
    with pytest.raises(DataError, match=r"1\.png"):
        _ = some.image_sizes
    nested = Subset(Subset(data, [4, 1, 0]), [2, 0])
    assert nested.unreadable() == {} and nested.image_sizes.tolist() == [[1, 9], [5, 9]]
    assert Subset(annotated(), [2]).unreadable() == {} and Subset(annotated(), [2]).where(0) == "image 2"


def test_a_subset_has_its_own_fingerprint() -> None:
    whole = annotated()
    marks = {whole.fingerprint(), *(Subset(whole, rows).fingerprint() for rows in ([3, 2, 1, 0], [1, 0], [0, 1]))}
    assert len(marks) == 4 and Subset(whole, [0, 1]).fingerprint() in marks
    assert Subset(whole, [0, 1, 2, 3]).fingerprint() == whole.fingerprint(), "all of it, in order"


@pytest.mark.parametrize("index", [[4], [-1], [0.5], [[0], [1]], [True, False], ["a"]])
def test_a_subset_refuses_what_is_no_index(index: Any) -> None:
    with pytest.raises(InputError):
        Subset(annotated(), index)


def test_an_empty_subset_is_refused() -> None:
    with pytest.raises(DataError, match="at least one image"):
        Subset(annotated(), [])


# --- check_dataset ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"class_names": ["cat", "Cat "]}, "differ, also in lower case"),
        ({"class_names": ["cat", " "]}, "a name for every class"),
        ({"region_labels": np.zeros(5, int)}, r"region_labels of shape \(6,\)"),
        ({"region_feature": np.zeros(7, bool)}, r"region_feature of shape \(6,\)"),
        ({"region_labels": np.full(6, 2)}, r"region_labels from -1 \(none\) to 1"),
        ({"region_labels": np.full(6, -2)}, "region_labels from -1"),
        ({"regions": Regions.from_lists([[]] * 4 + [[(0, 0, 1, 1)]] * 6)}, "boxes of images 0 to 3"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], told: str) -> None:
    whole = annotated()
    given = {
        name: getattr(whole, name)
        for name in ("labels", "class_names", "captions", "regions", "region_labels", "region_feature")
    }
    with pytest.raises(DataError, match=told):
        ArrayDataset(np.zeros((4, 8, 8, 3), np.uint8), **(given | changes))


def test_templates_as_one_text_are_refused(paths: list[Path]) -> None:
    with pytest.raises(InputError, match="a list of prompt templates"):
        files(paths, templates="a photo of a {}")
    with pytest.raises(InputError, match="a list of prompt templates"):
        ArrayDataset(np.zeros((2, 8, 8, 3), np.uint8), [0, 1], NAMES, templates="a photo of a {}")
