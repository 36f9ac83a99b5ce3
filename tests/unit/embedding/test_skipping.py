"""Images that cannot be read are skipped up to a limit, and told by their numbers in the dataset that was given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravl_explore.data.subset import Subset
from ravl_explore.embedding.embeddings import embed
from ravl_explore.embedding.skipping import Skipped, Unreadable
from ravl_explore.errors import Cancelled, DataError, InputError
from ravl_explore.regions.base import Regions
from ravl_explore.regions.given import Given
from ravl_explore.regions.random import Random


class Broken:
    """A dataset of which some images cannot be decoded, and some have no header that could be read."""

    def __init__(self, data: Any, bad: set[int], headless: Sequence[int] = ()) -> None:
        self._data, self._bad, self._headless = data, bad, headless

    def __getattr__(self, name: str) -> Any:
        return getattr(self._data, name)

    def __len__(self) -> int:
        return len(self._data)

    def unreadable(self, progress: Any = None) -> dict[int, str]:
        return dict.fromkeys(self._headless, "no header")

    def where(self, index: int) -> str:
        return f"{index}.png"

    def image(self, index: int) -> np.ndarray:
        if index in self._bad:
            raise DataError("a readable image", "a torn one", "Mend it.")
        return self._data.image(index)


def test_unreadable_images_are_skipped_counted_and_named(
    tmp_path: Path, model: Any, make_data: Callable[..., Any]
) -> None:
    data = make_data()
    broken = Broken(data, {0, 7})
    whole = embed(model, data)
    for cache in (False, tmp_path, tmp_path):  # in memory, to disk, and from disk
        found = embed(model, broken, cache=cache, max_unreadable=2, batch_size=5)
        assert found.unreadable == (Unreadable(0, "0.png", "a torn one"), Unreadable(7, "7.png", "a torn one"))
        kept = np.setdiff1d(np.arange(12), [0, 7])
        assert np.allclose(found.image, whole.image[kept], atol=1e-5)
        assert found.labels.tolist() == whole.labels[kept].tolist()
        assert np.allclose(found.region, whole.region[np.isin(whole.regions.image_index, kept)], atol=1e-5)
        assert found.regions.image_index.tolist() == np.repeat(np.arange(10), 4).tolist()
        part = found.of(broken)
        assert np.array_equal(part.image(0), data.image(1)) and len(part) == 10
        assert part.labels.tolist() == found.labels.tolist()


def test_one_unreadable_image_too_many_ends_the_work(tmp_path: Path, model: Any, make_data: Callable[..., Any]) -> None:
    broken = Broken(make_data(), {1, 7})
    with pytest.raises(DataError, match="a torn one"):
        embed(model, broken)
    with pytest.raises(DataError, match=r"at most 1 .* got 2 so far: 1.png \(a torn one\); 7.png"):
        embed(model, broken, max_unreadable=1)
    embed(model, broken, max_unreadable=2, cache=tmp_path)
    with pytest.raises(DataError, match="at most 1"):  # also when it comes from the cache
        embed(model, broken, max_unreadable=1, cache=tmp_path)


def test_own_boxes_stay_with_their_images_when_some_are_skipped(model: Any, make_data: Callable[..., Any]) -> None:
    data = make_data(4)
    data.unreadable = lambda progress=None: {0: "a torn header"}
    own = Given(Regions(np.array([[i, i, 20 + i, 20 + i] for i in range(4)]), np.arange(4)))
    found = embed(model, data, own, max_unreadable=1)
    assert found.regions.boxes[:, 0].tolist() == [1, 2, 3]
    assert found.regions.image_index.tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="at most 0 images that cannot be read, got 1 so far"):
        embed(model, data, own)


def test_own_boxes_of_images_that_are_not_there(model: Any, make_data: Callable[..., Any]) -> None:
    own = Given(Regions(np.array([[0, 0, 9, 9]]), np.array([4])))
    for headless in ((), (0,)):
        with pytest.raises(InputError, match="image indices below 4, got 4"):
            embed(model, Broken(make_data(4), set(), headless), own, max_unreadable=1)


def own_boxes(n_images: int) -> Regions:
    """None in the first image of three, one in the second, two in the third; no two boxes are alike."""
    images = np.repeat(np.arange(n_images), np.arange(n_images) % 3)
    return Regions(np.array([[0, 0, 9 + i / 4, 20 - i / 4] for i in range(len(images))]), images)


@pytest.mark.parametrize("cached", [False, True])
def test_images_skipped_early_and_late_are_one_list(
    tmp_path: Path, model: Any, make_data: Callable[..., Any], cached: bool
) -> None:
    data, own = make_data(12), own_boxes(12)
    broken, lost = Broken(data, bad={2, 8, 11}, headless=(1, 5)), [1, 2, 5, 8, 11]
    kept = np.setdiff1d(np.arange(12), lost)
    whole = embed(model, data, Given(own))
    for _ in range(2):  # the second one may read what the first one kept
        found = embed(model, broken, Given(own), batch_size=4, max_unreadable=5, cache=tmp_path if cached else False)
        assert [image.index for image in found.unreadable] == lost
        assert [image.where for image in found.unreadable] == [f"{i}.png" for i in lost]
        assert [image.reason for image in found.unreadable] == ["no header", "a torn one"] * 2 + ["a torn one"]
        assert found.labels.tolist() == data.labels[kept].tolist()
        rows = [row for row in range(len(own)) if own.image_index[row] in kept]
        assert found.regions.boxes.tolist() == own.boxes[rows].tolist()
        assert found.regions.image_index.tolist() == [kept.tolist().index(i) for i in own.image_index[rows]]
        np.testing.assert_allclose(found.image, whole.image[kept], atol=1e-5)
        np.testing.assert_allclose(found.region, whole.region[rows], atol=1e-5)
        assert np.array_equal(found.of(broken).image(0), data.image(0)) and len(found.of(broken)) == len(kept)


def test_proposers_see_the_images_that_can_be_opened(model: Any, make_data: Callable[..., Any]) -> None:
    data = make_data(6)
    found = embed(model, Broken(data, bad={3}, headless=(1,)), Random(2), max_unreadable=2)
    drawn = Random(2)(Subset(data, [0, 2, 3, 4, 5]))
    assert found.regions.boxes.tolist() == drawn.boxes[[0, 1, 2, 3, 6, 7, 8, 9]].tolist()
    assert found.regions.image_index.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_one_limit_holds_for_both(tmp_path: Path, model: Any, make_data: Callable[..., Any]) -> None:
    broken = Broken(make_data(6), bad={3, 4}, headless=(1,))
    with pytest.raises(DataError, match=r"at most 2 .*, got 3 so far: 1.png \(no header\); 3.png .*; 4.png"):
        embed(model, broken, max_unreadable=2)
    embed(model, broken, max_unreadable=3, cache=tmp_path)
    with pytest.raises(DataError, match=r"at most 2 .*, got 3 so far"):
        embed(model, broken, max_unreadable=2, cache=tmp_path)
    with pytest.raises(DataError, match="a torn one"):  # nothing may be skipped any more: the image's own error
        embed(model, broken, max_unreadable=1)


def test_a_run_that_goes_on_knows_what_was_skipped(tmp_path: Path, model: Any, make_data: Callable[..., Any]) -> None:
    broken = Broken(make_data(12), bad={2, 9}, headless=(0,))

    def stop(done: int, total: int, stage: str) -> None:
        if done == 8:
            raise Cancelled

    plain = embed(model, broken, batch_size=4, max_unreadable=3)
    with pytest.raises(Cancelled):
        embed(model, broken, batch_size=4, max_unreadable=3, cache=tmp_path, progress=stop)
    found = embed(model, broken, batch_size=4, max_unreadable=3, cache=tmp_path)
    assert found.unreadable == plain.unreadable and [image.index for image in found.unreadable] == [0, 2, 9]
    assert np.array_equal(found.image, plain.image) and np.array_equal(found.region, plain.region)


def test_what_is_kept_of_the_same_images_is_told_by_each_datasets_own_numbers(
    tmp_path: Path, model: Any, make_data: Callable[..., Any]
) -> None:
    data = make_data(6)
    whole, part = Broken(data, bad={4}, headless=(1,)), Subset(Broken(data, bad={4}), [0, 2, 3, 4, 5])
    taken: list[str] = []
    found = embed(model, whole, max_unreadable=2, cache=tmp_path)
    again = embed(model, part, max_unreadable=1, cache=tmp_path, progress=lambda *state: taken.append(state[2]))
    assert "Reading cached embeddings" in taken
    assert [image.index for image in found.unreadable] == [1, 4]
    assert [(image.index, image.where) for image in again.unreadable] == [(3, "4.png")]


@pytest.mark.parametrize("order", [[], [2], [0, 3], [3, 0, 1], [0, 1, 2, 3]])
def test_who_is_left(order: list[int]) -> None:
    skipped = Skipped(4, 4)
    for index in order:
        skipped.add([Unreadable(index, f"{index}.png", "torn")])
    assert [image.index for image in skipped.images] == sorted(order)
    assert skipped.others().tolist() == [i for i in range(4) if i not in order]
    assert skipped.full == (len(order) == 4)


def test_the_first_few_are_named() -> None:
    with pytest.raises(DataError, match=r"at most 4 .*, got 5 so far: 0 \(torn\); 1 \(torn\); 2 \(torn\) and 2 more"):
        Skipped(9, 4).add(Unreadable(index, str(index), "torn") for index in range(5))
