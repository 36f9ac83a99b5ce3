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
from ravl_explore.assignment.assignment import assign
from ravl_explore.captions import CaptionLabeller
from ravl_explore.concepts import Discovered
from ravl_explore.data.relabelled import Relabelled
from ravl_explore.errors import Cancelled, InputError
from ravl_explore.evaluation import evaluate
from ravl_explore.mitigation import MitigationRun, mitigate
from ravl_explore.objectives import CounterfactualRegions, RegionAware, Standard
from ravl_explore.regions import Grid
from ravl_explore.training import StepRecord, TrainingSettings

QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "seed": 0}


@pytest.fixture
def data(make_data: Callable[..., Any]) -> Any:
    return make_data(20)


@pytest.fixture
def features(data: Any, find_features: Callable[..., Any]) -> list[Any]:
    return [each for each in find_features(data) if each.cluster == 3]


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict.items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_the_new_model_differs_and_the_old_one_does_not_change(model: Any, data: Any, features: list[Any]) -> None:
    before = weights(model)
    result = rx.mitigate(model, data, features, **QUICK)
    assert isinstance(result, rx.Mitigation) and result.complete
    assert equal(weights(model), before)
    assert not equal(weights(result.model), before)
    assert isinstance(result.objective, RegionAware) and result.features == tuple(features)
    assert (result.settings.epochs, result.settings.batch_size, result.settings.seed) == (2, 8, 0)
    text = {key: value for key, value in weights(result.model).items() if not key.startswith("visual.")}
    assert equal(text, {key: value for key, value in before.items() if not key.startswith("visual.")})
    assert torch.equal(result.model.embed_text(["a cat"]), model.embed_text(["a cat"]))


def test_history_has_every_step(model: Any, data: Any, features: list[Any]) -> None:
    told: list[tuple[int, int, str]] = []
    result = mitigate(model, data, features, validation=data, progress=lambda *state: told.append(state), **QUICK)
    frame = result.history.frame()
    assert frame["step"].tolist() == [1, 2, 3, 4, 5, 6] and frame["epoch"].tolist() == [0, 0, 0, 1, 1, 1]
    assert {"loss", "clip", "L_R", "L_A", "accuracy", "worst_group", "seconds"} <= set(frame.columns)
    assert frame["accuracy"].between(0, 1).all(), "three steps an epoch: measured at each"
    assert frame["accuracy"].iloc[-1] == pytest.approx(evaluate(result.model, data).image.overall)
    assert [state for state in told if state[2] == "Fine-tuning"] == [(i, 6, "Fine-tuning") for i in range(1, 7)]
    assert told[:2] == [(0, 0, "Finding regions"), (0, 20, "Embedding images")]


def test_the_same_seed_gives_the_same_model(model: Any, data: Any, features: list[Any]) -> None:
    ends = [
        weights(mitigate(model, data, features, objective=CounterfactualRegions(), **(QUICK | {"seed": seed})).model)
        for seed in (0, 0, 1)
    ]
    assert equal(ends[0], ends[1]) and not equal(ends[0], ends[2])


def test_a_stream_trains_the_same(model: Any, data: Any, features: list[Any]) -> None:
    run = mitigate(model, data, features, stream=True, **QUICK)
    assert isinstance(run, MitigationRun)
    records = list(run)
    assert all(isinstance(record, StepRecord) for record in records)
    streamed, whole = run.result(), mitigate(model, data, features, **QUICK)
    assert streamed.complete and equal(weights(streamed.model), weights(whole.model))
    pd.testing.assert_frame_equal(
        streamed.history.frame().drop(columns="seconds"), whole.history.frame().drop(columns="seconds")
    )


def test_a_stream_can_pause_and_go_on(model: Any, data: Any, features: list[Any]) -> None:
    run = mitigate(model, data, features, stream=True, **QUICK)
    for record in run:
        if record.step == 2:
            break
    paused = run.result()
    assert not paused.complete and len(paused.history.records) == 2
    assert np.isfinite(evaluate(paused.model, data).image.overall), "the model may be looked at in between"
    assert [record.step for record in run] == [3, 4, 5, 6]
    assert run.result().complete and len(run.result().history.records) == 6
    assert equal(weights(run.result().model), weights(mitigate(model, data, features, **QUICK).model))


