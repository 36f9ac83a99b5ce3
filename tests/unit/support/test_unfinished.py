"""What is being written is hidden and stays; what a killed process left goes, and nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ravl_explore.support import unfinished
from ravl_explore.support.files import write_whole
from ravl_explore.support.unfinished import UNFINISHED, remove_unfinished


def test_what_is_being_written_stays(tmp_path: Path) -> None:
    with unfinished.hidden_file(tmp_path) as (path, file), unfinished.hidden_folder(tmp_path) as part:
        file.write(b"half")
        write_whole(tmp_path / "a", b"whole")
        remove_unfinished(tmp_path)
        assert path.exists() and part.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_without_locks_only_what_is_old_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "fcntl", None)
    young, old, part = (tmp_path / f"{UNFINISHED}{name}" for name in ("young", "old", "part"))
    young.write_bytes(b"")
    old.write_bytes(b"")
    part.mkdir()
    for each in (old, part):
        os.utime(each, (1, 1))
    write_whole(tmp_path / "a", b"whole")
    assert {each.name for each in tmp_path.iterdir()} == {"a", young.name}


def test_only_what_has_our_name_is_removed(tmp_path: Path) -> None:
    for name in (".hidden", ".a.unfinished", "ravl-unfinished-a"):
        (tmp_path / name).write_bytes(b"")
    write_whole(tmp_path / "a", b"")
    assert len(list(tmp_path.iterdir())) == 4
