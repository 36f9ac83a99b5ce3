"""A folder's classes are what people mean by them, and what is left out, assumed or cannot be read is told."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ravl_explore.data import Folder, Mnist, ObjectCxr, Sun397, open_dataset
from ravl_explore.data.files import ImageFiles
from ravl_explore.errors import DataError


def put(root: Path, *names: str) -> Path:
    """A small picture under each name."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), 7).save(root / name, "PNG")
    return root


# --- what counts ------------------------------------------------------------------------------------------------------


def test_files_are_taken_by_their_first_bytes_where_the_ending_is_another(tmp_path: Path) -> None:
    put(tmp_path, "cat/0.png", "cat/photo.jpg_large", "cat/README.png", "dog/0.IMA", "dog/1.0.2", "dog/list.txt")
    data = Folder(tmp_path)
    names = [file.name for file in data.files]
    assert names == ["0.png", "README.png", "photo.jpg_large", "0.IMA", "1.0.2", "list.txt"]
    assert data.unreadable() == {} and data.notes == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("meta.csv", "BMI,age\n21,30\n"),
        ("notes.txt", "P1 is a patient\n"),
        ("notes.md", "P2 12 13 14\n"),
        ("notes.dat", "P1 is a patient\n"),
        ("notes", "BMI of each patient\n"),
        ("codes.dat", "P3.1 P3.2\n"),
        ("kinds.txt", "GIF89a, PNG\n"),
    ],
)
def test_texts_that_start_like_an_image_are_none(tmp_path: Path, name: str, content: str) -> None:
    put(tmp_path, "cat/0.png", "dog/0.png")
    (tmp_path / "cat" / name).write_text(content)
    assert [file.name for file in Folder(tmp_path).files] == ["0.png", "0.png"]


@pytest.mark.parametrize("kind", ["BMP", "PPM"])
def test_simple_formats_count_without_their_ending(tmp_path: Path, kind: str) -> None:
    put(tmp_path, "cat/0.png", "dog/0.png")
    Image.new("L", (2, 2), 7).save(tmp_path / "dog" / "1", kind)
    (tmp_path / "dog" / "2").write_bytes(b"P2\n# made by hand\n2 # wide\n1 255\n0 7\n")
    assert [file.name for file in Folder(tmp_path).files] == ["0.png", "0.png", "1", "2"]


def test_dicom_of_another_ending_is_an_image(tmp_path: Path) -> None:
    put(tmp_path, "cat/0.png", "dog/0.png")
    (tmp_path / "dog" / "1.IMA").write_bytes(bytes(128) + b"DICM")
    assert [file.name for file in Folder(tmp_path).files] == ["0.png", "0.png", "1.IMA"]


def test_what_is_left_out_is_told_by_ending_and_class(tmp_path: Path) -> None:
    put(tmp_path, "cat/0.png", "dog/0.png")
    for name in ("cat/a.HEIC", "dog/b.heic", "dog/c.heic", "dog/d.tga", "dog/nothing"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    for name in ("cat/labels.csv", "cat/Thumbs.db", "cat/README", "dog/.hidden", "dog/DICOMDIR", "dog/LICENSE.md"):
        (tmp_path / name).write_text("no image")
    (tmp_path / "dog" / "more").symlink_to(tmp_path / "cat")
    assert Folder(tmp_path).notes == (
        ".heic files were left out, of no kind of image that is read: 2 of 'dog', 1 of 'cat'.",
        "Files without an ending were left out, of no kind of image that is read: 1 of 'dog'.",
        ".tga files were left out, of no kind of image that is read: 1 of 'dog'.",
        "Links to folders were not followed: 'dog/more'.",
    )


def test_many_endings_share_a_note(tmp_path: Path) -> None:
    put(tmp_path, "cat/0.png", "dog/0.png")
    for i in range(20):
        (tmp_path / "cat" / f"scan.{i:03}").write_text("no image")
    notes = Folder(tmp_path).notes
    assert len(notes) == 6 and notes[-1].startswith("Files with other endings were left out")
    assert notes[-1].endswith(": 15 of 'cat'.")


def test_a_class_of_nothing_that_can_be_read_is_told_with_the_remedy(tmp_path: Path) -> None:
    put(tmp_path, "cat/0.png")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    with pytest.raises(DataError, match=r"got 'cat'\. \.heic files were left out.*1 of 'dog'\. Convert those files"):
        Folder(tmp_path)


def test_a_class_behind_a_link_is_told_with_the_remedy(tmp_path: Path) -> None:
    put(tmp_path, "set/cat/0.png", "elsewhere/1.png")
    (tmp_path / "set" / "dog").mkdir()
    (tmp_path / "set" / "dog" / "here").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"links to folders are not followed: 'dog/here'\. Put the images themselves"):
        Folder(tmp_path / "set")
    (tmp_path / "set" / "hen").symlink_to(tmp_path / "elsewhere")
    assert Folder(tmp_path / "set").class_names == ("cat", "hen")


