"""What a dataset may offer is asked in one place: what it says is taken, and what holds without it is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravl_explore.data import ArrayDataset, Subset
from ravl_explore.data.optional_members import (
    content_fingerprint,
    fingerprint_of,
    has_fingerprint,
    notes_of,
    place_of,
    root_of,
    sizes_of,
    tells_contents,
    unreadable_headers,
    where,
)
from ravl_explore.data.relabelled import Relabelled
from ravl_explore.data.views import unwrapped, whole
from ravl_explore.support.fingerprints import digest


class Bare:
    """The protocol, with nothing beyond it."""

    name, class_names, templates = "bare", ("a cat", "a dog"), ("a {}",)
    captions = regions = feature_name = feature_present = region_labels = region_feature = None
    labels = np.array([0, 1, 0, 1])
    image_sizes = np.array([[20, 16], [21, 17], [22, 18], [23, 19]])

    def __len__(self) -> int:
        return 4

    def image(self, index: int) -> np.ndarray:
        return np.zeros((16 + index, 20 + index, 3), np.uint8)


class Telling(Bare):
    """All that a dataset may offer."""

    notes = ["One was left out."]  # noqa: RUF012  a list will do
    root = "/pictures"

    def where(self, index: int) -> Path:
        return Path(f"/pictures/{index}.png")

    def unreadable(self, progress: Any = None) -> dict[int, str]:
        if progress is not None:
            progress(4, 4, "Looking")
        return {2: "cut short"}

    def sizes_of(self, index: np.ndarray) -> np.ndarray:
        return self.image_sizes[index] + 100

    def fingerprint(self) -> str:
        return "quick"

    def content_fingerprint(self, index: Any = None, progress: Any = None) -> str:
        return f"contents of {'all' if index is None else np.asarray(index).tolist()}"


def test_what_a_dataset_says_is_taken() -> None:
    data: Any = Telling()
    heard: list[tuple[int, int, str]] = []
    assert place_of(data, 3) == where(data, 3) == str(Path("/pictures/3.png")), "a text, whatever it gave"
    assert root_of(data) == Path("/pictures")
    assert notes_of(data) == ("One was left out.",)
    assert unreadable_headers(data, lambda *said: heard.append(said)) == {2: "cut short"}
    assert heard == [(4, 4, "Looking")]
    assert sizes_of(data, np.array([3, 0])).tolist() == [[123, 119], [120, 116]]
    assert has_fingerprint(data) and fingerprint_of(data) == "quick"
    assert tells_contents(data) and content_fingerprint(data) == "contents of all"
    assert content_fingerprint(data, np.array([2, 1])) == "contents of [2, 1]"


def test_of_one_that_says_nothing_the_same_holds_everywhere() -> None:
    data: Any = Bare()
    assert (place_of(data, 3), where(data, 3)) == ("", "image 3")
    assert (root_of(data), notes_of(data), unreadable_headers(data)) == (None, (), {})
    assert sizes_of(data, np.array([3, 0])).tolist() == [[23, 19], [20, 16]]
    assert not has_fingerprint(data) and fingerprint_of(data) == "" and not tells_contents(data)


def test_no_dataset_has_neither_a_place_nor_a_folder() -> None:
    assert place_of(None, 3) == "" and root_of(None) is None


def test_contents_go_by_the_fingerprint_where_nothing_better_is_known() -> None:
    data = ArrayDataset(np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3), [0, 1, 0, 1], ["cat", "dog"])
    index = np.array([2, 0])
    assert not tells_contents(data) and content_fingerprint(data) == data.fingerprint()
    assert content_fingerprint(data, index) == digest(["subset", data.fingerprint(), index])


def test_attributes_that_are_no_methods_say_nothing() -> None:
    data: Any = Bare()
    data.where, data.unreadable, data.root = "a place", None, 3
    assert (where(data, 1), unreadable_headers(data), root_of(data)) == ("image 1", {}, None)


@pytest.mark.parametrize("under_other_labels", [False, True])
def test_a_view_says_what_the_whole_does(under_other_labels: bool) -> None:
    data: Any = Telling()
    between: Any = Relabelled(data, data.labels[::-1]) if under_other_labels else data
    part = Subset(Subset(between, [3, 2, 0]), [1, 2])
    assert whole(part) is data and root_of(part) == Path("/pictures") and notes_of(part) == ("One was left out.",)
    assert where(part, 0) == str(Path("/pictures/2.png")) and unreadable_headers(part) == {0: "cut short"}
    assert sizes_of(part, np.array([1])).tolist() == [[120, 116]]
    assert content_fingerprint(part) == "contents of [2, 0]"
    assert has_fingerprint(part) and fingerprint_of(part) == part.fingerprint()


@pytest.mark.parametrize("under_other_labels", [False, True])
def test_a_view_of_one_without_a_fingerprint_has_none(under_other_labels: bool) -> None:
    data: Any = Bare()
    part: Any = Subset(data, [1, 2])
    part = Relabelled(part, part.labels) if under_other_labels else part
    assert not has_fingerprint(part) and fingerprint_of(part) == ""


def test_views_are_unwrapped_to_the_whole_and_its_numbers() -> None:
    data: Any = Bare()
    relabelled: Any = Relabelled(Subset(data, [3, 1, 0]), np.array([1, 1, 1]))
    part = Subset(Subset(relabelled, [2, 0, 1]), [1, 0])
    for view, expected in ((data, [0, 1, 2, 3]), (relabelled, [3, 1, 0]), (part, [3, 0])):
        found, index = unwrapped(view)
        assert found is data and index.tolist() == expected


def test_views_of_another_kind_can_be_left_on() -> None:
    data: Any = Bare()
    relabelled: Any = Relabelled(Subset(data, [3, 1, 0]), np.array([1, 1, 1]))
    found, index = unwrapped(Subset(Subset(relabelled, [2, 0, 1]), [1, 0]), Subset)
    assert found is relabelled and index.tolist() == [0, 2]
