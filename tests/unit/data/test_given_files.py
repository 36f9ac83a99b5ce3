"""What stands at a path is told as it is: nothing, a folder, a pipe, a closed door, or JSON that says a thing twice."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ravl_explore.data import Coco, HuggingFaceDataset, Table
from ravl_explore.data.given_files import existing_file, existing_folder, read_json
from ravl_explore.errors import DataError
from ravl_explore.support.files import user_path

READERS: list[Callable[[Path], Any]] = [
    lambda folder: Table(folder / "t.csv"),
    lambda folder: Table(folder / "t.parquet"),
    lambda folder: Coco(folder / "t.json"),
    lambda folder: read_json(folder / "t.json", "JSON"),
    lambda folder: HuggingFaceDataset(folder / "set"),
]


@pytest.mark.parametrize("read", READERS[:4])
def test_a_pipe_is_no_file(tmp_path: Path, read: Any) -> None:
    for name in ("t.csv", "t.parquet", "t.json"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="a pipe or device"):
        read(tmp_path)


@pytest.mark.parametrize("read", READERS)
def test_nothing_and_a_folder(tmp_path: Path, read: Any) -> None:
    with pytest.raises(DataError, match="not there"):
        read(tmp_path)
    for name in ("t.csv", "t.parquet", "t.json"):
        (tmp_path / name).mkdir()
    (tmp_path / "set").write_text("")
    with pytest.raises(DataError, match=r"which is (a|no) folder"):
        read(tmp_path)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that another user may enter, as pytest's own may not be."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_a_closed_folder_and_a_closed_file(open_to_all: Path) -> None:
    """Root sees no closed door, so that the calls are made as nobody."""
    closed = open_to_all / "closed"
    closed.mkdir()
    for name in ("t.csv", "t.json"):
        (open_to_all / name).write_text("image,label\n")
        (open_to_all / name).chmod(0)
    calls = f"""
import os
from pathlib import Path
from ravl_explore.data import Coco, HuggingFaceDataset, Table, open_dataset
from ravl_explore.errors import DataError
import datasets, pyarrow.parquet
if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)
closed, top = Path({str(closed)!r}), Path({str(open_to_all)!r})
for call in (lambda: Table(closed / "t.csv"), lambda: Coco(closed / "t.json"), lambda: HuggingFaceDataset(closed / "x"),
             lambda: open_dataset(str(closed / "t.csv")), lambda: open_dataset(str(closed / "t.json") + "?classes=a"),
             lambda: open_dataset(str(closed / "x")), lambda: Table(top / "t.csv"), lambda: Coco(top / "t.json")):
    try:
        call()
    except DataError as error:
        print("may not" in str(error) or "Permission denied" in str(error), "right to read" in error.remedy)
"""
    closed.chmod(0)
    try:
        done = subprocess.run([sys.executable, "-c", calls], capture_output=True, text=True, timeout=300, cwd="/")
    finally:
        closed.chmod(0o700)
    assert done.stdout.split() == ["True", "True"] * 8, done.stdout + done.stderr


def test_json(tmp_path: Path) -> None:
    for content, told in (
        ("{", "line 1"), ("[" * 100_000, "JSON"), ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' twice"),
        ("\udcff", "JSON"), (f'{{"a": {"9" * 5000}}}', "JSON"), ("", "JSON"),
    ):  # fmt: skip
        (tmp_path / "t.json").write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(DataError, match=told):
            read_json(tmp_path / "t.json", "JSON")
    (tmp_path / "t.json").write_text('\ufeff{"a": [1]}', encoding="utf-8")
    assert read_json(tmp_path / "t.json", "JSON") == {"a": [1]}


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a").write_text("")
    assert existing_file("~/a", "a file") == tmp_path / "a" and existing_folder("~", "a folder") == tmp_path
    assert user_path("~nobody-of-this-name/a") == Path("~nobody-of-this-name/a")
    for odd in ("a\0b", "x" * 5000):
        with pytest.raises(DataError, match="not there"):
            existing_file(odd, "a file")
