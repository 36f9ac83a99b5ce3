"""Form: every kind of field takes an answer, and what one answer makes possible the next ones offer."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ravl_explore.errors import DataError, InputError
from ravl_explore.support.fields import Field
from ravl_explore.widgets.basics import form as module
from ravl_explore.widgets.basics.form import Form
from ravl_explore.widgets.basics.job import wait_for_jobs

COLUMNS = {"a.csv": ("image", "label"), "b.csv": ("file", "class", "label")}


def columns(answers: Mapping[str, Any]) -> tuple[str, ...]:
    if answers["path"] not in COLUMNS:
        raise DataError("a table", f"{answers['path']!r}, <b>no such</b> file", "Check the path.")
    return COLUMNS[answers["path"]]


TABLE = (
    Field("path", "Table", "path", help="a .csv file"),
    Field("image", "Image", "choice", choices=columns),
    Field("label", "Label", "choice", "label", choices=columns),
    Field("group", "Group", "choice", choices=columns, required=False),
)


@pytest.fixture
def table() -> Form:
    return Form(TABLE)


@pytest.mark.parametrize(
    ("field", "typed", "answer"),
    [
        (Field("a", "A", "path"), " ~/x ", "~/x"),
        (Field("a", "A", "text"), "x y", "x y"),
        (Field("a", "A", "search", choices=lambda _: ("one", "two")), "three", "three"),
        (Field("a", "A", "lines"), "one\n\n two ", ("one", "two")),
        (Field("a", "A", "integer"), " 7 ", 7),
        (Field("a", "A", "number"), "0.5", 0.5),
        (Field("a", "A", "integer", 3), 7, 7),
        (Field("a", "A", "number", 0.25), 0.5, 0.5),
        (Field("a", "A", "choice", choices=lambda _: ("one", "two")), "two", "two"),
    ],
)
def test_each_kind_takes_an_answer(field: Field, typed: Any, answer: Any) -> None:
    form = Form((field,))
    form.inputs["a"].value = typed
    assert form.answers() == {"a": answer} and type(form.answers()["a"]) is type(answer)
    assert form.inputs["a"].description == "A"


@pytest.mark.parametrize(
    ("field", "default"),
    [
        (Field("a", "A", "text", "x"), "x"),
        (Field("a", "A", "lines", ("x", "y")), ("x", "y")),
        (Field("a", "A", "integer", 0), 0),
        (Field("a", "A", "number", 0.25), 0.25),
        (Field("a", "A", "search", "x", choices=lambda _: ()), "x"),
        (Field("a", "A", "choice", "y", choices=lambda _: ("x", "y")), "y"),
        (Field("a", "A", "choice", choices=lambda _: ("x", "y")), "x"),
    ],
)
def test_it_starts_with_the_default(field: Field, default: Any) -> None:
    assert Form((field,)).answers() == {"a": default}


@pytest.mark.parametrize("kind", ["path", "text", "search", "lines", "integer", "number", "choice"])
def test_an_empty_field_is_left_out_or_asked_for(kind: Any) -> None:
    more = {"choices": lambda _: ()} if kind in ("choice", "search") else {}
    assert Form((Field("a", "A", kind, required=False, **more),)).answers() == {}
    with pytest.raises(InputError, match=r"Expected a \(b\), got none. (Type it into|Pick one in) the field “A”"):
        Form((Field("a", "A", kind, help="b", **more),)).answers()


@pytest.mark.parametrize(("kind", "noun"), [("integer", "a whole number"), ("number", "a number")])
def test_what_is_no_number_is_told_at_once(kind: Any, noun: str) -> None:
    form = Form((Field("a", "A", kind, required=False),))
    form.inputs["a"].value = "many"
    assert f"{noun} for “A”, got 'many'" in form.message.text
    with pytest.raises(InputError, match=noun):
        form.answers()
    form.inputs["a"].value = "3"
    assert form.message.text == ""


def test_choices_come_with_the_answers_before_them(table: Form) -> None:
    assert [len(table.inputs[name].options) for name in ("image", "label", "group")] == [1, 1, 1]
    assert table.message.text == "", "nothing was asked yet"
    table.inputs["path"].value = "a.csv"
    assert [label for label, _ in table.inputs["image"].options] == ["image", "label"]
    assert [label for label, _ in table.inputs["group"].options] == ["(default)", "image", "label"]
    assert table.answers() == {"path": "a.csv", "image": "image", "label": "label"}
    table.inputs["group"].value = "image"
    assert table.answers()["group"] == "image"


def test_a_choice_stays_where_it_still_can(table: Form) -> None:
    table.inputs["path"].value = "b.csv"
    assert table.answers() == {"path": "b.csv", "image": "file", "label": "label"}
    table.inputs["image"].value = "label"
    table.inputs["path"].value = "a.csv"
    assert table.answers()["image"] == "label"
    table.inputs["image"].value = "image"
    table.inputs["path"].value = "b.csv"
    assert table.answers()["image"] == "file", "the first one there is"


def test_what_the_choices_raise_is_shown_as_text_and_goes_when_it_is_mended(table: Form) -> None:
    table.inputs["path"].value = "c.csv"
    assert "'c.csv', <b>no such</b> file" in table.message.text and "<b>" not in table.message.value
    with pytest.raises(InputError, match="Pick one in the field “Image”"):
        table.answers()
    table.inputs["path"].value = "a.csv"
    assert table.message.text == ""


def test_an_answer_is_one_change_whatever_follows_from_it(table: Form) -> None:
    heard: list[int] = []
    table.observe(lambda change: heard.append(change["new"]), "changes")
    table.inputs["path"].value = "a.csv"
    assert len(heard) == 1
    table.inputs["label"].value = "image"
    assert len(heard) == 2


def test_suggestions_are_refreshed_too() -> None:
    form = Form(
        (
            Field("kind", "Kind", "text", "x"),
            Field("name", "Name", "search", choices=lambda known: [f"{known['kind']}{i}" for i in range(3)]),
        )
    )
    assert form.inputs["name"].options == ("x0", "x1", "x2")
    form.inputs["kind"].value = "y"
    assert form.inputs["name"].options == ("y0", "y1", "y2") and form.inputs["name"].value == ""


@pytest.mark.parametrize("kind", ["choice", "search"])
def test_choices_that_fail_in_any_way_are_told_and_the_page_goes_on(kind: Any) -> None:
    def broken(answers: Mapping[str, Any]) -> list[str]:
        if answers["path"] == "bad":
            raise ValueError("<i>no columns</i>")
        return ["x"]

    form = Form((Field("path", "Path", "path"), Field("a", "A", kind, choices=broken, required=False)))
    form.inputs["path"].value = "bad"
    assert "Unexpected ValueError: <i>no columns</i>" in form.message.text and "<i>" not in form.message.value
    assert form.answers() == {"path": "bad"}
    form.inputs["path"].value = "good"
    assert form.message.text == "" and "x" in str(form.inputs["a"].options)


def test_slow_choices_come_later_and_an_answer_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.01)
    go, asked = threading.Event(), []

    def slow(answers: Mapping[str, Any]) -> list[str]:
        asked.append(answers["path"])
        assert go.wait(30)
        return [f"{answers['path']} 1", f"{answers['path']} 2"]

    form = Form((Field("path", "Path", "path"), Field("a", "A", "choice", choices=slow)))
    changed = threading.Event()
    form.inputs["path"].value = "old"
    assert form.message.text == "Looking …"
    form.inputs["path"].value = "new"
    before = form.changes
    form.observe(lambda _: changed.set(), "changes")
    go.set()
    assert form.answers() == {"path": "new", "a": "new 1"}, "the last answer's, whichever ends last"
    assert changed.wait(30) and form.changes > before and form.message.text == ""
    wait_for_jobs()
    assert form.answers() == {"path": "new", "a": "new 1"} and sorted(asked) == ["new", "old"]


def test_choices_are_asked_again_only_when_what_they_looked_at_has_changed(tmp_path: Path) -> None:
    asked: list[str] = []
    file = tmp_path / "a.csv"
    file.write_text("one\n")

    def lines(answers: Mapping[str, Any]) -> list[str]:
        asked.append(answers["path"])
        return Path(answers["path"]).read_text().split()

    form = Form((
        Field("path", "Path", "path"),
        Field("n", "N", "integer", 1),
        Field("a", "A", "choice", choices=lines),
    ))  # fmt: skip
    form.inputs["path"].value = str(file)
    form.inputs["n"].value = 2
    assert len(asked) == 1 and form.answers()["a"] == "one"
    file.write_text("two\n")
    os.utime(file, ns=(1, 1))
    form.inputs["n"].value = 3
    assert len(asked) == 2 and form.answers()["a"] == "two"


def test_the_end_of_a_long_path_and_a_long_hint_are_told_below() -> None:
    hint = "a folder with one subfolder per class of images"
    form = Form((Field("path", "Folder", "path", help=hint), Field("b", "B", "path", help="short", required=False)))
    note = form._notes["path"]
    assert hint in note.value and form.inputs["path"].placeholder == "" and form.inputs["b"].placeholder == "short"
    form.inputs["path"].value = "/a/very/long/way/to/some/folder/<b>mine</b>.csv"
    assert "… / b&gt;.csv" in note.value, "the last part, as text"
    assert form.inputs["path"].tooltip == "Folder: /a/very/long/way/to/some/folder/<b>mine</b>.csv"
    form.inputs["path"].value = "/short"
    assert note.value == "" and note.layout.display == "none"
