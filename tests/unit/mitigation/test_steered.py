"""Objectives without training as mitigations: one record, no weight changed, saved as what is done to embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ravl_explore as rx
from ravl_explore.assignment.assignment import Assignment
from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import InputError, ModelError, StorageError
from ravl_explore.mitigation import MitigationRun, begin, mitigate, prepare
from ravl_explore.mitigation.steered import Steered
from ravl_explore.models.checkpoints.checkpoint import Checkpoint
from ravl_explore.objectives import Projection, Shift, Standard
from ravl_explore.plots.curves import curves
from ravl_explore.training import TrainingSettings, train

KINDS = [Projection(), Projection("regions"), Shift(), Shift("regions")]
QUICK: dict[str, Any] = {"settings": TrainingSettings(epochs=3, batch_size=8, seed=0)}


@pytest.fixture
def data(make_data: Callable[..., Any]) -> Any:
    return make_data(20)


@pytest.fixture
def assignment(data: Any, find_feature: Callable[..., Any], mark: Callable[..., Any]) -> Assignment:
    return mark(data, find_feature(data, 3))


@pytest.mark.parametrize("objective", KINDS)
def test_it_is_a_mitigation_of_one_record(model: Any, data: Any, assignment: Any, objective: Any) -> None:
    before = {key: value.clone() for key, value in model.state_dict.items()}
    told: list[Any] = []
    result = mitigate(
        model, data, assignment, objective, validation=data, progress=lambda *state: told.append(state), **QUICK,
    )  # fmt: skip
    assert result.complete and told == [(1, 1, "Fine-tuning")]
    (record,) = result.history.records
    assert (record.step, record.n_steps, record.terms) == (1, 1, {}) and record.validation["accuracy"] >= 0
    assert bool(record.details) == isinstance(objective, Shift)
    assert all(torch.equal(value, model.state_dict[key]) for key, value in before.items())
    assert result.model.name == f"{model.name}, {objective.name}"
    assert len(curves(result.history, previous=[result.history]).data) > 0
    old, new = embed(model, data), embed(result.model, data)
    assert isinstance(result.model, Steered) and result.model.steering is not None
    for name in ("image", "region"):
        expected = result.model.steering(torch.from_numpy(getattr(old, name))).numpy()
        assert np.allclose(getattr(new, name), expected, atol=1e-5)
        assert not np.allclose(getattr(new, name), getattr(old, name), atol=1e-3)
    assert np.array_equal(new.text, old.text)
    assert rx.evaluate(rx.zero_shot(new)).image.overall == pytest.approx(record.validation["accuracy"])
    again = mitigate(model, data, assignment, objective, **QUICK)
    assert np.array_equal(embed(again.model, data).image, new.image)
    assert again.model.fingerprint() == result.model.fingerprint() != model.fingerprint()  # type: ignore[attr-defined]


def test_a_stream_that_never_began_leaves_the_embeddings(model: Any, data: Any, assignment: Any) -> None:
    run = begin(model, data, assignment, Shift(), **QUICK)
    assert isinstance(run, MitigationRun)
    result = run.result()
    assert not result.complete and result.model.fingerprint() == model.fingerprint()  # type: ignore[attr-defined]
    assert len(list(run)) == 1 and run.result().complete


def test_a_steered_model_may_be_copied_and_trained(model: Any, data: Any, assignment: Any) -> None:
    steered = mitigate(model, data, assignment, Projection(), **QUICK).model
    other = steered.copy()
    assert other.visual is not steered.visual and np.array_equal(embed(other, data).image, embed(steered, data).image)
    list(train(other, prepare(steered, data, assignment), Standard(), TrainingSettings(1, 1e-3, 20)))
    assert not np.allclose(embed(other, data).image, embed(steered, data).image, atol=1e-6)


@pytest.mark.parametrize("objective", KINDS)
def test_it_is_saved_as_what_it_does_to_embeddings(
    model: Any, make_model: Any, data: Any, assignment: Any, tmp_path: Any, objective: Any
) -> None:
    result = mitigate(model, data, assignment, objective, **QUICK)
    path = rx.save(result, tmp_path / "steered")
    opened = rx.load(path, model=model)
    assert isinstance(opened, Steered) and opened.name == result.model.name
    assert opened.fingerprint() == result.model.fingerprint()  # type: ignore[attr-defined]
    assert np.array_equal(embed(opened, data).region, embed(result.model, data).region)
    assert path.stat().st_size < 10_000
    with pytest.raises(StorageError, match="the searched model beside a file that steers it, got none"):
        rx.load(path)
    with pytest.raises(ModelError, match="the model that was steered, got 'random 1', another one"):
        rx.load(path, model=make_model(1))
    with pytest.raises(ModelError):
        Checkpoint(path)


def test_its_weights_alone_are_not_given(model: Any) -> None:
    with pytest.raises(ModelError, match="a model whose weights are all of it"):
        _ = Steered(model).state_dict


def test_it_is_not_saved_before_it_steers(model: Any, data: Any, assignment: Any, tmp_path: Any) -> None:
    run = begin(model, data, assignment, Shift(), **QUICK)
    with pytest.raises(ModelError, match="a model that steers"):
        rx.save(run.result(), tmp_path / "steered")
    assert list(tmp_path.iterdir()) == []


def test_training_with_it_is_refused(model: Any, data: Any, assignment: Any) -> None:
    steps = train(model.copy(), prepare(model, data, assignment), Projection(), TrainingSettings(1, 1e-3, 20))
    with pytest.raises(InputError, match="an objective to train with"):
        next(steps)
