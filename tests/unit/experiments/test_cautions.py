"""Cautions: each is told for its own reason, in what it says and by its code, and none without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest

from ravl_explore.assignment.features import Feature
from ravl_explore.data.known_images import Identity
from ravl_explore.data.relabelled import Relabelled
from ravl_explore.data.subset import Subset
from ravl_explore.errors import InputError
from ravl_explore.evaluation import Evaluation
from ravl_explore.experiments import Caution, Experiment, cautions
from ravl_explore.metrics import group_accuracy
from tests.unit.experiments.cases import LABELS, NAMES, PRESENT, evaluation

Make = Callable[..., Any]


class Everywhere(Feature):
    """A feature that every region shows, or none."""

    name, attribute, dim = "everywhere", None, 32

    def __init__(self, everywhere: bool) -> None:
        self._score = 1.0 if everywhere else -1.0

    def score(self, region: np.ndarray) -> np.ndarray:
        return np.full(len(region), self._score)

    def fingerprint(self) -> str:
        return f"everywhere {self._score}"


def codes(given: tuple[Caution, ...]) -> list[str]:
    return [caution.code for caution in given]


def found_in(found: np.ndarray, labels: np.ndarray = LABELS, names: tuple[str, ...] = NAMES) -> Evaluation:
    """All right, with the feature found in some images."""
    image = group_accuracy(np.ones(len(labels), bool), labels, found, names)
    return evaluation(
        (10, 10, 10, 10), image=image, predictions=labels, labels=labels, class_names=names, attribute=None, found=found
    )


def test_a_caution_has_one_of_the_codes_and_a_text() -> None:
    assert get_args(cautions.Code) == cautions.CODES and len(set(cautions.CODES)) == 5
    for code, text in (("odd", "text"), (3, "text"), ("seen", ""), ("seen", None)):
        with pytest.raises(InputError):
            Caution(code, text)  # type: ignore[arg-type]


class TestSeen:
    @pytest.mark.parametrize("part", ["searched", "validation"])
    def test_the_images_that_were_searched_or_watched(self, work: tuple[Any, ...], part: str) -> None:
        test = work[3]
        (caution,) = Experiment(*work, **{part: test}).cautions
        assert caution == Caution("seen", cautions.too_optimistic())
        assert caution.text.startswith("Too optimistic: these images were searched or trained on.")

    def test_the_images_that_were_trained_on(self, work: tuple[Any, ...]) -> None:
        model, train, feature, _ = work
        assert codes(Experiment(model, train, feature, train).cautions) == ["seen"]
        assert codes(Experiment(model, train, feature, Relabelled(train, train.labels)).cautions) == ["seen"]  # type: ignore[arg-type]

    def test_a_part_of_them_is_counted(self, work: tuple[Any, ...]) -> None:
        model, _, feature, whole = work
        train, test = Subset(whole, range(20)), Subset(whole, range(15, 42))
        (caution,) = Experiment(model, train, feature, test).cautions
        assert caution.text.startswith("Too optimistic: 5 of these 27 images were searched or trained on.")

    def test_the_feature_tells_where_it_was_found(self, work: tuple[Any, ...], find_feature: Make) -> None:
        model, train, _, test = work
        feature = find_feature(test, 3)
        assert feature.searched == Identity.of(test)
        assert codes(Experiment(model, train, feature, test).cautions) == ["seen"]

    def test_of_a_feature_that_does_not_tell_nothing_is_known(self, work: tuple[Any, ...]) -> None:
        model, train, _, test = work
        assert Experiment(model, train, Everywhere(True), test).cautions == ()

    def test_other_images_were_not_seen(self, work: tuple[Any, ...], make_data: Make) -> None:
        assert Experiment(*work, searched=work[1], validation=make_data(30, 5)).cautions == ()


class TestClassMissing:
    def test_no_image_of_the_class(self, work: tuple[Any, ...], make_data: Make) -> None:
        model, train, feature, test = work
        rows = np.flatnonzero(test.labels != test.class_names.index(feature.attribute))
        for lacking in (Subset(test, rows, "lacking"), make_data(42, 3, class_names=("x", "y", "z"), name="lacking")):
            (caution,) = Experiment(model, train, feature, lacking).cautions
            assert caution.code == "class missing"
            assert caution.text == (
                f"lacking has no image of {feature.attribute!r}, the class that the feature pulls to: ε1 is not known."
            )

    def test_one_image_is_enough_and_where_nothing_is_pulled_to_nothing_is_missing(self, work: tuple[Any, ...]) -> None:
        _, _, feature, test = work
        pulled = test.labels == test.class_names.index(feature.attribute)
        rows = [*np.flatnonzero(~pulled), np.flatnonzero(pulled)[0]]
        assert cautions.class_missing(Subset(test, rows), feature.attribute) == ()  # type: ignore[arg-type]
        assert cautions.class_missing(Subset(test, np.flatnonzero(~pulled)), None) == ()


class TestGroups:
    @pytest.mark.parametrize("everywhere", [True, False])
    def test_a_feature_in_every_image_or_in_none(self, work: tuple[Any, ...], everywhere: bool) -> None:
        model, train, _, test = work
        experiment = Experiment(model, train, Everywhere(everywhere), test)
        given = cautions.groups_missing(experiment.before())
        assert codes(given) == ["feature absent"]
        which = "Every" if everywhere else "No"
        assert given[0].text == f"{which} image of {test.name} holds the feature: its effect cannot be measured."

    def test_classes_without_an_image_with_it_or_without(self) -> None:
        (caution,) = cautions.groups_missing(found_in((LABELS == 0) | PRESENT))
        assert caution == Caution(
            "groups missing", "d has no image of 'shirt' without the feature: these groups are not known."
        )
        (caution,) = cautions.groups_missing(found_in((LABELS == 0) & PRESENT))
        assert caution == Caution(
            "groups missing", "d has no image of 'bag' with the feature: these groups are not known."
        )

    def test_the_first_are_named_and_the_others_counted(self) -> None:
        labels, names = np.repeat(np.arange(8), 5), tuple(f"c{y}" for y in range(8))
        (caution,) = cautions.groups_missing(found_in(labels == 0, labels, names))
        named = "'c0' without, 'c1' with, 'c2' with, 'c3' with, 'c4' with"
        told = f"d has no image of {named} the feature, nor of 3 more groups: these groups are not known."
        assert caution.text == told

    def test_a_class_without_images_is_no_missing_group(self) -> None:
        assert cautions.groups_missing(found_in(PRESENT, names=(*NAMES, "coat"))) == ()

    def test_all_groups_there_or_nothing_known(self) -> None:
        assert cautions.groups_missing(found_in(PRESENT)) == ()
        assert cautions.groups_missing(evaluation((10, 10, 10, 10))) == ()


class TestChance:
    def test_a_model_that_may_as_well_guess(self) -> None:
        guessing = evaluation((10, 10, 0, 0), predictions=np.zeros(40, int))
        assert cautions.chance(guessing) == (Caution("chance", guessing.doubt),) and guessing.doubt

    def test_a_model_that_knows_something(self) -> None:
        knowing = evaluation((10, 9, 9, 10))
        assert not knowing.doubt and cautions.chance(knowing) == ()


def test_all_five_in_the_order_of_the_codes(work: tuple[Any, ...]) -> None:
    model, _, feature, test = work
    lacking = Subset(test, np.flatnonzero(test.labels != test.class_names.index(feature.attribute)))
    experiment = Experiment(model, lacking, feature, lacking)
    absent, missing = found_in(np.zeros(40, bool)), found_in((LABELS == 0) | PRESENT)
    guessing = evaluation((10, 10, 0, 0), predictions=np.zeros(40, int), found=PRESENT)
    early = ["seen", "class missing"]
    assert codes(experiment.cautions) == early
    assert codes(experiment.cautions_on(absent)) == [*early, "feature absent"]
    assert codes(experiment.cautions_on(missing)) == [*early, "groups missing"]
    assert codes(experiment.cautions_on(guessing)) == [*early, "chance"]
    assert codes(experiment.cautions_on(found_in(PRESENT))) == early


def test_nothing_to_beware_of(work: tuple[Any, ...]) -> None:
    assert Experiment(*work).cautions_on(found_in(PRESENT)) == ()
