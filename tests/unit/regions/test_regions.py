"""Regions hold boxes that can be used, or say which one cannot; proposers cut images as they promise."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ravl_explore import regions as menu
from ravl_explore.errors import InputError
from ravl_explore.regions import Given, Grid, Random, Regions, Sliding, open_proposer, propose
from ravl_explore.regions.dataset_members import known_name, own_regions
from ravl_explore.regions.proposing import check_proposer, fingerprint_of, name_of, proposer_of


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


@pytest.mark.parametrize("images", [[0, 1, 2, 3, 4, 5], [4, 0], [2, 2, 1, 2], [1], [], [5, 9]])
def test_the_rows_of_some_images_are_those_of_one_after_another(images: list[int]) -> None:
    counts = np.array([3, 0, 2, 1, 4, 0])
    image_index = np.repeat(np.arange(6), counts)
    boxes = np.array([[i, i, i + 1 + image, i + 2] for i, image in enumerate(image_index)])
    regions = Regions(boxes, image_index)
    expected = [
        (row, at) for at, image in enumerate(images) for row in range(len(regions)) if image_index[row] == image
    ]
    rows, place = regions.rows_of(np.array(images, np.int64))
    assert list(zip(rows.tolist(), place.tolist(), strict=True)) == expected
    part = regions.of_images(np.array(images, np.int64))
    assert part.boxes.tolist() == [boxes[row].tolist() for row, _ in expected]
    assert part.image_index.tolist() == [at for _, at in expected]


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


def test_given_boxes_of_some_images_are_counted_without_the_others() -> None:
    own = Regions.from_lists([[[0, 0, 1, 1]], [[0, 0, 2, 2]], [], [[0, 0, 3, 3], [0, 0, 4, 4]]])
    part = proposer_of(Given(own), np.array([1, 3]), 4)(sized((9, 9), (9, 9)))
    assert part.boxes[:, 2].tolist() == [2, 3, 4] and part.image_index.tolist() == [0, 1, 1]
    with pytest.raises(InputError, match="image indices below 3, got 3"):
        proposer_of(Given(own), np.array([1]), 3)


@pytest.mark.parametrize("proposer", [Grid(2, 2), Random(3), Given(), lambda data: None])
def test_other_proposers_know_no_images_by_number(proposer: Any) -> None:
    assert proposer_of(proposer, np.array([1]), 3) is proposer


@pytest.mark.parametrize("wrong", ["grid", Grid, None, 3])
def test_what_is_no_proposer(wrong: Any) -> None:
    assert check_proposer(Grid(2, 2)) == Grid(2, 2)
    with pytest.raises(InputError, match=r"a proposer of regions, .*regions\.Grid\(2, 2\)"):
        check_proposer(wrong)
    with pytest.raises(InputError, match=r"Wrap boxes as regions\.Given"):
        check_proposer(Regions.from_lists([[[0, 0, 1, 1]]]))  # type: ignore[arg-type]


def windows(size: float, step: float) -> list[float]:
    """Where windows start, by hand: every step, and one that ends at the edge."""
    starts, at = [], 0.0
    while at + size <= 1 + 1e-9:
        starts.append(at)
        at += step
    return starts if abs(starts[-1] + size - 1) < 1e-9 else [*starts, 1 - size]


@pytest.mark.parametrize(
    ("size", "step", "a_side"), [(0.5, 0.25, 3), (0.5, 0.5, 2), (1, 0.3, 1), (0.3, 0.3, 4), (0.4, 0.1, 7), (0.2, 1, 2)]
)
def test_sliding_windows_cover_every_image_to_its_edges(size: float, step: float, a_side: int) -> None:
    sizes = [(80, 40), (7, 9)]
    regions = Sliding(size, step)(sized(*sizes))
    assert regions.count(2).tolist() == [a_side**2] * 2
    regions.check_inside(np.array(sizes), tolerance=1e-4)
    starts = windows(size, step)
    for image, (width, height) in enumerate(sizes):
        expected = [[width * x, height * y, width * (x + size), height * (y + size)] for y in starts for x in starts]
        np.testing.assert_allclose(regions.boxes[regions.rows(image)], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "step"), [(0, 0.5), (1.5, 0.5), (0.5, 0), (0.5, -1), (32, 16), (float("nan"), 0.5)])
def test_sliding_takes_fractions(size: float, step: float) -> None:
    with pytest.raises(InputError, match="fraction"):
        Sliding(size, step)


def test_random_boxes_are_inside_and_of_the_sizes_asked_for() -> None:
    sizes = np.array([(200, 50), (31, 400), (90, 90)])
    regions = Random(400, seed=3, min_size=0.2, max_size=0.6)(sized(*sizes))
    assert regions.count(3).tolist() == [400] * 3
    regions.check_inside(sizes, tolerance=1e-4)
    share = (regions.boxes[:, 2:] - regions.boxes[:, :2]) / sizes[regions.image_index]
    assert share.min() > 0.2 - 1e-5 and share.max() < 0.6 + 1e-5
    assert share.min() < 0.21 and share.max() > 0.59, "the whole range is used"
    middle = ((regions.boxes[:, 2:] + regions.boxes[:, :2]) / 2 / sizes[regions.image_index]).mean(0)
    np.testing.assert_allclose(middle, 0.5, atol=0.02)


def test_random_boxes_come_again_with_their_seed_and_do_not_depend_on_later_images() -> None:
    more, fewer = sized((60, 60), (60, 60), (60, 60)), sized((60, 60), (60, 60))
    boxes = Random(5, seed=1)(more).boxes
    np.testing.assert_array_equal(Random(5, seed=1)(more).boxes, boxes)
    np.testing.assert_array_equal(Random(5, seed=1)(fewer).boxes, boxes[:10])
    assert not np.array_equal(Random(5, seed=2)(more).boxes, boxes)
    assert not np.array_equal(boxes[:5], boxes[5:10]), "each image has its own"


def test_random_boxes_of_tiny_images_are_still_boxes() -> None:
    regions = Random(50)(sized((1, 1), (2, 3)))
    assert (regions.boxes[regions.rows(0)] == [0, 0, 1, 1]).all()
    assert ((regions.boxes[:, 2:] - regions.boxes[:, :2]) >= 1 - 1e-6).all()


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"seed": -1}, {"min_size": 0}, {"max_size": 1.5}, {"min_size": 0.6, "max_size": 0.5}]
)
def test_random_settings_out_of_range(wrong: dict) -> None:
    with pytest.raises(InputError):
        Random(**wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("grid:2x2", Grid(2, 2)),
        ("grid:3x1", Grid(3, 1)),
        ("GRID:4X4", Grid(4, 4)),
        (" grid ", Grid(2, 2)),
        ("whole", Grid(1, 1)),
        ("sliding", Sliding()),
        ("sliding:0.4", Sliding(0.4, 0.2)),
        ("sliding:0.5,0.1", Sliding(0.5, 0.1)),
        ("random", Random()),
        ("random:7", Random(7)),
        ("random:7,3", Random(7, 3)),
    ],
)
def test_a_proposer_by_its_short_name(text: str, expected: Any) -> None:
    assert open_proposer(text) == expected


def test_given_boxes_by_their_short_name() -> None:
    made = open_proposer("given")
    assert isinstance(made, Given) and made.regions is None


@pytest.mark.parametrize(
    "text",
    [
        "", "grid:", "grid:2", "grid:2x2x2", "grid:ax2", "grid:2.5x2", "sliding:", "sliding:a", "sliding:0.5,0.2,0.1",
        "random:1.5", "random:1,2,3", "given:x", "whole:1", "rpn", ":", "2x2",
    ],
)  # fmt: skip
def test_other_names_are_told_what_there_is(text: str) -> None:
    with pytest.raises(InputError, match=r"grid:2x2, sliding:SIZE\[,STEP\].* detector"):
        open_proposer(text)


def test_values_out_of_range_are_named_as_such() -> None:
    with pytest.raises(InputError, match="at least one row"):
        open_proposer("grid:0x2")
    with pytest.raises(InputError, match="a size above 0"):
        open_proposer("sliding:2")


def test_a_proposer_that_reads_pixels_hears_of_progress_and_no_other_does() -> None:
    @dataclass(frozen=True)
    class Reader:
        name: str = "reader"
        reads_pixels: bool = True

        def __call__(self, data: Any, progress: Any = None) -> Regions:
            progress(1, 1, "Looking")
            return Grid(1, 1)(data)

    heard: list[tuple[int, int, str]] = []
    data = sized((9, 9))
    assert len(propose(Reader(), data, lambda *said: heard.append(said))) == 1 and heard == [(1, 1, "Looking")]
    assert len(propose(Grid(2, 2), data, lambda *said: heard.append(said))) == 4 and len(heard) == 1


def test_a_proposer_has_its_own_name_or_that_of_a_function() -> None:
    def halves(data: Any) -> Regions:
        return Grid(1, 2)(data)

    plain: Any = halves
    assert name_of(Grid(2, 2)) == Grid(2, 2).name != "" and name_of(plain) == "halves"
    nameless: Any = sized((9, 9))
    assert name_of(nameless) == ""


def test_a_quick_proposer_has_no_fingerprint() -> None:
    told: Any = SimpleNamespace(fingerprint=lambda: "of its weights")
    assert fingerprint_of(told) == "of its weights" and fingerprint_of(Grid(2, 2)) is None


def test_a_dataset_may_bring_boxes_and_a_name_for_its_images() -> None:
    boxes = Regions.from_lists([[[0, 0, 2, 2]]])
    data = sized((9, 9), regions=boxes, fingerprint=lambda: "these images")
    assert own_regions(data) is boxes and known_name(data) == "these images"
    assert own_regions(sized((9, 9))) is None and known_name(sized((9, 9))) == ""


def test_what_the_menu_offers_can_be_made_and_used() -> None:
    data = sized((9, 9), regions=Regions.from_lists([[[0, 0, 2, 2]]]))
    made = [getattr(menu, name)(*args) for name in ("Grid", "Given") for args in getattr(menu, name).menu().values()]
    assert [len(proposer(data)) for proposer in made] == [4, 9, 16, 1, 1]
    assert len({proposer.name for proposer in made}) == len(made)


@pytest.mark.parametrize("part", [Grid, Sliding, Random])
def test_a_form_left_as_it_is_makes_the_part(part: Any) -> None:
    made = part(**{field.name: field.default for field in part.form})
    assert len(made(sized((40, 30)))) and made.name
