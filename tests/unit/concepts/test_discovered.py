"""Discovered: clean boxes promoted, spurious ones suppressed, pixel by pixel as a loop says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ravl_explore import concepts
from ravl_explore.concepts import Discovered, read_all
from ravl_explore.data import ArrayDataset, Demo
from ravl_explore.errors import Cancelled, InputError
from ravl_explore.regions import Regions


def shown_of(boxes: list[list[list[float]]], spurious: list[bool], core: list[bool]) -> Any:
    return SimpleNamespace(
        regions=Regions.from_lists(boxes), spurious=np.array(spurious, bool), core=np.array(core, bool)
    )


def images(n: int, height: int = 6, width: int = 9) -> ArrayDataset:
    return ArrayDataset(np.zeros((n, height, width, 3), np.uint8), np.zeros(n, int), ["cat", "dog"])


def test_masks_equal_the_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        n = int(rng.integers(0, 5))
        corners = rng.uniform(0, [4, 3], (n, 2))
        boxes = np.hstack([corners, corners + rng.uniform(0.6, [5, 3], (n, 2))]).astype(np.float32)
        spurious = rng.random(n) < 0.4
        core = np.zeros(n, bool)
        if (~spurious).any():
            core[rng.choice(np.flatnonzero(~spurious))] = True
        other = [[0.0, 0.0, 9.0, 6.0]]  # of another image, which must not matter
        shown = shown_of([boxes.tolist(), other], [*spurious, False], [*core, False])
        for how in ("clean", "core"):
            promote, suppress = Discovered(how).open(images(2), shown)(0)
            in_core = np.zeros((6, 9), bool)
            for y in range(6):
                for x in range(9):
                    inside = [b[0] <= x + 0.5 < b[2] and b[1] <= y + 0.5 < b[3] for b in boxes.astype(float)]
                    bad = any(i and s for i, s in zip(inside, spurious, strict=True))
                    wanted = core if how == "core" else ~spurious
                    in_core[y, x] = not bad and any(i and w for i, w in zip(inside, wanted, strict=True))
                    assert promote[y, x] == in_core[y, x]
                    if how == "clean" or not promote.any():
                        assert suppress[y, x] == bad
            if how == "core" and promote.any():
                assert (suppress == ~in_core).all()
            assert not (promote & suppress).any()


def test_quadrants_that_tile_an_odd_image_share_no_pixel_and_leave_none() -> None:
    boxes = [[0, 0, 4.5, 3], [4.5, 0, 9, 3], [0, 3, 4.5, 6], [4.5, 3, 9, 6]]
    masks = [Discovered("clean").open(images(1), shown_of([boxes], [i == k for i in range(4)], [False] * 4))(0)
             for k in range(4)]  # fmt: skip
    assert (sum(suppress.astype(int) for _, suppress in masks) == 1).all()
    assert all((promote ^ suppress).all() for promote, suppress in masks)


def test_images_with_nothing_to_promote_or_suppress_are_told() -> None:
    box = [[0.0, 0.0, 3.0, 3.0]]
    shown = shown_of([box, box, []], [True, False], [False, True])
    clean, core = Discovered("clean").open(images(3), shown), Discovered("core").open(images(3), shown)
    assert clean.notes == ("2 images have no region to promote.", "2 images have no spurious region.")
    assert core.notes == ("2 images have no region to promote.",)
    assert not clean(2)[0].any() and not clean(2)[1].any()
    assert core(0)[1].sum() == 9 and not core(0)[0].any(), "without a core box the spurious one alone is suppressed"


def test_fingerprint_tells_every_part_apart() -> None:
    box = [[0.0, 0.0, 3.0, 3.0]]
    base = shown_of([box, box], [True, False], [False, True])
    marks = {
        Discovered("clean").open(images(2), base).fingerprint(),
        Discovered("core").open(images(2), base).fingerprint(),
        Discovered("clean").open(images(2), shown_of([box, box], [False, False], [False, True])).fingerprint(),
        Discovered("clean").open(images(2), shown_of([box, box], [True, False], [False, False])).fingerprint(),
        Discovered("clean")
        .open(images(2), shown_of([box, [[0, 0, 3, 4]]], [True, False], [False, True]))
        .fingerprint(),
        Discovered("clean").open(images(2, 7), base).fingerprint(),
    }
    assert len(marks) == 6
    assert Discovered("clean").open(images(2), base).fingerprint() in marks


def test_what_is_wrong_is_told() -> None:
    box = [[0.0, 0.0, 3.0, 3.0]]
    with pytest.raises(InputError, match="promote one of clean, core"):
        Discovered("all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="what the regions show, got none"):
        Discovered("clean").open(images(1))
    with pytest.raises(InputError, match="flags for 1 regions, got 2 and 1"):
        Discovered("clean").open(images(1), shown_of([box], [True, False], [True]))
    with pytest.raises(InputError, match="image indices below 1"):
        Discovered("clean").open(images(1), shown_of([[], box], [True], [True]))


def test_read_all_asks_for_every_mask_and_can_be_stopped() -> None:
    asked: list[int] = []

    class Masks:
        name, notes = "made up", ()

        def __len__(self) -> int:
            return 3

        def __call__(self, index: int) -> Any:
            asked.append(index)
            return np.zeros((1, 1), bool), np.zeros((1, 1), bool)

        def fingerprint(self) -> str:
            return ""

    told: list[tuple[int, int]] = []
    masks = Masks()
    assert read_all(masks, lambda done, total, stage: told.append((done, total))) is masks
    assert asked == [0, 1, 2] and told == [(0, 3), (1, 3), (2, 3), (3, 3)]

    def stop(done: int, total: int, stage: str) -> None:
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        read_all(masks, stop)
    assert asked == [0, 1, 2, 0]


def test_the_menu_offers_every_source() -> None:
    sources = [getattr(concepts, name) for name in concepts.__all__]
    offered = [each for each in sources if hasattr(each, "menu") or getattr(each, "form", ())]
    assert [each.__name__ for each in offered] == ["Discovered", "MaskFiles", "Grounded"]
    assert all(Discovered(*arguments).name for arguments in Discovered.menu().values())


def test_the_demo_has_masks_of_its_quadrants() -> None:
    data = Demo("val")
    n = len(data.regions)
    shown = SimpleNamespace(regions=data.regions, spurious=data.region_feature, core=np.zeros(n, bool))
    masks = Discovered("clean").open(data, shown)
    promote, suppress = masks(int(np.flatnonzero(data.feature_present)[0]))
    assert suppress.mean() == 0.25 and promote.mean() == 0.75 and len(masks) == len(data)
