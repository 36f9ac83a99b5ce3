"""A run is known again by all that it depends on: whatever field of whatever option differs, it is another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ravl_explore import concepts, objectives, regions
from ravl_explore.assignment import Assignment
from ravl_explore.captions import CaptionLabeller
from ravl_explore.concepts import Discovered, Grounded, MaskFiles
from ravl_explore.mitigation import prepare
from ravl_explore.mitigation.run_identity import depends, made_with, marks, spelled, told
from ravl_explore.objectives import (
    ConceptGuided,
    CounterfactualRegions,
    Projection,
    RegionAware,
    Shift,
    SpuriousAware,
    Standard,
    Upsampled,
    VlErm,
    VlGdro,
)
from ravl_explore.objectives.image_objective import ImageObjective
from ravl_explore.regions import Given, Grid, Random, Regions, Sliding
from ravl_explore.support.contents import content
from ravl_explore.training import TrainingSettings

HERE = Path(__file__).parent
NAMES = ("cat", "dog")
DESCRIBED = SpuriousAware(stand_in="text", descriptions=("street", "street with a car"))
LONG = Regions(np.tile([[0.0, 0, 8, 8]], (5000, 1)), np.arange(5000))  # NumPy prints neither's middle
MOVED = LONG.boxes.copy()
MOVED[2500] = (0, 0, 8, 7)
SETTINGS = {
    "epochs": 4, "learning_rate": 5.0000001e-4, "batch_size": 127, "seed": 1, "freeze_batch_norm": False,
    "schedule": "linear", "warmup_steps": 21, "weight_decay": 0.02, "accumulate": 2, "precision": "bfloat16",
    "region_chunk": 64, "patience": 3, "monitor": "accuracy",
}  # fmt: skip
LABELLER = {
    "class_names": ("dog", "cat"), "synonyms": {"dog": ["puppy"]}, "ambiguity": "first", "negation": False,
    "decoys": ("hot dog",),
}  # fmt: skip
POSITIVES = {"equal_captions": "positives"}


class Of(NamedTuple):
    """What a field may be of another value, where the first one could not have it."""

    value: Any
    changed: Any


# a value, and what else each of its fields may be
CHANGES: list[tuple[Any, dict[str, Any]]] = [
    (TrainingSettings(), SETTINGS),
    (CaptionLabeller(NAMES), LABELLER),
    (Standard(), POSITIVES),
    (Upsampled(), POSITIVES),
    (Shift(), {"axis": "regions"}),
    (Projection(), {"axis": "regions"}),
    (VlErm(), {"weight": 0.5, "upsample": False, "class_text": "names"} | POSITIVES),
    (
        VlGdro(),
        {"weight": 0.5, "rate": 0.02, "adjustment": 1.0, "upsample": False, "class_text": "names"} | POSITIVES,
    ),
    (
        RegionAware(),
        {"weight": float(np.nextafter(0.8, 1)), "reduction": "sum", "duplicates": "samples", "max_spurious": 3}
        | {"class_text": "names"} | POSITIVES,
    ),
    (
        SpuriousAware(),
        {"class_weight": 2.0, "spurious_weight": 2.0, "stand_in": "regions"}
        | {"descriptions": Of(DESCRIBED, ("street", "street with a van"))} | POSITIVES,
    ),
    (
        ConceptGuided(),
        {"align": 0.7, "concept": 0.6, "non": 1.1, "cls": 0.3, "target": "label", "score": "logit"}
        | {"second_order": False, "average": "pixels", "class_loss": "prediction", "class_text": "names"},
    ),
    (
        CounterfactualRegions(),
        {"probability": 0.4, "loss": Of(CounterfactualRegions(loss=RegionAware()), RegionAware(weight=0.7))}
        | {"mode": "erase", "blend": "poisson", "donors": "typical", "clusters": "apart", "upsample": True} | POSITIVES,
    ),
    (Discovered(), {"promote": "clean"}),
    (MaskFiles(HERE), {"path": HERE.parent}),
    (
        Grounded({"cat": ["ear"]}),
        {"concepts": {"cat": ["ears"]}, "detector": "one/else", "segmenter": "two/else", "box_threshold": 0.36}
        | {"device": "cuda"},
    ),
    (Grid(2, 2), {"rows": 3, "cols": 3}),
    (Sliding(), {"size": 0.4, "step": 0.2}),
    (Random(), {"n": 21, "seed": 1, "min_size": 0.2, "max_size": 0.6}),
    (Given(LONG), {"regions": Regions(MOVED, LONG.image_index)}),
    (LONG, {"boxes": MOVED, "image_index": np.maximum(LONG.image_index, 1)}),
]  # fmt: skip


def in_turn() -> list[Any]:
    """(value, name of a field, what it may be), for each field of each option."""
    found = []
    for value, changes in CHANGES:
        for name, changed in changes.items():
            own, other = changed if isinstance(changed, Of) else (value, changed)
            found.append(pytest.param(own, name, other, id=f"{type(value).__name__}.{name}"))
    return found


@pytest.mark.parametrize(("value", "name", "changed"), in_turn())
def test_values_that_differ_in_one_field_have_two_names(value: Any, name: str, changed: Any) -> None:
    other = replace(value, **{name: changed})
    assert type(other) is type(value)
    for each in fields(value):
        same = content(getattr(value, each.name)) == content(getattr(other, each.name))
        assert same == (each.name != name), f"{each.name} of the two"
    assert content(value) != content(other)
    assert content(value) == content(replace(value)), "made again it is the same"


def test_every_field_of_every_option_was_changed() -> None:
    """Of all that is offered; who adds an option or an objective adds it above, or this fails."""
    offered = [getattr(part, name) for part in (objectives, concepts, regions) for name in part.__all__]
    kinds = {kind for kind in offered if isinstance(kind, type) and is_dataclass(kind)} - {objectives.Batch}
    changed = {type(value): set(changes) for value, changes in CHANGES}
    assert set(changed) == kinds | {TrainingSettings, CaptionLabeller}
    for kind, names in changed.items():
        assert names == {each.name for each in fields(kind)}, kind.__name__


def test_an_option_is_the_same_after_it_was_used() -> None:
    labeller = CaptionLabeller(NAMES)
    before = content(labeller)
    labeller(["a cat", "no dog"])
    assert content(labeller) == before == content(CaptionLabeller(NAMES))


# --- what a run folder keeps ------------------------------------------------------------------------------------------


@pytest.fixture
def marked(make_data: Callable[..., Any], find_feature: Callable[..., Any], mark: Callable[..., Any]) -> Assignment:
    data = make_data(12)
    return mark(data, find_feature(data, 3))


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("spurious", lambda x: x & (np.arange(len(x)) != 3)),
        ("core", lambda x: x & False),
        ("part", lambda x: np.where(x >= 0, x + 1, x)),
        ("part", lambda x: None),
        ("similarity", lambda x: np.nextafter(x, np.float32(1))),
        ("similarity", lambda x: None),
        ("regions", lambda x: Regions(x.boxes / 2, x.image_index)),
    ],
)
def test_marks_tell_all_that_training_reads(marked: Assignment, field: str, change: Callable[[Any], Any]) -> None:
    changes = {field: change(getattr(marked, field))}
    if field == "spurious":
        assert marked.part is not None
        present = np.zeros(len(marked.present), bool)
        present[marked.regions.image_index[changes["spurious"]]] = True
        changes |= {"present": present, "part": np.where(changes["spurious"], marked.part, -1)}
    assert marks(replace(marked, **changes)) != marks(marked) == marks(replace(marked))


def test_told_says_all_that_a_dataset_says(make_data: Callable[..., Any]) -> None:
    data = make_data(6, regions=None)
    own, rows = Grid(2, 2)(data), np.repeat(data.labels, 4)
    others = [
        data,
        make_data(6, regions=own),
        make_data(6, regions=own, region_labels=rows),
        make_data(6, regions=own, region_labels=np.roll(rows, 1)),
        make_data(6, labels=data.labels[::-1].copy()),
        make_data(6, class_names=("cat", "dog", "cow")),
        make_data(6, templates=("the {}",)),
        make_data(6, captions=None),
        make_data(6, captions=data.captions[::-1]),
        make_data(6, feature_present=None, feature_name=None),
        make_data(6, feature_present=~data.feature_present),
    ]
    said = [told(each, "the same images") for each in others]
    assert len(set(said)) == len(said)
    assert told(make_data(6), "the same images") == said[0] != told(data, "other images")


def test_what_a_run_depends_on_is_plain_and_tells_each_part(
    model: Any, make_model: Callable[..., Any], make_data: Callable[..., Any], marked: Assignment
) -> None:
    data, settings = make_data(12), TrainingSettings()

    def of(**changes: Any) -> dict[str, Any]:
        own = {"model": model, "data": data, "assignment": marked, "objective": RegionAware(), "settings": settings}
        own |= {"validation": None, "groups": None} | changes
        training_set = prepare(own["model"], own.pop("data"), own.pop("assignment"))
        found = depends(own["model"], training_set, own["objective"], own["settings"], own["validation"], own["groups"])
        assert json.loads(json.dumps(found)) == found, "as a file holds it"
        return found

    first = of()
    assert of() == first
    by_hand = replace(marked, feature=None)
    groups = np.zeros(12, bool)
    for changes, differing in (
        ({"objective": RegionAware(weight=0.7)}, {"objective"}),
        ({"settings": replace(settings, epochs=4)}, {"settings epochs"}),
        ({"model": make_model(1)}, {"model fingerprint"}),
        ({"data": make_data(12, seed=1)}, {"data fingerprint"}),
        ({"data": make_data(12, labels=1 - data.labels % 2)}, {"labels"}),
        ({"data": make_data(12, captions=data.captions[::-1])}, {"texts"}),
        ({"assignment": by_hand}, {"feature", "feature fingerprint"}),
        ({"assignment": replace(marked, core=marked.core & False)}, {"assignment"}),
        ({"assignment": replace(marked, labels=np.roll(data.labels, 1))}, {"labels"}),
        ({"validation": data, "groups": groups}, {"validation fingerprint"}),
    ):
        found = of(**changes)
        assert {name for name in first if found[name] != first[name]} == differing and found.keys() == first.keys()
    watched, others = of(validation=data, groups=groups), of(validation=data, groups=~groups)
    assert watched["validation fingerprint"] != others["validation fingerprint"]
    assert first["feature"] == "cluster 3" and first["objective"].startswith(f"{RegionAware()!r} (")
    assert made_with(model)["ravl_explore"] and json.dumps(made_with(model))


class Nameless(ImageObjective):
    """Python writes it with its address."""

    name = "nameless"

    def __init__(self, weights: Any) -> None:
        self.weights = weights


def test_an_objective_without_a_text_of_its_own_is_told_by_what_it_holds() -> None:
    one, other = Nameless(np.arange(5000)), Nameless(np.where(np.arange(5000) == 2500, 0, np.arange(5000)))
    assert spelled(one) == spelled(other) and " at 0x" not in spelled(one)
    assert content(one) != content(other) and content(one) == content(Nameless(np.arange(5000)))


def test_masks_and_paths_are_told_by_their_text() -> None:
    assert content(MaskFiles(HERE)) == content(MaskFiles(HERE)) != content(MaskFiles(HERE.parent))
