"""Files are written whole, sets of files together, and what a killed process left goes with the next writing."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ravl_explore.errors import InputError, StorageError
from ravl_explore.support import files
from ravl_explore.support.files import cache_root, user_path, write_together, write_whole

OLD = {"a": b"old a", "b": b"old b", "c": b"old c"}
NEW = {"a": b"new a", "b": b"new b, longer"}
WRITES = ("fsync", "replace", "chmod", "_exchange")  # steps at each of which a process may die
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill")


def here(folder: Path) -> dict[str, bytes]:
    """Name -> content of what people see."""
    return {each.name: each.read_bytes() for each in folder.iterdir() if not each.name.startswith(".")}


def hidden(folder: Path) -> list[str]:
    """What is left of unfinished writing, in a folder or beside it."""
    return [each.name for place in (folder, folder.parent) for each in place.iterdir() if each.name[0] == "."]


def killed_at(step: str, after: bool, n: int, work: Callable[[], Any]) -> bool:
    """Do the work in a child that is killed before or after its n-th step of a kind; False when there were fewer."""
    child = os.fork()
    if child == 0:
        place: Any = files if step.startswith("_") else os
        real, taken = getattr(place, step), [0]

        def counted(*given: Any, **options: Any) -> Any:
            taken[0] += 1
            if taken[0] == n and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            done = real(*given, **options)
            if taken[0] == n:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        setattr(place, step, counted)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "inner" / "out"
    write_together(path, OLD)
    return path


def no_exchange(*_: object) -> bool:
    return False


# --- killed -----------------------------------------------------------------------------------------------------------


@forks
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", WRITES)
def test_a_kill_leaves_all_old_or_all_new(folder: Path, step: str, after: bool) -> None:
    kills = 0
    for n in range(1, 20):
        write_together(folder, OLD, ("b", "c"))
        if not killed_at(step, after, n, lambda: write_together(folder, NEW, ("c",))):
            break
        kills += 1
        assert here(folder) in (OLD, NEW)
        write_together(folder, NEW, ("c",))
        assert here(folder) == NEW and hidden(folder) == []
    assert kills == {"fsync": 2, "replace": 0, "chmod": 3, "_exchange": 1}[step]  # of a folder's mode, and two files'


@forks
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_kill_among_other_files_leaves_each_whole(folder: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_exchange", no_exchange)
    (folder / "notes.txt").write_text("mine")
    for n in (1, 2):
        assert killed_at(step, True, n, lambda: write_together(folder, NEW, ("c",)))
        found = here(folder)
        assert found["notes.txt"] == b"mine" and all(found[name] in (OLD[name], NEW[name]) for name in NEW)
        write_together(folder, OLD)
        assert here(folder) == OLD | {"notes.txt": b"mine"} and hidden(folder) == []


@forks
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_a_kill_left_of_one_file_goes_with_the_next(tmp_path: Path, step: str, after: bool) -> None:
    write_whole(tmp_path / "a", b"old")
    assert killed_at(step, after, 1, lambda: write_whole(tmp_path / "a", b"new"))
    assert here(tmp_path)["a"] in (b"old", b"new")
    write_whole(tmp_path / "another", b"file")
    assert {each.name for each in tmp_path.iterdir()} == {"a", "another"}


# --- full -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_one_step", [True, False])
@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_nothing_was_changed_is_true_when_said(
    folder: Path, step: str, n: int, in_one_step: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = getattr(os, step), [0]

    def full(*given: Any, **options: Any) -> Any:
        taken[0] += 1
        if taken[0] == n:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*given, **options)

    if not in_one_step:
        monkeypatch.setattr(files, "_exchange", no_exchange)
    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        try:
            write_together(folder, NEW, ("c",))
        except StorageError as error:
            said = str(error)
        else:
            assert taken[0] < n and here(folder) == NEW
            return
    assert hidden(folder) == []
    if "nothing was changed" in said:
        assert here(folder) == OLD
    else:
        changed = {name for name in OLD if here(folder).get(name) != OLD[name]}
        assert said.endswith(f"changed already: {', '.join(sorted(changed, key='cab'.index))}.") and step == "replace"


def test_a_folder_in_a_files_place_is_found_before_anything_is_replaced(folder: Path) -> None:
    (folder / "b").unlink()
    (folder / "b").mkdir()
    with pytest.raises(StorageError, match=r"b is a folder there.*nothing was changed"):
        write_together(folder, NEW)
    assert (folder / "a").read_bytes() == b"old a"


# --- folders that are replaced ----------------------------------------------------------------------------------------


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    written = write_together(tmp_path / "x" / "y", NEW)
    assert here(tmp_path / "x" / "y") == NEW and written == (tmp_path / "x" / "y" / "a", tmp_path / "x" / "y" / "b")


def test_what_is_not_ours_stays(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (folder / "plots").mkdir()
    inode = folder.stat().st_ino
    write_together(folder, NEW, ("c",))
    assert {each.name for each in folder.iterdir()} == {"a", "b", "notes.txt", "plots"}
    assert folder.stat().st_ino == inode


def test_the_working_folder_is_not_put_aside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (folder, folder / "deep"):
        place.mkdir(exist_ok=True)
        monkeypatch.chdir(place)
        write_together(folder, NEW, ("c",))
        assert Path.cwd() == place
    assert (folder / "a").read_bytes() == b"new a"


def test_a_link_to_a_folder_stays_one(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    write_together(tmp_path / "link", NEW, ("c",))
    assert (tmp_path / "link").is_symlink() and here(folder) == NEW


def test_a_folder_keeps_its_mode(folder: Path) -> None:
    folder.chmod(0o750)
    write_together(folder, NEW, ("c",))
    assert folder.stat().st_mode & 0o777 == 0o750 and (folder / "a").stat().st_mode & 0o777 == 0o644


# --- paths ------------------------------------------------------------------------------------------------------------


def test_the_cache_may_be_told_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAVL_CACHE", "~/somewhere")
    assert cache_root() == tmp_path / "somewhere"
    monkeypatch.setenv("RAVL_CACHE", "")
    assert cache_root() == tmp_path / ".cache" / "ravl_explore"


def test_an_unknown_home_is_a_name() -> None:
    assert user_path("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")


@pytest.mark.parametrize("typed", [None, 3, b"x", ["x"]])
def test_what_is_no_path(typed: Any) -> None:
    with pytest.raises(InputError, match="a path, got"):
        user_path(typed)


def test_what_somebody_puts_there_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    write_together(folder, {"a": b"1"})
    finish = files._finish

    def meanwhile(file: Any, path: Path) -> None:
        (folder / "notes.txt").write_text("mine")
        finish(file, path)

    monkeypatch.setattr(files, "_finish", meanwhile)
    write_together(folder, {"a": b"2"})
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == {"a": b"2", "notes.txt": b"mine"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give any group")
def test_a_shared_folder_keeps_its_group(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_together(folder, {"a": b"1"})
    os.chown(folder, -1, 1234)
    folder.chmod(0o2775)
    write_together(folder, {"a": b"2"})
    assert (folder.stat().st_gid, folder.stat().st_mode & 0o7777) == (1234, 0o2775)