def test_a_named_pipe_among_the_images_is_told(tmp_path: Path) -> None:
    put(tmp_path, "cat/0.png", "dog/0.png")
    os.mkfifo(tmp_path / "cat" / "1.png")
    os.mkfifo(tmp_path / "cat" / "2")
    data = Folder(tmp_path)
    assert data.unreadable() == {1: "a named pipe, not a file"} and "Files without an ending" in data.notes[0]


# --- layouts ----------------------------------------------------------------------------------------------------------


def test_splits_are_no_classes(tmp_path: Path) -> None:
    for splits in (
        ("train", "val", "test"),
        ("Training_set", "Testing_set"),
        ("train2017", "val2017"),
        ("train",),
        ("fold1", "fold2"),
    ):
        root = tmp_path / splits[0]
        put(root, *(f"{split}/{name}/0.png" for split in splits for name in ("cat", "dog")))
        with pytest.raises(DataError, match="like the splits of a dataset and hold the classes 'cat', 'dog'") as raised:
            Folder(root)
        told = raised.value.remedy.split("'")[1]
        assert Folder(told).class_names == ("cat", "dog"), "the remedy helps"


def test_one_split_without_labels_does_not_hide_the_others(tmp_path: Path) -> None:
    put(tmp_path, "train/cat/0.png", "train/dog/0.png", "test/0.png", "test/1.png")
    with pytest.raises(DataError, match=r"Open one of them, such as '.*train'"):
        Folder(tmp_path)


def test_doubtful_layouts_are_told(tmp_path: Path) -> None:
    put(tmp_path / "a", "train/0.png", "test/0.png")
    assert "called like the splits of a dataset: 'test', 'train'" in Folder(tmp_path / "a").notes[0]
    put(tmp_path / "m", "images/0.png", "masks/0.png")
    assert "called like the splits of a dataset: 'masks'" in Folder(tmp_path / "m").notes[0]
    put(tmp_path / "b", *(f"{place}/{name}/0.png" for place in ("home", "away") for name in ("cat", "dog")))
    assert "holds 'cat', 'dog'; if those are the classes" in Folder(tmp_path / "b").notes[0]
    put(tmp_path / "d", *(f"{name}/{part}/0.png" for name in ("cat", "dog") for part in ("train", "val")))
    assert Folder(tmp_path / "d").notes == () and Folder(tmp_path / "d").class_names == ("cat", "dog")
    put(tmp_path / "e", *(f"{name}/{part}/0.png" for name in ("bus", "train") for part in ("test", "train")))
    assert Folder(tmp_path / "e").notes == (), "a train is a thing, too"
    put(tmp_path / "c", "bus/0.png", "car/0.png", "train/0.png", "train/old/1.png")
    assert Folder(tmp_path / "c").notes == () and Folder(tmp_path / "c").class_names == ("bus", "car", "train")


def test_a_folder_in_a_folder_is_opened_instead(tmp_path: Path) -> None:
    put(tmp_path, "archive/cat/0.png", "archive/dog/0.png")
    with pytest.raises(DataError, match=r"'archive' alone, which holds 'cat', 'dog'\. Open '.*archive'"):
        Folder(tmp_path)


@pytest.mark.parametrize("names", [("1.0", "2.0"), ("+1", "-1"), ("1", "1.0"), ("1e3", "007")])
def test_numbers_as_names_stay_as_they_are_written(tmp_path: Path, names: tuple[str, str]) -> None:
    put(tmp_path, *(f"{name}/0.png" for name in names))
    data = Folder(tmp_path)
    assert set(data.class_names) == set(names)
    assert [data.class_names[label] for label in data.labels] == [file.parent.name for file in data.files]


def test_indices_may_have_leading_zeros(tmp_path: Path) -> None:
    put(tmp_path, "00002/0.png", "00000/0.png", "00001/0.png")
    data = Folder(tmp_path, class_names=["20", "30", "50"])
    assert data.class_names == ("20", "30", "50") and data.labels.tolist() == [0, 1, 2]
    assert [file.parent.name for file in data.files] == ["00000", "00001", "00002"]
    put(tmp_path, "2/0.png")
    with pytest.raises(DataError, match="labels among the class names"):
        Folder(tmp_path, class_names=["20", "30", "50"])


