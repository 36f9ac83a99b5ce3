"""evaluate() counts what zero-shot gets right: overall, by group, in the regions, and next to the feature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore.assignment.assignment import Assignment
from ravl_explore.data.annotations import Annotations
from ravl_explore.data.known_images import Identity
from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import InputError
from ravl_explore.evaluation import evaluate, feature_gap
from ravl_explore.mitigation.validation import validator
from ravl_explore.regions import Grid
from ravl_explore.scores import zero_shot


@pytest.fixture
def annotated(make_data: Callable[..., Any]) -> Any:
    """Twelve pictures whose top left quadrant shows the class."""
    data = make_data(12)
    shows = np.where(np.arange(4)[None] == 0, data.labels[:, None], -1).ravel()
    return make_data(12, regions=Grid(2, 2)(data), region_labels=shows)


def assigned(data: Any, present: np.ndarray) -> Assignment:
    spurious = np.repeat(present, 4) & np.tile([False, False, False, True], len(data))
    return Assignment(Grid(2, 2)(data), spurious, ~spurious, present, "dog")


def scored(model: Any, data: Any, proposer: Any = None) -> rx.Scores:
    return zero_shot(embed(model, data, proposer))


def test_images_are_counted_by_class_and_annotated_feature(model: Any, annotated: Any) -> None:
    scores = scored(model, annotated)
    result = rx.evaluate(scores, min_group_size=1)
    assert isinstance(result, rx.Evaluation)
    assert result.predictions.tolist() == scores.predictions.tolist()
    assert result.image.overall == pytest.approx(scores.accuracy)
    for row in result.image.table.itertuples():
        here = (annotated.labels == annotated.class_names.index(row.class_name)) & (
            annotated.feature_present == row.present
        )
        assert row.n == here.sum() == 2
        assert row.accuracy == pytest.approx(scores.correct[here].mean())
    assert result.image.worst == result.image.table["accuracy"].min()
    assert (result.model_name, result.data_name, result.feature_name) == ("random 0", "pictures", "red")
    assert result.attribute is None and result.gap is None


def test_regions_are_counted_where_they_show_a_class(model: Any, annotated: Any) -> None:
    scores = scored(model, annotated)
    result = evaluate(scores, min_group_size=1)
    right = scores.region[0::4].argmax(1) == annotated.labels
    assert result.region is not None
    assert result.region.overall == pytest.approx(right.mean())
    assert result.region.table["n"].tolist() == [2] * 6
    for row in result.region.table.itertuples():
        here = (annotated.labels == annotated.class_names.index(row.class_name)) & (
            annotated.feature_present == row.present
        )
        assert row.accuracy == pytest.approx(right[here].mean())


def test_other_regions_say_nothing_of_classes(model: Any, annotated: Any, make_data: Callable[..., Any]) -> None:
    assert evaluate(scored(model, annotated, Grid(1, 1))).region is None, "fewer regions"
    assert evaluate(scored(model, annotated, Grid(4, 1))).region is None, "as many, but elsewhere"
    assert evaluate(scored(model, make_data(12))).region is None


def test_an_assignment_adds_the_gap(model: Any, annotated: Any) -> None:
    present = np.arange(12) % 4 < 2
    result = evaluate(scored(model, annotated), assigned(annotated, present), min_group_size=1)
    correct = result.predictions == result.labels
    expected = 0.0
    for y in range(3):
        inside, outside = (annotated.labels == y) & present, (annotated.labels == y) & ~present
        weight = 2 * min(inside.sum(), outside.sum()) / (inside.sum() + outside.sum())
        expected += abs(weight * (correct[inside].mean() - correct[outside].mean()))
    assert result.gap == pytest.approx(expected)
    assert result.attribute == "dog" and result.feature_name == "red", "groups stay the annotated feature's"
    assert result.shortcut() == result.shortcut("dog")
    with pytest.raises(InputError, match="one of the classes"):
        result.shortcut("cow")


def test_groups_without_annotation(model: Any, make_data: Callable[..., Any]) -> None:
    data = make_data(12, feature_name=None, feature_present=None)
    scores = scored(model, data)
    plain = evaluate(scores, min_group_size=1)
    assert plain.feature_name is None and plain.image.table.query("present")["n"].sum() == 0
    with pytest.raises(InputError, match="one of the classes"):
        plain.shortcut()
    found = evaluate(scores, assigned(data, np.arange(12) < 6))
    assert found.feature_name == "discovered feature"
    assert found.image.table["n"].tolist() == [2] * 6


def test_small_groups_are_never_the_worst(model: Any, annotated: Any) -> None:
    result = evaluate(scored(model, annotated))
    assert np.isnan(result.image.worst) and result.image.worst_group is None


def test_an_assignment_of_another_dataset(model: Any, annotated: Any, make_data: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="an assignment of these 12 images, got one of 6"):
        evaluate(scored(model, annotated), assigned(make_data(6), np.ones(6, bool)))


def test_an_assignment_of_other_images(model: Any, annotated: Any, make_data: Callable[..., Any]) -> None:
    known = replace(assigned(annotated, np.ones(12, bool)), identity=Identity.of(make_data(12, seed=1)))
    with pytest.raises(InputError, match="the assignment's images, got other images, of 'pictures'"):
        evaluate(scored(model, annotated), known)
    same = replace(known, identity=Identity.of(annotated))
    assert evaluate(scored(model, annotated), same).found is same.present


def test_hand_made_embeddings_say_what_is_annotated(make_embeddings: Callable[..., Any]) -> None:
    """Without Annotations there is no group and no region; with them as with a dataset's own."""
    present, shows = np.arange(20) < 8, np.tile([0, 1, -1, 2], 20)
    bare, said = (
        zero_shot(make_embeddings(annotations=each)) for each in (Annotations(), Annotations("red", present, shows))
    )
    plain, told = evaluate(bare, min_group_size=1), evaluate(said, min_group_size=1)
    assert plain.feature_name is None and plain.region is None and not plain.image.table.query("present")["n"].any()
    assert told.feature_name == "red" and told.image.overall == plain.image.overall
    for row in told.image.table.itertuples():
        here = (said.embeddings.labels == int(row.class_name[-1])) & (present == row.present)
        assert row.n == here.sum() and row.accuracy == pytest.approx(said.correct[here].mean())
    assert told.region is not None
    for row in told.region.table.itertuples():
        here = (shows == int(row.class_name[-1])) & (np.repeat(present, 4) == row.present)
        assert row.n == here.sum() == (8 if row.present else 12)
        assert row.accuracy == pytest.approx((said.region[here].argmax(1) == shows[here]).mean())


def test_gap_of_a_feature_that_is_nowhere_or_everywhere_is_zero() -> None:
    labels, correct = np.array([0, 1, 0]), np.array([True, False, True])
    for present in (np.zeros(3, bool), np.ones(3, bool)):
        assert feature_gap(present, labels, correct, ("a", "b")) == 0
    assert feature_gap(np.array([True, False, False]), labels, ~labels.astype(bool) & present, ("a", "b")) == 0


def test_validator_measures_as_evaluate_does(model: Any, make_data: Callable[..., Any]) -> None:
    data = make_data(60)
    result = evaluate(scored(model, data))
    for batch_size in (7, 256):
        measured = validator(model, data, data.feature_present, batch_size)()
        assert measured == pytest.approx({"accuracy": result.image.overall, "worst_group": result.image.worst})
    by_class = validator(model, data, None)()
    correct = result.predictions == result.labels
    assert by_class["worst_group"] == pytest.approx(min(correct[data.labels == y].mean() for y in range(3)))
