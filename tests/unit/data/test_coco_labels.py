"""An image of a COCO file is of the one class that it shows; with several it is left out, or of the largest."""

from __future__ import annotations

import pytest

from ravl_explore.data.coco_file import Drawn
from ravl_explore.data.coco_labels import classes_of, labelled
from ravl_explore.errors import DataError

CATEGORIES = {1: "cat", 2: "dog", 7: "cow"}
DRAWN = Drawn(
    boxes={
        10: [(1, 0.0, 0.0, 4.0, 4.0)],
        11: [(1, 0.0, 0.0, 2.0, 2.0), (2, 0.0, 0.0, 9.0, 9.0), (1, 3.0, 3.0, 5.0, 5.0)],
        12: [(7, 0.0, 0.0, 4.0, 4.0)],
        13: [(2, 0.0, 0.0, 4.0, 4.0)],
    },
    crowds={13: {0}},
    n_crowds=1,
    n_flat=0,
    n_bare=0,
)


def test_images_of_several_classes_are_left_out() -> None:
    found = labelled([10, 11, 12, 13, 14], DRAWN, {1: 0, 2: 1}, "drop")
    assert (found.images, found.labels) == ([10], [0])
    assert (found.n_none, found.n_several, found.n_largest) == (2, 2, 0), "a crowd counts as seen"
    assert found.notes == [
        "2 images with none of the classes were left out.",
        "2 images with several of the classes were left out.",
    ]


def test_or_are_of_what_covers_most() -> None:
    found = labelled([10, 11, 12, 13, 14], DRAWN, {1: 0, 2: 1}, "largest")
    assert (found.images, found.labels) == ([10, 11, 13], [0, 1, 1])
    assert found.notes[-1] == "2 images with several of the classes took the largest."


def test_classes_are_those_asked_for_or_all_that_are_annotated() -> None:
    assert classes_of(["dog", "cat"], "cow", CATEGORIES, {1, 2, 7}) == (("dog", "cat"), [])
    assert classes_of(None, None, CATEGORIES, {1, 2}) == (("cat", "dog"), ["cow"])


@pytest.mark.parametrize(
    ("asked", "annotated", "told"),
    [(["cat", "hen"], {1, 2}, "also 'hen'"), (None, {1}, "without any annotation: 'dog', 'cow'")],
)
def test_what_is_no_category_or_the_only_one_is_told(asked: list[str] | None, annotated: set[int], told: str) -> None:
    with pytest.raises(DataError, match=told):
        classes_of(asked, None, CATEGORIES, {*annotated})
