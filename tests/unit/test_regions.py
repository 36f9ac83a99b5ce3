"""Regions hold boxes that can be used, or say which one cannot; proposers cut images as they promise."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ravl_explore import regions as menu
from ravl_explore.errors import InputError
from ravl_explore.regions import Given, Grid, Regions


def sized(*sizes: tuple[int, int], **more: object) -> SimpleNamespace:
    return SimpleNamespace(image_sizes=np.array(sizes), **more)


def test_from_lists_keeps_the_order_and_images_without_boxes() -> None:
    regions = Regions.from_lists([[[0, 0, 1, 1], [0, 0, 2, 2]], [], [[1, 1, 3, 3]]])
    assert regions.image_index.tolist() == [0, 0, 2]
    assert regions.boxes.tolist() == [[0, 0, 1, 1], [0, 0, 2, 2], [1, 1, 3, 3]]
    assert regions.boxes.dtype == np.float32 and regions.image_index.dtype == np.int64
    assert regions.count(4).tolist() == [2, 0, 1, 0]
    assert [regions.boxes[regions.rows(i)].shape[0] for i in range(4)] == [2, 0, 1, 0]
    assert regions.rows(2) == slice(2, 3)


def test_nothing_is_a_possible_result() -> None:
    for empty in (Regions(np.zeros((0, 4)), np.zeros(0)), Regions.from_lists([[], []]), Regions.from_lists([])):
        assert len(empty) == 0 and empty.boxes.shape == (0, 4)
        assert empty.count(2).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("boxes", "image_index", "told"),
    [
        ([[0, 0, 1]], [0], "shape"),
        ([0, 0, 1, 1], [0], "shape"),
        ([[0, 0, 1, 1]], [0, 0], "one image index for each of 1 boxes"),
        ([[0, 0, 1, 1]] * 2, [1, 0], "never falling"),
        ([[0, 0, 1, 1]], [-1], "from 0 up"),
        ([[0, 0, 1, 1], [0, 0, np.nan, 1]], [0, 0], "region 1"),
        ([[0, 0, 1, 1], [0, 0, np.inf, 1]], [0, 0], "region 1"),
        ([[0, 0, 1, 1], [3, 0, 3, 1]], [0, 0], "region 1"),
        ([[0, 0, 1, 1], [0, 4, 3, 2]], [0, 0], "region 1"),
    ],
)
def test_bad_boxes_are_named(boxes: list, image_index: list, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Regions(np.array(boxes, np.float32), np.array(image_index))


def test_from_lists_says_which_image_has_boxes_of_another_shape() -> None:
    with pytest.raises(InputError, match="image 1"):
        Regions.from_lists([[[0, 0, 1, 1]], [[0, 0, 5]]])


@pytest.mark.parametrize("box", [[-3, 0, 4, 4], [0, -3, 4, 4], [0, 0, 12, 4], [0, 0, 4, 23]])
def test_a_box_outside_its_own_image(box: list[float]) -> None:
    regions = Regions(np.array([[0, 0, 50, 50], box]), np.array([0, 1]))
    with pytest.raises(InputError, match=r"1 outside; the first is region 1, .* in image 1 of 10 x 20 pixels"):
        regions.check_inside(np.array([[50, 50], [10, 20]]))


def test_rounding_outside_by_a_pixel_is_no_error() -> None:
    Regions(np.array([[-0.9, 0, 10.9, 20.9]]), np.array([0])).check_inside(np.array([[10, 20]]))


def test_check_inside_counts_images_and_wants_a_region() -> None:
    with pytest.raises(InputError, match="indices below 1, got 1"):
        Regions(np.array([[0, 0, 1, 1]]), np.array([1])).check_inside(np.array([[9, 9]]))
    with pytest.raises(InputError, match="at least one region"):
        Regions.from_lists([[]]).check_inside(np.array([[9, 9]]))


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (2, 2), (3, 2), (1, 5)])
def test_grid_tiles_every_image(rows: int, cols: int) -> None:
    sizes = [(50, 31), (7, 9)]
    regions = Grid(rows, cols)(sized(*sizes))
    assert regions.count(2).tolist() == [rows * cols] * 2
    for image, (width, height) in enumerate(sizes):
        boxes = regions.boxes[regions.rows(image)]
        expected = [
            [width * c / cols, height * r / rows, width * (c + 1) / cols, height * (r + 1) / rows]
            for r in range(rows)
            for c in range(cols)
        ]
        np.testing.assert_allclose(boxes, expected, rtol=1e-6)


def test_grid_quadrants_go_left_to_right_then_down() -> None:
    expected = [[0, 0, 28, 28], [28, 0, 56, 28], [0, 28, 28, 56], [28, 28, 56, 56]]
    assert Grid(2, 2)(sized((56, 56))).boxes.tolist() == expected


@pytest.mark.parametrize(("rows", "cols"), [(0, 2), (2, 0), (-1, 1)])
def test_grid_needs_a_cell(rows: int, cols: int) -> None:
    with pytest.raises(InputError, match="at least one row"):
        Grid(rows, cols)


def test_given_prefers_its_own_boxes() -> None:
    own, brought = Regions.from_lists([[[0, 0, 2, 2]]]), Regions.from_lists([[[0, 0, 3, 3]]])
    assert Given(own)(sized((9, 9), regions=brought)) is own
    assert Given()(sized((9, 9), regions=brought)) is brought


def test_given_without_boxes_or_with_boxes_outside() -> None:
    for data in (sized((9, 9)), sized((9, 9), regions=None)):
        with pytest.raises(InputError, match="a dataset with boxes"):
            Given()(data)
    with pytest.raises(InputError, match="every box inside its image"):
        Given(Regions.from_lists([[[0, 0, 20, 2]]]))(sized((9, 9)))


def test_what_the_menu_offers_can_be_made_and_used() -> None:
    data = sized((9, 9), regions=Regions.from_lists([[[0, 0, 2, 2]]]))
    made = [getattr(menu, name)(*args) for name in ("Grid", "Given") for args in getattr(menu, name).menu().values()]
    assert [len(proposer(data)) for proposer in made] == [4, 9, 16, 1, 1]
    assert len({proposer.name for proposer in made}) == len(made)
