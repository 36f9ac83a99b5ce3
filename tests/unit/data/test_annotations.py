"""What a dataset's makers marked stays with its embeddings: by image and region, through skipping, saving, loading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore.data import Subset
from ravl_explore.data.annotations import NO_ANNOTATIONS, Annotations
from ravl_explore.errors import DataError
from ravl_explore.regions import Given, Grid, Regions


@pytest.fixture
def annotated(make_data: Callable[..., Any]) -> Any:
    """Twelve pictures with one to three regions each, each region with a class or none."""
    counts = np.arange(12) % 3 + 1
    quadrants = np.array([[0.0, 0, 16, 16], [16, 0, 32, 16], [0, 16, 16, 32]])
    own = Regions(np.concatenate([quadrants[:n] for n in counts]), np.repeat(np.arange(12), counts))
    return make_data(12, regions=own, region_labels=np.arange(len(own)) % 4 - 1)


class Broken:
    """A dataset some of whose images cannot be read; told by their headers, or only when they are read."""

    def __init__(self, data: Any, bad: set[int], told: bool) -> None:
        self._data, self._bad, self._told = data, bad, told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._data, name)

    def __len__(self) -> int:
        return len(self._data)

    def image(self, index: int) -> np.ndarray:
        if index in self._bad:
            raise DataError("an image", f"nothing at {index}", "Mend it.")
        return self._data.image(index)

    def unreadable(self, progress: Any = None) -> dict[int, str]:
        return dict.fromkeys(self._bad, "nothing there") if self._told else {}


def same(one: Annotations, other: Annotations) -> bool:
    arrays = ((one.feature_present, other.feature_present), (one.region_labels, other.region_labels))
    return one.feature_name == other.feature_name and all(
        (a is None) == (b is None) and (a is None or (a.dtype == b.dtype and np.array_equal(a, b)))  # type: ignore[union-attr]
        for a, b in arrays
    )


def test_embedding_keeps_what_is_annotated(model: Any, annotated: Any) -> None:
    known = rx.embed(model, annotated, Given()).annotations
    assert known.feature_name == "red" and known.feature_present is annotated.feature_present
    assert known.region_labels is annotated.region_labels
    again = rx.embed(model, annotated, Given(Regions(annotated.regions.boxes.copy(), annotated.regions.image_index)))
    assert same(again.annotations, known), "regions of the same boxes are the dataset's own"


def test_what_regions_show_is_not_said_of_others(model: Any, annotated: Any) -> None:
    moved = Regions(annotated.regions.boxes * 0.75, annotated.regions.image_index)
    for proposer in (None, Grid(1, 1), Given(moved)):
        known = rx.embed(model, annotated, proposer).annotations
        assert known.region_labels is None and known.feature_present is annotated.feature_present
        assert rx.evaluate(rx.zero_shot(rx.embed(model, annotated, proposer))).region is None


def test_of_a_dataset_without_there_are_none(model: Any, make_data: Callable[..., Any]) -> None:
    known = rx.embed(model, make_data(6, feature_name=None, feature_present=None)).annotations
    assert same(known, NO_ANNOTATIONS)
    assert same(rx.embed(model, make_data(6, feature_name="", feature_present=None)).annotations, Annotations(""))


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("cached", [True, False])
def test_those_of_skipped_images_are_left_out(
    model: Any, annotated: Any, tmp_path: Path, told: bool, cached: bool
) -> None:
    bad = {0, 4, 11}
    broken: Any = Broken(annotated, bad, told)
    kept = np.setdiff1d(np.arange(12), list(bad))
    embeddings = rx.embed(model, broken, Given(), max_unreadable=3, cache=tmp_path if cached else False)
    rows = [r for r, i in enumerate(annotated.regions.image_index) if i in kept]
    expected = Annotations("red", annotated.feature_present[kept], annotated.region_labels[rows])
    assert same(embeddings.annotations, expected)
    assert [each.index for each in embeddings.unreadable] == sorted(bad)
    assert len(embeddings.regions) == len(rows) and len(embeddings.labels) == 9
    path = rx.save(embeddings, tmp_path / "e")
    assert same(rx.load(path).annotations, expected)
    whole = rx.evaluate(rx.zero_shot(rx.embed(model, Subset(annotated, kept), Given())), min_group_size=1)
    measured = rx.evaluate(rx.zero_shot(rx.load(path)), min_group_size=1)
    for level in ("image", "region"):
        found, wanted = getattr(measured, level), getattr(whole, level)
        assert found.table["n"].tolist() == wanted.table["n"].tolist() and found.table["n"].sum() > 0
        np.testing.assert_allclose(found.table["accuracy"], wanted.table["accuracy"])


def test_evaluation_is_the_same_from_a_file(model: Any, annotated: Any, tmp_path: Path) -> None:
    scores = rx.zero_shot(rx.embed(model, annotated, Given()))
    path = rx.save(scores.embeddings, tmp_path / "e")
    one, other = (rx.evaluate(each, min_group_size=1) for each in (scores, rx.zero_shot(rx.load(path))))
    for level in ("image", "region"):
        assert getattr(one, level).table.equals(getattr(other, level).table)
        assert getattr(one, level).overall == getattr(other, level).overall
    assert one.feature_name == other.feature_name == "red"