def test_a_closed_stream_keeps_its_progress(model: Any, data: Any, features: list[Any]) -> None:
    run = mitigate(model, data, features, stream=True, **QUICK)
    for record in run:
        if record.step == 2:
            run.close()
            break
    stopped = run.result()
    assert not stopped.complete and len(stopped.history.records) == 2
    assert not equal(weights(stopped.model), weights(model)) and not stopped.model.visual.training
    assert list(run) == [] and equal(weights(run.result().model), weights(stopped.model))


def test_a_stream_that_never_began(model: Any, data: Any, features: list[Any]) -> None:
    run = mitigate(model, data, features, stream=True, **QUICK)
    result = run.result()
    assert not result.complete and len(result.history.records) == 0
    assert equal(weights(result.model), weights(model))
    run.close()


@pytest.mark.parametrize("stage", ["Embedding images", "Fine-tuning"])
def test_progress_may_cancel(model: Any, data: Any, features: list[Any], stage: str) -> None:
    before = weights(model)

    def cancel(done: int, total: int, now: str) -> None:
        if now == stage and done:
            raise Cancelled

    with pytest.raises(Cancelled):
        mitigate(model, data, features, progress=cancel, **QUICK)
    assert equal(weights(model), before)


def test_an_assignment_made_before_is_used(model: Any, data: Any, features: list[Any]) -> None:
    assignment = assign(model, data, features)
    told: list[str] = []
    result = mitigate(
        model,
        data,
        features,
        assignment=assignment,
        progress=lambda done, total, stage: told.append(stage),
        **QUICK,
    )
    assert set(told) == {"Fine-tuning"}
    assert equal(weights(result.model), weights(mitigate(model, data, features, **QUICK).model))


def test_the_proposer_decides_the_regions(model: Any, data: Any, features: list[Any]) -> None:
    grids = [weights(mitigate(model, data, features, Grid(n, n), **QUICK).model) for n in (2, 3)]
    assert not equal(*grids)


def test_validation_without_an_annotated_feature_is_grouped_by_the_discovered_one(
    model: Any, data: Any, features: list[Any], make_data: Callable[..., Any]
) -> None:
    plain = make_data(60, feature_name=None, feature_present=None)
    marked = assign(model, plain, features)
    assert 0 < marked.present.sum() < len(plain)
    annotated = make_data(60, feature_present=marked.present)

    def last(validation: Any, **more: Any) -> dict[str, float]:
        result = mitigate(model, data, features, objective=Standard(), validation=validation, **QUICK, **more)
        return result.history.records[-1].validation

    assert last(plain) == last(plain, validation_assignment=marked) == last(annotated)
    first = np.tile([True, False, False, False], len(plain)) & np.repeat(~marked.present, 4)
    turned = replace(marked, spurious=first, core=~first, present=~marked.present, feature=None)
    assert last(annotated, validation_assignment=turned) == last(annotated), "what is annotated goes first"


@pytest.mark.parametrize("n", [60, 12])
def test_patience_without_a_group_to_go_by_is_told_before_training(
    model: Any, data: Any, features: list[Any], make_data: Callable[..., Any], n: int
) -> None:
    def start(monitor: Any) -> None:
        settings = TrainingSettings(patience=1, monitor=monitor)
        mitigate(model, data, features, settings=settings, validation=make_data(n), stream=True).close()

    start("accuracy")
    if n == 60:
        start("worst_group")
    else:
        with pytest.raises(InputError, match="at least 10 in a group"):
            start("worst_group")


def test_an_assignment_of_other_validation_images(
    model: Any, data: Any, features: list[Any], make_data: Callable[..., Any]
) -> None:
    with pytest.raises(InputError, match="an assignment of these 60 images, got one of 20"):
        mitigate(
            model,
            data,
            features,
            validation=make_data(60),
            validation_assignment=assign(model, data, features),
            **QUICK,
        )


def test_labels_can_be_given(model: Any, data: Any, features: list[Any]) -> None:
    labels = np.roll(data.labels, 1)
    some = labels.copy()
    some[0] = -1
    one, part = (weights(mitigate(model, data, features, labels=each, **QUICK).model) for each in (labels, some))
    assert equal(one, weights(mitigate(model, Relabelled(data, labels), features, **QUICK).model))
    assert not equal(one, weights(mitigate(model, data, features, **QUICK).model)) and not equal(one, part)
    with pytest.raises(InputError, match="one integer label for each of 20 images"):
        mitigate(model, data, features, labels=labels[:5], **QUICK)


