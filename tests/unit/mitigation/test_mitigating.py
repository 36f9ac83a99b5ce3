"""Every objective fine-tunes the tiny model through mitigate(), and history has what it says of each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ravl_explore.assignment.assignment import Assignment
from ravl_explore.embedding.embeddings import embed
from ravl_explore.mitigation import mitigate, prepare
from ravl_explore.models.base import class_embeddings
from ravl_explore.objectives import RegionAware, SpuriousAware, Standard, VlErm, VlGdro
from ravl_explore.objectives.base import Start
from ravl_explore.objectives.prototypes import prototypes
from ravl_explore.training import TrainingSettings, train
from tests.unit.objectives.cases import TRAINED, VARIANTS
from tests.unit.objectives.test_contract import ITS_TERMS

QUICK = TrainingSettings(epochs=1, batch_size=10, learning_rate=1e-3, seed=0)


@pytest.fixture
def data(make_data: Callable[..., Any]) -> Any:
    return make_data(20)


@pytest.fixture
def assignment(data: Any, find_feature: Callable[..., Any], mark: Callable[..., Any]) -> Assignment:
    found = mark(data, find_feature(data, 3))
    assert 0 < found.present.sum() < len(data)
    return found


def weights(model: Any) -> list[torch.Tensor]:
    return [value.clone() for value in model.visual.state_dict().values()]


def differ(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", [kind.__name__ for kind in TRAINED])
def test_every_objective_trains(model: Any, data: Any, assignment: Any, name: str) -> None:
    objective, before = VARIANTS[name], weights(model)
    result = mitigate(model, data, assignment, objective, settings=QUICK)
    assert result.complete and result.objective is objective and len(result.history.records) == 2
    assert not differ(weights(model), before) and differ(weights(result.model), before)
    assert result.model.name == f"{model.name}, {objective.name}"
    assert all(list(record.terms) == ITS_TERMS[name] for record in result.history.records)
    assert np.isfinite(result.history.frame().to_numpy(float)).all()


@pytest.mark.parametrize(
    "name", ["VlGdro(rate=10.0)", "SpuriousAware(stand_in=regions)", "RegionAware(max_spurious=1)"]
)
def test_the_same_seed_trains_the_same(model: Any, data: Any, assignment: Any, name: str) -> None:
    ends = []
    for noise in (0, 1):
        torch.manual_seed(noise)
        result = mitigate(model, data, assignment, VARIANTS[name], settings=QUICK)
        ends.append((weights(result.model), [(record.terms, record.details) for record in result.history.records]))
    assert not differ(ends[0][0], ends[1][0]) and ends[0][1] == ends[1][1]


def test_group_weights_are_in_the_history_and_not_among_the_terms(model: Any, data: Any, assignment: Any) -> None:
    result = mitigate(model, data, assignment, VlGdro(rate=1.0), settings=QUICK)
    groups = {
        f"q {data.class_names[y]}, {'with' if there else 'without'}"
        for y, there in zip(data.labels, assignment.present, strict=True)
    }
    assert len(groups) > 3
    for record in result.history.records:
        assert set(record.details) == groups | {"q largest"}
        assert sum(record.details[name] for name in groups) == pytest.approx(1)
    first, last = (result.history.records[i].details for i in (0, -1))
    assert first != last
    assert result.history.frame()["q largest"].tolist() == [r.details["q largest"] for r in result.history.records]


def test_counts_of_regions_are_details(model: Any, data: Any, assignment: Any) -> None:
    for most in (None, 2):
        settings = replace(QUICK, batch_size=20)
        result = mitigate(model, data, assignment, RegionAware(max_spurious=most), settings=settings)
        n_spurious = int(assignment.spurious.sum())
        assert result.history.records[0].details["spurious regions"] == (n_spurious if most is None else 2)
        assert n_spurious > 2


class Curious(Standard):
    """Keeps what it is shown before the first step."""

    shown: list[Start]

    def begin(self, start: Start) -> Any:
        Curious.shown.append(start)
        return self


def test_an_objective_may_look_at_the_data_first(model: Any, data: Any, assignment: Any) -> None:
    Curious.shown = []
    own, training_set = model.copy(), prepare(model, data, assignment)
    steps = train(own, training_set, Curious(), TrainingSettings(1, 1e-3, 8))
    assert Curious.shown == []
    next(steps)
    (start,) = Curious.shown
    assert start.labels is training_set.labels and start.present is assignment.present
    assert start.class_names == data.class_names
    expected = embed(own, data)
    for regions in (False, True):
        seen = list(start.embedded(np.arange(20), regions))
        assert [len(batch.labels) for _, _, batch in seen] == [8, 8, 4]
        image, region = (torch.cat([each[place] for each in seen]) for place in (0, 1))
        assert not image.requires_grad and not own.visual.training
        assert np.allclose(image.numpy(), expected.image, atol=1e-5)
        assert len(region) == 80 * regions and np.allclose(region.numpy(), expected.region[: len(region)], atol=1e-5)
    assert torch.allclose(start.embed_prompts(["cat"]), class_embeddings(model, ["cat"], data.templates), atol=1e-6)
    steps.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("stand_in", ["images", "regions"])
def test_stand_ins_are_of_the_model_before(model: Any, data: Any, assignment: Any, stand_in: Any) -> None:
    """L_vs of the first step, with every image in one batch, from the old model's own embeddings."""
    objective = SpuriousAware(stand_in=stand_in)
    training_set = prepare(model, data, assignment)
    (record,) = train(model.copy(), training_set, objective, TrainingSettings(1, 1e-3, 20))
    found = embed(model, data)
    image, labels = torch.from_numpy(found.image), torch.from_numpy(data.labels)
    present = torch.from_numpy(assignment.present)
    if stand_in == "images":
        axis = prototypes(image, labels, present)
    else:
        parent = torch.from_numpy(found.regions.image_index)
        axis = prototypes(torch.from_numpy(found.region), labels[parent], torch.from_numpy(assignment.spurious))
    assert axis is not None
    expected = torch.nn.functional.cross_entropy(image @ axis.T / training_set.temperature, present.long())
    assert record.terms["L_vs"] == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("kind", [RegionAware, VlErm, VlGdro])
def test_class_text_decides_what_classes_are_compared_with(
    model: Any, make_data: Callable[..., Any], assignment: Any, kind: Any
) -> None:
    data = make_data(20, templates=("a photo of a {}", "the {}"))
    for class_text, templates in (("prompts", data.templates), ("names", ("{}",))):
        found = prepare(model, data, assignment, class_text=class_text).classes  # type: ignore[arg-type]
        assert torch.allclose(found, class_embeddings(model, data.class_names, templates), atol=1e-6)
    settings = replace(QUICK, batch_size=20)
    losses = [
        mitigate(model, data, assignment, kind(class_text=way), settings=settings).history.records[0].terms["loss"]
        for way in ("prompts", "names")
    ]
    assert losses[0] != losses[1]
