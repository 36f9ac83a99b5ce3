"""Cells become labels: lists and bars are several, separators only between known labels, numbers are numbers."""

from __future__ import annotations

from typing import Any

import pytest

from ravl_explore.data.cells import as_text, as_texts, caption_of, in_order
from ravl_explore.data.label_cells import read_cells
from ravl_explore.data.labels import one_class_each, require_two
from ravl_explore.errors import DataError


def labels(*cells: Any, known: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return read_cells(cells, known).labels


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("Effusion|Mass", ("Effusion", "Mass")),
        ("Mass |", ("Mass",)),
        ("Mass|Mass", ("Mass",)),
        (["Effusion", "Mass"], ("Effusion", "Mass")),
        (["Mass"], ("Mass",)),
        ([], ()),
        ([None, float("nan")], ()),
        ("['Effusion', \"Crohn's\"]", ("Effusion", "Crohn's")),
        ("['Effusion' 'Mass']", ("Effusion", "Mass")),
        ("[Effusion, Mass]", ("Effusion", "Mass")),
        ("[Pleural effusion]", ("Pleural effusion",)),
        ("[0 1 0]", ("0", "1", "0")),
        ("[0, 0]", ("0", "0")),
        ([0, 0], ("0", "0")),
        ("[]", ()),
        ("Pneumonia/Viral/COVID-19", ("Pneumonia/Viral/COVID-19",)),
        ("cat, big", ("cat, big",)),
        (b"cat", ("cat",)),
        ("none", ("none",)),
        ("NA", ()),
        (None, ()),
    ],
)
def test_one_cell(cell: Any, parts: tuple[str, ...]) -> None:
    assert labels(cell) == [parts]


def test_commas_and_semicolons_separate_labels_that_stand_alone_elsewhere() -> None:
    assert labels("Mass; Effusion", "Mass", "Effusion")[0] == ("Mass", "Effusion")
    assert labels("Mass, Effusion", "Mass", "Effusion")[0] == ("Mass", "Effusion")
    assert labels("Mass;Effusion", "Effusion;Mass", "None")[:2] == [("Mass", "Effusion"), ("Effusion", "Mass")]
    assert labels("lung, left", "lung, right", "heart, left", "left") == [
        ("lung, left",), ("lung, right",), ("heart, left",), ("left",),
    ]  # fmt: skip
    assert labels("red, blue", "red", "blue", known=("red, blue", "red", "blue"))[0] == ("red, blue",)
    assert labels("a|b", "NA", "[x]", known=("a|b", "NA", "[x]")) == [("a|b",), ("NA",), ("[x]",)]


def test_numbers_of_a_column_are_written_alike() -> None:
    assert labels("0.0", "1.0", "-1.0", "2e0", "0.5") == [("0",), ("1",), ("-1",), ("2",), ("0.5",)]
    assert labels("1.0", "v1") == [("1.0",), ("v1",)], "among words, it is one"
    assert as_texts(["007", "1e400", "1e999999999", "9" * 5000]) == ["007", "1e400", "1e999999999", "9" * 5000]
    assert in_order(["9" * 5000, "10", "-2", "a", "2"]) == ["-2", "2", "10", "9" * 5000, "a"]


def test_structures_are_no_text() -> None:
    for cell in ({"a": 1}, [["a"]], [{"a": 1}]):
        with pytest.raises(DataError, match="in row 2"):
            labels("x", cell)
    for value in ([1], {"a": 1}, ()):
        with pytest.raises(DataError, match="one text or number in a cell"):
            as_text(value)
    assert [caption_of(value) for value in (["a", "b"], [], None, "NA", 7.0)] == ["a", "", "", "", "7"]


def test_what_was_left_out_is_told_where_one_class_remains() -> None:
    cells = read_cells(["NA", "NA", "cat"])
    with pytest.raises(DataError, match=r"'cat' alone; 2 cells with 'NA' .*; 3 images left out\. To keep 'NA'"):
        require_two(("cat",), cells, ["3 images left out."])
    require_two(("cat", "dog"), cells, [])
    for options in ((None, "refuse", None), (None, "drop", None), (None, "refuse", "1")):
        with pytest.raises(DataError, match="a list of 3 zeros and ones in each cell"):
            one_class_each(labels("[0 1 0]", [0.0, 0.0, 0.0]), *options, str)
    with pytest.raises(DataError, match="several for each of 1"):
        one_class_each([("a", "b")], None, "drop", None, str)