def test_images_without_a_subfolder(tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png")
    with pytest.raises(DataError, match=r"2 images right in .*its own subfolder, or .* in a table"):
        Folder(tmp_path)
    put(tmp_path, "cat/0.png", "dog/0.png")
    data = Folder(tmp_path)
    assert len(data) == 2 and data.notes == ("2 images right in the folder have no class and were left out.",)


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("called", [("0", "1"), ("n01443537", "n01629819"), ("class_1", "class_2"), ("c0", "c1")])
def test_names_that_say_nothing_are_told(tmp_path: Path, called: tuple[str, str]) -> None:
    put(tmp_path, *(f"{name}/0.png" for name in called))
    assert "give class_names for prompts that say something" in Folder(tmp_path).notes[0]
    data = Folder(tmp_path, class_names=["goldfish", "salamander"])
    assert data.class_names == ("goldfish", "salamander") and data.labels.tolist() == [0, 1]
    assert open_dataset(f"{tmp_path}?class_names=goldfish,salamander").class_names == data.class_names
    indices = called == ("0", "1")
    assert data.notes == () if indices else f"{called[0]!r}, {called[1]!r} are called 'goldfish'" in data.notes[0]


def test_numbers_are_sorted_as_numbers(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}/0.png" for i in (2, 10, 1)))
    data = Folder(tmp_path)
    assert data.class_names == ("1", "2", "10") and [file.parent.name for file in data.files] == ["1", "2", "10"]
    assert Folder(tmp_path, class_names="a, b, c").class_names == ("a", "b", "c"), "counted from 1"


def test_class_names_order_and_refuse(tmp_path: Path) -> None:
    put(tmp_path, "cat/0.png", "dog/0.png")
    data = Folder(tmp_path, class_names=["dog", "cat", "hen"])
    assert data.class_names == ("dog", "cat", "hen") and [file.parent.name for file in data.files] == ["dog", "cat"]
    for names in (["dog", "cow"], ["a", "b", "c"], ["a"]):
        with pytest.raises(DataError, match=r"for the subfolders 'cat', 'dog'\. Give one name for each subfolder"):
            Folder(tmp_path, class_names=names)


def test_names_of_another_encoding_are_escaped(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"set\xff")
    put(root, *(os.fsdecode(name) for name in (b"caf\xe9/\xfc.png", b"tea/\xfc.png")))
    data = Folder(root)
    data.files[1].write_bytes(b"")
    for text in (*data.class_names, data.name, data.where(0), *map(str, data.unreadable().values())):
        text.encode()
    assert data.class_names == (r"caf\udce9", "tea") and data.where(0).endswith(r"\udcfc.png")
    assert data.image(0).shape == (2, 2, 3)
    with pytest.raises(DataError) as raised:
        data.image(1)
    str(raised.value).encode()


def test_names_of_a_mac_are_those_of_other_systems(tmp_path: Path) -> None:
    put(tmp_path, f"{unicodedata.normalize('NFD', 'Bär')}/0.png", "Kuh/0.png")
    assert Folder(tmp_path).class_names == ("Bär", "Kuh")
    assert Folder(tmp_path, class_names=["Kuh", "Bär"]).labels.tolist() == [0, 1]
    put(tmp_path, f"{unicodedata.normalize('NFC', 'Bär')}/1.png")
    both = Folder(tmp_path)
    assert both.class_names == ("Bär", "Kuh") and len(both) == 3 and "one class: 'Bär'" in both.notes[0]


def test_a_tilde_leads_home_or_is_part_of_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "set/cat/~$0.png", "set/dog/0.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(Folder("~/set")) == len(ImageFiles(["~/set/cat/~$0.png"], [0], ["cat", "dog"])) + 1 == 2
    with pytest.raises(DataError, match="not a folder"):
        Folder("~nobody-of-this-name")
    monkeypatch.chdir(tmp_path / "set" / "cat")
    assert ImageFiles(["~$0.png"], [0], ["cat", "dog"]).unreadable() == {}


# --- closed folders ---------------------------------------------------------------------------------------------------


@contextmanager
def nobody() -> Iterator[None]:
    """Root may enter closed folders, so it gives up its rights for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    "call",
    [
        Folder,
        lambda closed: Folder(closed.parent),
        Mnist,
        Sun397,
        ObjectCxr,
        lambda closed: ImageFiles([closed / "0.png"], [0], ["cat", "dog"]),
    ],
    ids=["Folder", "Folder above", "Mnist", "Sun397", "ObjectCxr", "ImageFiles"],
)
def test_closed_folders_are_told(tmp_path: Path, call: Any) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/tmp"):  # the tests' own folders, closed to others
            folder.chmod(folder.stat().st_mode | 0o755)
    closed = put(tmp_path, "set/closed/0.png", "set/open/0.png") / "set" / "closed"
    closed.chmod(0)
    try:
        with nobody(), pytest.raises(DataError) as raised:
            call(closed)
    finally:
        closed.chmod(0o755)
    assert "closed" in str(raised.value) and ("ermission" in str(raised.value) or "may not" in str(raised.value))
