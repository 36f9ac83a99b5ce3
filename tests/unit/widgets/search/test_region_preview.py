"""RegionPreview: the boxes shown are those that a search would use, and only the images on show are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ravl_explore.data import Subset
from ravl_explore.errors import DataError, InputError
from ravl_explore.regions import Given, Grid, Random, Regions, Sliding
from ravl_explore.widgets.basics.pages import A_PAGE
from ravl_explore.widgets.search.region_page import read_page
from ravl_explore.widgets.search.region_preview import RegionPreview

Make = Callable[..., Any]


class Watched(Subset):
    """Remembers which images were read; some cannot be."""

    def __init__(self, data: Any, bad: tuple[int, ...] = ()) -> None:
        super().__init__(data, np.arange(len(data)))
        self.read: list[int] = []
        self._bad = bad

    def image(self, index: int) -> np.ndarray:
        self.read.append(index)
        if index in self._bad:
            raise DataError("a readable image file", f"'<b>{index}</b>.png'", "Mend it.")
        return super().image(index)

    @property
    def image_sizes(self) -> np.ndarray:
        raise AssertionError("headers of a million files would be read")


@pytest.fixture
def data(make_data: Make) -> Watched:
    return Watched(make_data(20))


def drawn(preview: RegionPreview) -> list[tuple[float, float, float, float]]:
    """Every box in the picture as x, y, width, height."""
    found = re.findall(
        r'<rect class="box" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', preview._images.value
    )
    return [tuple(float(value) for value in each) for each in found]  # type: ignore[misc]


@pytest.mark.parametrize("proposer", [Grid(2, 2), Sliding(0.5, 0.25), Random(7, seed=3)], ids=lambda each: each.name)
def test_boxes_are_those_of_the_whole_dataset(proposer: Any, data: Watched) -> None:
    whole = proposer(data.data)
    for number in (0, 1, 2, 3):
        page = read_page(data, proposer, number)
        for image, boxes in zip(page.index, page.boxes, strict=True):
            np.testing.assert_array_equal(boxes, whole.boxes[whole.rows(image)])


def test_pages_are_spread_over_the_dataset_and_each_image_is_on_one(data: Watched) -> None:
    pages = [read_page(data, Grid(1, 1), number).index for number in range(4)]
    assert pages[0] == (0, 4, 8, 12, 16) and sorted(sum(pages, ())) == list(range(20))
    assert max(map(len, pages)) <= A_PAGE


def test_only_the_images_on_show_are_read(data: Watched) -> None:
    preview = RegionPreview(data, Grid(2, 2))
    assert preview._latest.job is not None and preview._latest.wait(30)
    assert data.read == [0, 4, 8, 12, 16]
    assert preview.message.text == "4 boxes per image. Images 1 to 5 of 20, drawn evenly."
    assert sorted(drawn(preview)) == sorted([(x, y, 16, 16) for x in (0, 16) for y in (0, 16)] * 5)


def test_paging(data: Watched) -> None:
    preview = RegionPreview()
    assert preview.turn(1) is None and preview._next.disabled
    assert preview.show(data, Grid(2, 2)).wait(30)
    assert preview._back.disabled and not preview._next.disabled
    for _ in range(5):
        job = preview.turn(1)
        assert job is not None and job.wait(30)
    assert preview.page is not None and preview.page.index == (3, 7, 11, 15, 19)
    assert preview._next.disabled and not preview._back.disabled
    preview._back.click()
    assert preview._latest.job is not None and preview._latest.wait(30)
    assert preview.page.index == (2, 6, 10, 14, 18)


def test_given_boxes_of_the_dataset_or_of_ones_own(make_data: Make) -> None:
    boxes = [[[0, 0, 4 + i, 9]] if i % 2 else [] for i in range(12)]
    regions = Regions.from_lists(boxes)
    for data, proposer in (
        (Watched(make_data(12, regions=regions)), Given()),
        (Watched(make_data(12)), Given(regions)),
    ):
        preview = RegionPreview()
        assert preview.show(data, proposer).wait(30)
        assert preview.message.text == "0 boxes per image. Images 1 to 6 of 12, drawn evenly."
        job = preview.turn(1)
        assert job is not None and job.wait(30)
        assert preview.message.text == "1 box per image. Images 7 to 12 of 12, drawn evenly."
        assert sorted(drawn(preview)) == [(0, 0, 4.0 + i, 9) for i in (1, 3, 5, 7, 9, 11)]


def test_a_proposer_that_reads_pixels_sees_those_on_show_and_no_others(data: Watched) -> None:
    @dataclass(frozen=True)
    class Reader:
        name: str = "reader"
        reads_pixels: bool = True

        def __call__(self, given: Any, progress: Any = None) -> Regions:
            boxes: list[Any] = []
            for i in range(len(given)):
                try:
                    boxes.append([[0, 0, 1 + int(given.image(i)[0, 0, 0]), 5]])
                except DataError:
                    boxes.append([])
            return Regions.from_lists(boxes)

    page = read_page(data, Reader(), 1)
    assert data.read == [1, 5, 9, 13, 17]
    assert [boxes[0, 2] for boxes in page.boxes] == [1 + data.data.image(i)[0, 0, 0] for i in page.index]


def test_an_image_that_cannot_be_read_is_told_in_its_place(make_data: Make) -> None:
    preview = RegionPreview()
    assert preview.show(Watched(make_data(12), bad=(2, 4)), Grid(2, 2)).wait(30)
    assert preview.message.text == "4 boxes per image. Images 1 to 6 of 12, drawn evenly."
    assert "&lt;b&gt;2&lt;/b&gt;.png" in preview._images.value and "<b>" not in preview._images.value
    assert preview.show(Watched(make_data(3), bad=(0, 1, 2)), Grid(2, 2)).wait(30)
    assert preview.message.text == "None of these images can be read."


def test_captions_are_file_names_as_text(data: Watched) -> None:
    data.where = lambda index: f"/a folder/<i>{index}</i>/{'<b>' * (index == 4)}{index}.png"
    assert read_page(data, Grid(1, 1), 0).names == ("0.png", "<b>4.png", "8.png", "12.png", "16.png")
    preview = RegionPreview()
    assert preview.show(data, Grid(2, 2)).wait(30)
    assert "<figcaption>&lt;b&gt;4.png · 4 boxes<" in preview._images.value and "<b>" not in preview._images.value
    data.where = lambda index: f"row {index} of owner/name"
    assert read_page(data, Grid(1, 1), 1).names[0] == "image 1"


def test_every_box_has_a_light_and_a_dark_outline(data: Watched) -> None:
    preview = RegionPreview()
    assert preview.show(data, Grid(2, 2)).wait(30)
    counts = [preview._images.value.count(f'<rect class="{kind}"') for kind in ("edge", "line", "box")]
    assert counts == [20, 20, 20]


def test_what_goes_wrong_is_told_and_what_was_on_show_goes(data: Watched) -> None:
    preview = RegionPreview()
    assert preview.show(data, Grid(2, 2)).wait(30)
    assert preview.show(data, Given()).wait(30)
    assert "a dataset with boxes" in preview.message.text and preview.page is None and drawn(preview) == []
    preview.fail(InputError("a path", "none", "Type it."))
    assert preview.message.text == "Expected a path, got none. Type it." and preview._next.disabled


def test_what_is_asked_for_last_is_shown(data: Watched) -> None:
    preview = RegionPreview()
    jobs = [preview.show(data, proposer) for proposer in (Grid(4, 4), Grid(3, 3), Grid(1, 1))]
    for job in jobs:
        assert job.wait(30)
    assert preview.message.text.startswith("1 box per image")


def test_tiny_and_one_class_views_do_not_matter(make_data: Make) -> None:
    preview = RegionPreview(make_data(1), Grid(2, 2))
    assert preview._latest.job is not None and preview._latest.wait(30)
    assert preview.message.text == "4 boxes per image. Images 1 to 1 of 1." and preview._next.disabled
