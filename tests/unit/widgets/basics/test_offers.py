"""Offers: choices are looked up again when something that they were made from has changed, and only then."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ravl_explore.errors import DataError
from ravl_explore.support.fields import Field
from ravl_explore.widgets.basics.offers import Offers, last_changed


class Asked:
    """A part's choices: counts how often it is asked, and looks at some of the answers."""

    def __init__(self, *names: str) -> None:
        self.names, self.times = names, 0

    def __call__(self, answers: Mapping[str, Any]) -> list[str]:
        self.times += 1
        return [f"{answers[name]}!" for name in self.names]


@pytest.mark.parametrize(
    ("looked_at", "then", "times"),
    [(("a",), {"a": 1, "b": 3}, 1), (("a",), {"a": 2, "b": 2}, 2), (("a", "b"), {"a": 1, "b": 3}, 2), ((), {}, 1)],
)
def test_by_the_answers_that_were_looked_at(looked_at: tuple[str, ...], then: dict[str, Any], times: int) -> None:
    asked = Asked(*looked_at)
    field = Field("c", "C", "choice", choices=asked)
    offers = Offers((Field("a", "A"), Field("b", "B"), field), lambda name: "")
    assert offers.of(field, {"a": 1, "b": 2}) == tuple(f"{ {'a': 1, 'b': 2}[name] }!" for name in looked_at)
    assert offers.of(field, then) == tuple(f"{then[name]}!" for name in looked_at) and asked.times == times


def test_by_the_files_that_are_named(tmp_path: Path) -> None:
    asked = Asked("path")
    file, other = tmp_path / "a.csv", tmp_path / "b.csv"
    for each in (file, other):
        each.write_text("x")
    field = Field("c", "C", "choice", choices=asked)
    typed = {"path": f" {file} ", "other": str(other)}
    offers = Offers((Field("path", "P", "path"), Field("other", "O", "path"), field), typed.__getitem__)
    for _ in range(2):
        offers.of(field, dict(typed))
    os.utime(other, ns=(1, 1))
    offers.of(field, dict(typed))
    assert asked.times == 1, "nothing that it looked at has changed"
    os.utime(file, ns=(1, 1))
    offers.of(field, dict(typed))
    assert asked.times == 2
    assert offers.changed(["path"]) == ((str(file), 1),)


def test_what_the_choices_raise_is_raised_and_asked_again() -> None:
    def fail(_: Mapping[str, Any]) -> list[str]:
        raise DataError("a table", "none", "Type it.")

    field = Field("c", "C", "choice", choices=fail)
    offers = Offers((field,), lambda name: "")
    for _ in range(2):
        with pytest.raises(DataError, match="a table"):
            offers.of(field, {})


def test_a_folder_changes_with_each_folder_in_it(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a" / "c.txt").write_text("x")
    before = last_changed(str(tmp_path))
    assert [path for path, _ in before] == [str(tmp_path), str(tmp_path / "a"), str(inner)]
    os.utime(inner, ns=(7, 7))
    assert last_changed(str(tmp_path)) == (*before[:2], (str(inner), 7))
    assert last_changed(str(tmp_path / "none")) == () == last_changed("\0")