# --- settings, labels, concepts ---------------------------------------------------------------------------------------


def test_keywords_go_before_settings(model: Any, data: Any, features: list[Any]) -> None:
    settings = TrainingSettings(epochs=7, batch_size=5, schedule="constant", weight_decay=0.5)
    run = mitigate(model, data, features, settings=settings, epochs=1, seed=3, stream=True)
    assert run.result().settings == replace(settings, epochs=1, seed=3)
    run.close()


def test_labels_from_captions_take_the_place_of_the_datasets(
    model: Any, data: Any, features: list[Any], make_data: Callable[..., Any]
) -> None:
    captions = [f"the image shows a {data.class_names[y]}" for y in data.labels]
    captions[0], captions[1] = "nothing to see", "a cat and a dog"
    wrong = make_data(20, captions=captions, labels=np.zeros(20, np.int64))
    seen: list[Any] = []
    objective = Watching(seen)
    labeller = CaptionLabeller(wrong.class_names)
    run = mitigate(model, wrong, features, objective=objective, labels=labeller, stream=True, **(QUICK | {"epochs": 1}))
    list(run)
    labels = torch.cat([batch.labels for batch in seen])
    expected = data.labels.copy()
    expected[:2] = -1
    assert sorted(labels.tolist()) == sorted(expected.tolist())
    core = torch.cat([batch.core.unflatten(0, (-1, 4)).any(1) for batch in seen])
    assert not core[labels == -1].any() and core[labels >= 0].any()
    similar = CaptionLabeller(wrong.class_names, ambiguity="similar")
    assert mitigate(model, wrong, features, labels=similar, **(QUICK | {"epochs": 1})).complete


def test_concepts_are_discoverys_own_unless_given(model: Any, data: Any, features: list[Any]) -> None:
    assignment, seen = assign(model, data, features), []
    run = mitigate(
        model, data, features, objective=Guided(seen), assignment=assignment, stream=True, **(QUICK | {"epochs": 1})
    )
    list(run)
    for batch, relevance in seen:
        assert batch.promote.shape == batch.suppress.shape == (len(batch.labels), 64, 64)
        has_core = torch.zeros(len(batch.labels), dtype=torch.bool)
        has_core[batch.image_of_region[batch.core]] = True
        assert torch.equal(batch.promote.flatten(1).any(1), has_core), "the core is promoted"
        assert (batch.suppress | batch.promote)[has_core].all() and not (batch.suppress & batch.promote).any()
        assert relevance.ndim == 3 and (relevance >= 0).all() and relevance.requires_grad
    with pytest.raises(InputError, match="concepts with an objective that uses relevance"):
        mitigate(model, data, features, objective=Standard(), concepts=Discovered(), **QUICK)


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


def test_no_feature(model: Any, data: Any, features: list[Any]) -> None:
    with pytest.raises(InputError, match="at least one feature to suppress, got none"):
        mitigate(model, data, [])
    with pytest.raises(InputError, match="at least one feature to suppress, got none"):
        mitigate(model, data, [], assignment=assign(model, data, features))


def test_images_without_captions_are_captioned_by_the_prompts(
    model: Any, features: list[Any], make_data: Callable[..., Any]
) -> None:
    plain = make_data(20, captions=None, templates=("a photo of a {}", "the {}"))
    written = [f"{('a photo of a', 'the')[i % 2]} {plain.class_names[y]}" for i, y in enumerate(plain.labels)]
    captioned = make_data(20, captions=written, templates=plain.templates)
    ends = [
        weights(mitigate(model, each, features, objective=Standard(), **QUICK).model) for each in (plain, captioned)
    ]
    assert equal(*ends)


def test_an_assignment_of_other_data(model: Any, data: Any, features: list[Any], make_data: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="an assignment of these 20 images, got one of 6"):
        mitigate(model, data, features, assignment=assign(model, make_data(6), features))


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"batch_size": 1}, {"learning_rate": -1}])
def test_settings_are_checked_before_anything_is_embedded(
    model: Any, data: Any, features: list[Any], changes: dict[str, Any]
) -> None:
    told: list[Any] = []
    with pytest.raises(InputError, match=next(iter(changes))):
        mitigate(model, data, features, progress=lambda *state: told.append(state), **(QUICK | changes))
    assert told == []
