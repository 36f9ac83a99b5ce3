"""mitigate() gives a new model and leaves the old one as it was, in one go or step by step, with the same result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import ravl_explore as rx
from ravl_explore.assignment.features import Feature
from ravl_explore.captions import CaptionLabeller, label
from ravl_explore.concepts import Discovered
from ravl_explore.data.relabelled import Relabelled
from ravl_explore.errors import Cancelled, InputError
from ravl_explore.evaluation import evaluate
from ravl_explore.mitigation import MitigationRun, begin, chosen_settings, mitigate
from ravl_explore.objectives import CounterfactualRegions, Projection, RegionAware, Standard
from ravl_explore.regions import Grid
from ravl_explore.training import StepRecord, TrainingSettings

QUICK = TrainingSettings(epochs=2, batch_size=8, learning_rate=1e-3, seed=0)
SHORT = replace(QUICK, epochs=1)


@pytest.fixture
def data(make_data: Callable[..., Any]) -> Any:
    return make_data(20)


@pytest.fixture
def feature(data: Any, find_feature: Callable[..., Any]) -> Feature:
    return find_feature(data, 3)


@pytest.fixture
def marked(data: Any, feature: Feature, mark: Callable[..., Any]) -> rx.Assignment:
    return mark(data, feature)


def accuracy(model: Any, data: Any) -> float:
    return evaluate(rx.zero_shot(rx.embed(model, data))).image.overall


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict.items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_the_new_model_differs_and_the_old_one_does_not_change(model: Any, data: Any, marked: rx.Assignment) -> None:
    before, objective = weights(model), RegionAware()
    result = rx.mitigate(model, data, marked, objective, settings=QUICK)
    assert isinstance(result, rx.Mitigation) and result.complete
    assert equal(weights(model), before)
    assert not equal(weights(result.model), before)
    assert result.objective is objective and result.assignment is marked
    assert (result.settings.epochs, result.settings.batch_size, result.settings.seed) == (2, 8, 0)
    text = {key: value for key, value in weights(result.model).items() if not key.startswith("visual.")}
    assert equal(text, {key: value for key, value in before.items() if not key.startswith("visual.")})
    assert torch.equal(result.model.embed_text(["a cat"]), model.embed_text(["a cat"]))


def test_history_has_every_step(model: Any, data: Any, feature: Feature) -> None:
    told: list[tuple[int, int, str]] = []
    result = mitigate(
        model,
        data,
        feature,
        RegionAware(),
        validation=data,
        progress=lambda *state: told.append(state),
        settings=QUICK,
    )
    frame = result.history.frame()
    assert frame["step"].tolist() == [1, 2, 3, 4, 5, 6] and frame["epoch"].tolist() == [0, 0, 0, 1, 1, 1]
    assert {"loss", "clip", "L_R", "L_A", "accuracy", "worst_group", "seconds"} <= set(frame.columns)
    assert frame["accuracy"].between(0, 1).all(), "three steps an epoch: measured at each"
    assert frame["accuracy"].iloc[-1] == pytest.approx(accuracy(result.model, data))
    assert [state for state in told if state[2] == "Fine-tuning"] == [(i, 6, "Fine-tuning") for i in range(1, 7)]
    assert told[:2] == [(0, 0, "Finding regions"), (0, 20, "Embedding images")]


def test_the_same_seed_gives_the_same_model(model: Any, data: Any, marked: rx.Assignment) -> None:
    ends = [
        weights(mitigate(model, data, marked, CounterfactualRegions(), settings=QUICK, seed=seed).model)
        for seed in (0, 0, 1)
    ]
    assert equal(ends[0], ends[1]) and not equal(ends[0], ends[2])


def test_a_run_that_is_begun_trains_the_same(model: Any, data: Any, marked: rx.Assignment) -> None:
    run = begin(model, data, marked, RegionAware(), QUICK)
    assert isinstance(run, MitigationRun)
    records = list(run)
    assert all(isinstance(record, StepRecord) for record in records)
    streamed, whole = run.result(), mitigate(model, data, marked, RegionAware(), settings=QUICK)
    assert streamed.complete and equal(weights(streamed.model), weights(whole.model))
    pd.testing.assert_frame_equal(
        streamed.history.frame().drop(columns="seconds"), whole.history.frame().drop(columns="seconds")
    )


def test_a_run_can_pause_and_go_on(model: Any, data: Any, marked: rx.Assignment) -> None:
    run = begin(model, data, marked, RegionAware(), QUICK)
    for record in run:
        if record.step == 2:
            break
    paused = run.result()
    assert not paused.complete and len(paused.history.records) == 2
    assert np.isfinite(accuracy(paused.model, data)), "the model may be looked at in between"
    assert [record.step for record in run] == [3, 4, 5, 6]
    assert run.result().complete and len(run.result().history.records) == 6
    assert equal(
        weights(run.result().model), weights(mitigate(model, data, marked, RegionAware(), settings=QUICK).model)
    )


def test_a_closed_run_keeps_its_progress(model: Any, data: Any, marked: rx.Assignment) -> None:
    run = begin(model, data, marked, RegionAware(), QUICK)
    for record in run:
        if record.step == 2:
            run.close()
            break
    stopped = run.result()
    assert not stopped.complete and len(stopped.history.records) == 2
    assert not equal(weights(stopped.model), weights(model)) and not stopped.model.visual.training
    assert list(run) == [] and equal(weights(run.result().model), weights(stopped.model))


def test_a_run_that_took_no_step(model: Any, data: Any, marked: rx.Assignment) -> None:
    run = begin(model, data, marked, RegionAware(), QUICK)
    result = run.result()
    assert not result.complete and len(result.history.records) == 0
    assert equal(weights(result.model), weights(model))
    run.close()


@pytest.mark.parametrize("stage", ["Embedding images", "Fine-tuning"])
def test_progress_may_cancel(model: Any, data: Any, feature: Feature, stage: str) -> None:
    before = weights(model)

    def cancel(done: int, total: int, now: str) -> None:
        if now == stage and done:
            raise Cancelled

    with pytest.raises(Cancelled):
        mitigate(model, data, feature, RegionAware(), settings=QUICK, progress=cancel)
    assert equal(weights(model), before)


def test_a_feature_in_place_of_an_assignment_is_assigned_to_quadrants(
    model: Any, data: Any, feature: Feature, marked: rx.Assignment
) -> None:
    told: list[str] = []
    result = mitigate(
        model, data, marked, RegionAware(), settings=QUICK, progress=lambda done, total, stage: told.append(stage)
    )
    assert set(told) == {"Fine-tuning"}, "nothing is embedded again"
    by_feature = mitigate(model, data, feature, RegionAware(), settings=QUICK)
    assert equal(weights(result.model), weights(by_feature.model))
    assert by_feature.assignment.feature is feature
    for name in ("spurious", "core", "present", "part", "similarity"):
        assert np.array_equal(getattr(by_feature.assignment, name), getattr(marked, name)), name
    run = begin(model, data, feature, RegionAware(), QUICK)
    list(run)
    assert equal(weights(result.model), weights(run.result().model))


def test_the_assignment_decides_the_regions(model: Any, data: Any, feature: Feature, mark: Callable[..., Any]) -> None:
    grids = [
        weights(mitigate(model, data, mark(data, feature, Grid(n, n)), RegionAware(), settings=QUICK).model)
        for n in (2, 3)
    ]
    assert not equal(*grids)


def test_validation_without_an_annotated_feature_is_grouped_by_the_discovered_one(
    model: Any, data: Any, marked: rx.Assignment, mark: Callable[..., Any], make_data: Callable[..., Any]
) -> None:
    trained = mitigate(model, data, marked, Standard(), settings=QUICK).model
    predictions = rx.zero_shot(rx.embed(trained, make_data(60))).predictions
    wrong = np.arange(60) % 5 < 3
    labels = np.where(wrong, (predictions + 1) % 3, predictions)
    plain = make_data(60, labels=labels, feature_name=None, feature_present=None)
    own = mark(plain, marked.feature)
    assert 0 < own.present.sum() < len(plain)
    annotated = make_data(60, labels=labels, feature_present=own.present)

    def last(validation: Any) -> dict[str, float]:
        result = mitigate(model, data, marked, Standard(), validation=validation, settings=QUICK)
        return result.history.records[-1].validation

    expected = last(annotated)
    assert expected["accuracy"] == pytest.approx(0.4) and expected["worst_group"] > 0
    assert last(plain) == last((plain, own)) == expected
    first = np.tile([True, False, False, False], len(plain)) & np.repeat(wrong, 4)
    other = replace(own, spurious=first, core=~first, present=wrong, part=None)
    assert last((annotated, other)) == expected, "what is annotated goes first"
    assert last((plain, other)) == {"accuracy": expected["accuracy"], "worst_group": 0}, "and else what is given"


def test_validation_with_its_assignment_is_not_embedded(
    model: Any, data: Any, marked: rx.Assignment, mark: Callable[..., Any], make_data: Callable[..., Any]
) -> None:
    plain = make_data(60, feature_name=None, feature_present=None)
    own, by_hand = mark(plain, marked.feature), replace(marked, feature=None)
    told: list[str] = []

    def start(validation: Any, assignment: rx.Assignment) -> list[str]:
        told.clear()
        progress: Any = lambda done, total, stage: told.append(stage)  # noqa: E731
        begin(model, data, assignment, Standard(), QUICK, validation=validation, progress=progress).close()
        return told

    assert "Embedding images" in start(plain, marked) and start((plain, own), marked) == []
    assert start((plain, own), by_hand) == []
    with pytest.raises(
        InputError, match=r"an annotated feature, or their assignment, got neither.*\(images, assignment"
    ):
        start(plain, by_hand)


@pytest.mark.parametrize("n", [60, 12])
def test_patience_without_a_group_to_go_by_is_told_before_training(
    model: Any, data: Any, marked: rx.Assignment, make_data: Callable[..., Any], n: int
) -> None:
    def start(monitor: Any) -> None:
        settings = TrainingSettings(patience=1, monitor=monitor)
        begin(model, data, marked, RegionAware(), settings, validation=make_data(n)).close()

    start("accuracy")
    if n == 60:
        start("worst_group")
    else:
        with pytest.raises(InputError, match="at least 10 in a group"):
            start("worst_group")


def test_validation_that_cannot_be(model: Any, data: Any, marked: rx.Assignment, make_data: Callable[..., Any]) -> None:
    for validation, told in (
        ((make_data(60), marked), "an assignment of these 60 images, got one of 20"),
        ((make_data(20, seed=1), marked), "other images"),
        ((data,), r"validation=images, or \(images, assignment\), got a tuple of 1"),
        ((data, marked, marked), "got a tuple of 3"),
        ((data, marked.feature), "the assignment of validation an Assignment, got a ClusterFeature"),
        ((data, None), "the assignment of validation an Assignment, got None"),
        ((marked, data), "validation a dataset"),
        ([data, marked], "validation a dataset"),
    ):
        with pytest.raises(InputError, match=told):
            mitigate(model, data, marked, RegionAware(), validation=validation, settings=QUICK)


def test_labels_can_be_given(
    model: Any, data: Any, feature: Feature, marked: rx.Assignment, mark: Callable[..., Any]
) -> None:
    labels = np.roll(data.labels, 1)
    some = labels.copy()
    some[0] = -1
    one, part = (
        weights(mitigate(model, data, mark(data, feature, labels=each), RegionAware(), settings=QUICK).model)
        for each in (labels, some)
    )
    relabelled: Any = Relabelled(data, labels)
    assert equal(one, weights(mitigate(model, relabelled, feature, RegionAware(), settings=QUICK).model))
    assert not equal(one, weights(mitigate(model, data, marked, RegionAware(), settings=QUICK).model))
    assert not equal(one, part)


# --- settings, labels, concepts ---------------------------------------------------------------------------------------


def test_keywords_go_before_settings(model: Any, data: Any, marked: rx.Assignment) -> None:
    settings = TrainingSettings(epochs=7, batch_size=5, schedule="constant", weight_decay=0.5)
    result = mitigate(model, data, marked, RegionAware(), settings=settings, epochs=1, seed=3)
    assert result.settings == replace(settings, epochs=1, seed=3) and len(result.history.records) == 4
    run = begin(model, data, marked, RegionAware(), settings)
    assert run.result().settings == settings
    run.close()


@pytest.mark.parametrize("objective", [RegionAware(), Standard(), Projection()])
def test_without_a_learning_rate_it_is_the_objectives_usual_one(objective: Any) -> None:
    assert chosen_settings(objective, None) == TrainingSettings(learning_rate=objective.usual_learning_rate)
    assert chosen_settings(objective, None, epochs=3).learning_rate == objective.usual_learning_rate
    assert chosen_settings(objective, None, learning_rate=0.5, epochs=None) == TrainingSettings(learning_rate=0.5)
    given = TrainingSettings(learning_rate=1e-3)
    assert chosen_settings(objective, given, seed=4) == replace(given, seed=4)
    with pytest.raises(InputError, match="settings a TrainingSettings, got a dict"):
        chosen_settings(objective, {"epochs": 1})  # type: ignore[arg-type]


def test_labels_from_captions_take_the_place_of_the_datasets(
    model: Any, data: Any, feature: Feature, make_data: Callable[..., Any], mark: Callable[..., Any]
) -> None:
    captions = [f"the image shows a {data.class_names[y]}" for y in data.labels]
    captions[0], captions[1] = "nothing to see", "a cat and a dog"
    wrong = make_data(20, captions=captions, labels=np.zeros(20, np.int64))
    seen: list[Any] = []
    named = label(wrong, CaptionLabeller(wrong.class_names)).labels
    run = begin(model, wrong, mark(wrong, feature, labels=named), Watching(seen), SHORT)
    list(run)
    labels = torch.cat([batch.labels for batch in seen])
    expected = data.labels.copy()
    expected[:2] = -1
    assert sorted(labels.tolist()) == sorted(expected.tolist())
    core = torch.cat([batch.core.unflatten(0, (-1, 4)).any(1) for batch in seen])
    assert not core[labels == -1].any() and core[labels >= 0].any()


def test_concepts_are_discoverys_own_unless_given(model: Any, data: Any, marked: rx.Assignment) -> None:
    seen: list[Any] = []
    list(begin(model, data, marked, Guided(seen), SHORT))
    assert len(seen) == 3
    for batch, relevance in seen:
        assert batch.promote.shape == batch.suppress.shape == (len(batch.labels), 64, 64)
        has_core = torch.zeros(len(batch.labels), dtype=torch.bool)
        has_core[batch.image_of_region[batch.core]] = True
        assert torch.equal(batch.promote.flatten(1).any(1), has_core), "the core is promoted"
        assert (batch.suppress | batch.promote)[has_core].all() and not (batch.suppress & batch.promote).any()
        assert relevance.ndim == 3 and (relevance >= 0).all() and relevance.requires_grad
    with pytest.raises(InputError, match="concepts with an objective that uses relevance"):
        mitigate(model, data, marked, Standard(), concepts=Discovered(), settings=QUICK)


@dataclass(frozen=True)
class Watching(Standard):
    """Keeps its batches."""

    seen: list[Any] = field(default_factory=list)
    equal_captions: Any = "negatives"
    uses_regions: bool = True

    def __init__(self, seen: list[Any]) -> None:
        object.__setattr__(self, "seen", seen)

    def __call__(self, image: torch.Tensor, region: torch.Tensor, batch: Any) -> Any:
        self.seen.append(batch)
        return {"loss": self.contrastive(image, batch)}


@dataclass(frozen=True)
class Guided(Watching):
    """Keeps its batches with what relevance may be asked for."""

    uses_relevance = True

    def __init__(self, seen: list[Any]) -> None:
        super().__init__(seen)

    def __call__(self, image: torch.Tensor, region: torch.Tensor, batch: Any) -> Any:
        target = (image * batch.captions).sum(1)
        relevance = batch.relevance(target, True)
        self.seen.append((batch, relevance))
        return {"loss": self.contrastive(image, batch) + relevance.mean()}


# --- what cannot be done ----------------------------------------------------------------------------------------------


def test_no_feature(model: Any, data: Any, marked: rx.Assignment) -> None:
    for wrong, came in (
        ([], "a list"),
        (None, "None"),
        (marked.present, "an array"),
        ([marked.feature], "a list"),
        ("cluster 3", "'cluster 3'"),
    ):
        with pytest.raises(InputError, match=rf"assignment an Assignment.*, got {came}.*rx\.assign\(rx\.embed"):
            mitigate(model, data, wrong, RegionAware())  # type: ignore[arg-type]


def test_images_without_captions_are_captioned_by_the_prompts(
    model: Any, feature: Feature, make_data: Callable[..., Any]
) -> None:
    plain = make_data(20, captions=None, templates=("a photo of a {}", "the {}"))
    written = [f"{('a photo of a', 'the')[i % 2]} {plain.class_names[y]}" for i, y in enumerate(plain.labels)]
    captioned = make_data(20, captions=written, templates=plain.templates)
    ends = [weights(mitigate(model, each, feature, Standard(), settings=QUICK).model) for each in (plain, captioned)]
    assert equal(*ends)


def test_an_assignment_of_other_data(
    model: Any, data: Any, feature: Feature, make_data: Callable[..., Any], mark: Callable[..., Any]
) -> None:
    with pytest.raises(InputError, match="an assignment of these 20 images, got one of 6"):
        mitigate(model, data, mark(make_data(6), feature), RegionAware(), settings=QUICK)
    with pytest.raises(InputError, match="other images"):
        mitigate(model, data, mark(make_data(20, seed=1), feature), RegionAware(), settings=QUICK)


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"learning_rate": -1}, {"seed": -1}])
def test_settings_are_checked_before_anything_is_embedded(
    model: Any, data: Any, feature: Feature, changes: dict[str, Any]
) -> None:
    told: list[Any] = []
    with pytest.raises(InputError, match=next(iter(changes))):
        mitigate(
            model, data, feature, RegionAware(), progress=lambda *state: told.append(state), settings=QUICK, **changes
        )
    assert told == []


def test_settings_alone_are_checked_where_they_are_made() -> None:
    with pytest.raises(InputError, match="batch_size"):
        replace(QUICK, batch_size=1)
