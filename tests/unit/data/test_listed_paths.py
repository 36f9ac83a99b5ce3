"""Paths in a file lead to images inside one folder, and what is advised where they do not, helps."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ravl_explore.data import Coco, Sun397, Table
from ravl_explore.data.listed_paths import resolve_inside
from ravl_explore.errors import DataError

NFC, NFD = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 20)).save(root / name)
    return root


def advised(error: DataError, argument: str) -> Path:
    """The folder that the remedy names."""
    start = f"Give the folder that holds all images as {argument}, such as '"
    assert error.remedy.startswith(start)
    return Path(error.remedy.removeprefix(start).split("'")[0])


# --- remedies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [("../a.png", "../b.png"), ("../a.png", "c.png"), ("{root}/a.png", "c.png"), ("../x/../a.png", "c.png")]
)
def test_the_root_that_a_table_is_advised_helps(tmp_path: Path, names: tuple[str, str]) -> None:
    put(tmp_path, "a.png", "b.png", "lists/c.png", "x/y.png")
    table = tmp_path / "lists" / "t.csv"
    written = [name.format(root=tmp_path) for name in names]
    table.write_text(f"path,label\n{written[0]},cat\n{written[1]},dog\n")
    with pytest.raises(DataError) as raised:
        Table(table)
    data = Table(table, root=advised(raised.value, "root"))
    assert data.unreadable() == {} and {file.name for file in data.files} == {Path(name).name for name in names}


def coco(path: Path, names: list[str]) -> Path:
    content: dict[str, Any] = {
        "images": [{"id": i, "file_name": name, "width": 20, "height": 20} for i, name in enumerate(names)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"id": i, "image_id": i, "category_id": i + 1, "bbox": [1, 1, 9, 9]} for i in range(2)],
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("names", [["../a.png", "../b.png"], ["{root}/a.png", "{root}/b.png"]])
def test_the_folder_that_coco_is_advised_helps(tmp_path: Path, names: list[str]) -> None:
    put(tmp_path, "a.png", "b.png", "lists/c.png")
    file = coco(tmp_path / "lists" / "val.json", [name.format(root=tmp_path) for name in names])
    with pytest.raises(DataError) as raised:
        Coco(file, images=tmp_path / "lists")
    assert Coco(file, images=advised(raised.value, "images")).unreadable() == {}


def test_a_caller_without_such_an_argument_advises_none(tmp_path: Path) -> None:
    put(tmp_path, "SUN397/a/abbey/0.jpg")
    (tmp_path / "ClassName.txt").write_text("/a/abbey\n/b/bar\n")
    (tmp_path / "Testing_01.txt").write_text("/a/abbey/0.jpg\n/a/abbey/../../../0.jpg\n")
    with pytest.raises(DataError) as raised:
        Sun397(tmp_path)
    assert "root" not in raised.value.remedy
    with pytest.raises(DataError, match=r"Mend these paths: nothing outside of this folder is read\.$"):
        resolve_inside(tmp_path, ["../a.png"], argument=None)
    with pytest.raises(DataError, match="they name the folder itself"):
        resolve_inside(tmp_path, ["."])


def test_the_root_goes_before_the_tables_own_folder(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "lists/a.png", "lists/b.png")
    found = resolve_inside(tmp_path, ["a.png", "b.png", "gone.png"], beside=tmp_path / "lists")
    assert [path.relative_to(tmp_path) for path in found] == [Path("a.png"), Path("lists/b.png"), Path("gone.png")]
    put(tmp_path, "secret/s.png")
    with pytest.raises(DataError, match="1 outside"):
        resolve_inside(tmp_path / "lists", ["../secret/s.png"], beside=tmp_path / "secret")


def test_addresses_of_files_and_nulls_have_their_own_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"without file://"):
        resolve_inside(tmp_path, ["file:///data/a.png"])
    with pytest.raises(DataError, match="null character"):
        resolve_inside(tmp_path, ["a\0.png"])
    with pytest.raises(DataError, match="nothing is fetched"):
        resolve_inside(tmp_path, ["s3://bucket/a.png"])


# --- Unicode ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("there", "written"), [(NFD, NFC), (NFC, NFD)])
def test_names_are_found_in_another_form(tmp_path: Path, there: str, written: str) -> None:
    put(tmp_path, f"{there}.png", f"{there}/b.png", f"{there}/{there}.png", "plain/a.png")
    names = [f"{written}.png", f"{written}/b.png", f"{written}/{written}.png", f"plain/../{written}/b.png"]
    found = resolve_inside(tmp_path, names)
    assert all(path.is_file() for path in found) and found[1] == found[3]
    assert all(path.is_file() for path in resolve_inside(tmp_path, [str(tmp_path / name) for name in names]))


def test_what_is_there_as_written_or_twice_is_left_as_it_is(tmp_path: Path) -> None:
    put(tmp_path, f"{NFC}.png", f"{NFD}.png")
    assert resolve_inside(tmp_path, [f"{NFD}.png", f"{NFC}.png"]) == [tmp_path / f"{NFD}.png", tmp_path / f"{NFC}.png"]
    mixed = unicodedata.normalize("NFD", "é") + "é.png"
    put(tmp_path, unicodedata.normalize("NFC", mixed), unicodedata.normalize("NFD", mixed))
    assert not resolve_inside(tmp_path, [mixed])[0].exists(), "either may be meant"


def test_a_link_in_another_form_still_may_not_lead_outside(tmp_path: Path) -> None:
    put(tmp_path, "secret.png", "inside/a.png")
    (tmp_path / "inside" / f"{NFD}.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match="1 outside"):
        resolve_inside(tmp_path / "inside", [f"{NFC}.png"])
