"""Experiment: what its parts give, each made once and only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ravl_explore.assignment import check_features
from ravl_explore.captions import CaptionLabeller
from ravl_explore.comparison import compare
from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import InputError
from ravl_explore.evaluation import evaluate
from ravl_explore.experiments import Experiment
from ravl_explore.experiments.embedded_once import EmbeddedOnce
from ravl_explore.mitigation import mitigate
from ravl_explore.objectives import RegionAware, Standard
from ravl_explore.regions import Grid
from ravl_explore.scores import zero_shot
from ravl_explore.training import TrainingSettings

Make = Callable[..., Any]
QUICK = TrainingSettings(epochs=1, learning_rate=1e-4, batch_size=8)


def trained_by(experiment: Experiment, objective: Any) -> Any:
    """The whole training."""
    run = experiment.begin(objective, QUICK)
    for _ in run:
        pass
    return run.result()


def test_nothing_is_embedded_before_it_is_asked_for(work: tuple[Any, ...], embedded: list[Any]) -> None:
    experiment = Experiment(*work, searched=work[1])
    assert experiment.cautions == () and embedded == []


def test_each_dataset_is_embedded_once_over_two_objectives(
    work: tuple[Any, ...], make_data: Make, embedded: list[tuple[Any, Any]]
) -> None:
    model, train, _, test = work
    watched = make_data(30, 7, feature_name=None, feature_present=None)
    experiment = Experiment(*work, validation=watched)
    experiment.check()
    made = [trained_by(experiment, objective).model for objective in (Standard(), RegionAware())]
    for new in made:
        experiment.measure(new)
    assert [data for of, data in embedded if of is model] == [train, watched, test]
    assert [(of, data) for of, data in embedded if of is not model] == [(new, test) for new in made]


def test_experiments_on_one_model_share_what_they_embedded(work: tuple[Any, ...], embedded: list[Any]) -> None:
    model, train, feature, test = work
    shared = EmbeddedOnce()
    for _ in range(2):
        experiment = Experiment(model, train, feature, test, embedded=shared)
        experiment.marked(), experiment.before()
    assert [data for _, data in embedded] == [train, test]
    Experiment(model, train, feature, test).marked()
    assert len(embedded) == 3, "another one shares nothing unless told to"


def test_an_annotated_validation_set_is_not_embedded(
    work: tuple[Any, ...], make_data: Make, embedded: list[tuple[Any, Any]]
) -> None:
    annotated = make_data(60)
    made = trained_by(Experiment(*work, validation=annotated), Standard())
    assert "worst_group" in made.history.records[-1].validation
    assert all(data is not annotated for _, data in embedded)


def test_it_gives_what_the_verbs_give(work: tuple[Any, ...], mark: Make) -> None:
    model, train, feature, test = work
    grid = Grid(2, 1)
    experiment = Experiment(model, train, feature, test, grid)
    embeddings, marked, found = embed(model, train, grid), mark(train, feature, grid), mark(test, feature, grid)
    for name in ("spurious", "core", "present", "part", "similarity"):
        np.testing.assert_array_equal(getattr(experiment.marked(), name), getattr(marked, name))
        np.testing.assert_array_equal(getattr(experiment.found(), name), getattr(found, name))
    assert experiment.check().warnings == check_features(embeddings, feature).warnings
    pd.testing.assert_frame_equal(experiment.check().classes, check_features(embeddings, feature).classes)
    before = evaluate(zero_shot(embed(model, test, grid)), found)
    assert repr(experiment.before()) == repr(before)

    by_hand = mitigate(model, train, marked, RegionAware(), settings=QUICK)
    made = trained_by(experiment, RegionAware())
    assert [record.terms for record in made.history.records] == [record.terms for record in by_hand.history.records]
    after = evaluate(zero_shot(embed(by_hand.model, test, grid)), found)
    compared = experiment.measure(made.model)
    pd.testing.assert_frame_equal(compared.frame(), compare(before, after).frame())
    assert compared.before is experiment.before()


def test_classes_from_captions_or_given(work: tuple[Any, ...], make_data: Make, mark: Make) -> None:
    model, train, feature, test = work
    wrong = make_data(24, labels=np.roll(train.labels, 1))  # the captions know better
    labeller = CaptionLabeller(wrong.class_names)
    for labels in (labeller, train.labels):
        experiment = Experiment(model, wrong, feature, test, labels=labels)
        marked = experiment.marked()
        assert marked.labels is not None and marked.labels.tolist() == train.labels.tolist()
        np.testing.assert_array_equal(marked.core, mark(wrong, feature, labels=train.labels).core)
        expected = check_features(embed(model, wrong), feature, labels=train.labels)
        pd.testing.assert_frame_equal(experiment.check().groups, expected.groups)


def test_an_evaluation_that_was_kept_is_used(work: tuple[Any, ...], embedded: list[tuple[Any, Any]]) -> None:
    model, _, _, test = work
    kept = Experiment(*work).before()
    embedded.clear()
    experiment = Experiment(*work)
    experiment.take_before(kept)
    assert experiment.before() is kept and embedded == []
    assert experiment.measure(model).before is kept
    assert [data for _, data in embedded] == [test, test], "which images hold the feature must be found all the same"


def test_progress_is_told_the_stages(work: tuple[Any, ...], make_data: Make) -> None:
    stages: list[str] = []
    experiment = Experiment(*work, validation=make_data(30, 7, feature_name=None, feature_present=None))
    experiment.begin(Standard(), QUICK, progress=lambda *state: stages.append(state[2])).close()
    experiment.measure(work[0], lambda *state: stages.append(state[2]))
    assert list(dict.fromkeys(stages)) == [
        "Marking the feature in the training images",
        "Marking the validation images",
        "Testing the old model",
        "Testing the new model",
    ]


def test_bad_parts_are_told_at_once(work: tuple[Any, ...], embedded: list[Any]) -> None:
    model, train, feature, test = work
    for parts in ((3, train, feature, test), (model, None, feature, test), (model, train, feature, "test")):
        with pytest.raises(InputError):
            Experiment(*parts)  # type: ignore[arg-type]
    for no_feature in ([feature], feature.clusters, None):
        with pytest.raises(InputError, match="Choose clusters"):
            Experiment(model, train, no_feature, test)  # type: ignore[arg-type]
    for name, part in (("proposer", 3), ("validation", 3)):
        with pytest.raises(InputError, match=name):
            Experiment(*work, **{name: part})  # type: ignore[arg-type]
    for labels in (np.zeros(3, int), np.full(24, 3), np.zeros(24), [0] * 24):
        with pytest.raises(InputError, match="label"):
            Experiment(*work, labels=labels)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="objective"):
        Experiment(*work).begin(None, QUICK)  # type: ignore[arg-type]
    assert embedded == []
