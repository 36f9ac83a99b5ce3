"""One line of text is parted into a name and its options; paths that are there stay whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from ravl_explore.support.options import split_options


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("", "", []),
        ("demo:clean", "demo:clean", []),
        ("demo:clean?", "demo:clean", []),
        ("?split=val", "", [("split", "val")]),
        ("a.csv?image=file&label=find%26ing+s", "a.csv", [("image", "file"), ("label", "find&ing s")]),
        ("a.csv?shapes=&shapes=1,2", "a.csv", [("shapes", ""), ("shapes", "1,2")]),
        ("what?.pt?quick_gelu=false", "what?.pt", [("quick_gelu", "false")]),
        (f"a?name={'x' * 300}", "a", [("name", "x" * 300)]),  # longer than any file's name
    ],
)
def test_names_and_options(text: str, name: str, options: list[tuple[str, str]]) -> None:
    assert split_options(text) == (name, options)


def test_a_path_that_is_there_is_all_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "what?split=val"
    assert split_options(str(path)) == (str(tmp_path / "what"), [("split", "val")])
    path.mkdir()
    assert split_options(str(path)) == (str(path), [])
    assert split_options(f"{path}?label=a") == (str(path), [("label", "a")])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert split_options("~/what?split=val") == ("~/what?split=val", [])


def test_a_name_in_a_closed_folder_has_its_options(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)  # read by root all the same, to whom nothing is there
    try:
        assert split_options(f"{closed}/a.pt?architecture=RN50") == (f"{closed}/a.pt", [("architecture", "RN50")])
    finally:
        closed.chmod(0o700)
