"""Whatever is offered gives a finite loss with a gradient and named terms, at every edge and in half precision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ravl_explore.errors import InputError
from ravl_explore.objectives import RegionAware, VlErm, VlGdro
from tests.unit.objectives.cases import (
    EDGES,
    OFFERED,
    VARIANTS,
    WITH_CAPTIONS,
    embedded,
    in_double,
    random_batch,
    start_of,
)

ITS_TERMS = {
    "CounterfactualRegions": ["loss"],
    "RegionAware": ["loss", "clip", "L_R", "L_A"],
    "ConceptGuided": ["loss", "L_concept", "L_non", "L_cls"],
    "SpuriousAware": ["loss", "clip", "L_vc", "L_vs"],
    "VlGdro": ["loss", "clip", "L_GDRO"],
    "VlErm": ["loss", "clip", "L_ERM"],
    "Upsampled": ["loss"],
    "Standard": ["loss"],
}

each_variant = pytest.mark.parametrize("objective", VARIANTS.values(), ids=VARIANTS)
each_edge = pytest.mark.parametrize("batch", EDGES.values(), ids=EDGES)


def its_terms(objective: Any) -> list[str]:
    """Those of its kind; of its loss, where it has one of its own."""
    return ITS_TERMS[type(getattr(objective, "loss", None) or objective).__name__]


def terms_of(values: Any) -> dict[str, Tensor]:
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def test_the_menu_is_in_order_and_names_what_it_makes() -> None:
    assert [kind.__name__ for kind in OFFERED] == [*ITS_TERMS, "Shift", "Projection"]
    labels = [label for kind in OFFERED for label in kind.menu()]
    assert labels == [
        "Counterfactual regions",
        "Counterfactual regions + RaVL",
        "RaVL, region-aware",
        "CFT, concept-guided",
        "Spurious-Aware, image losses",
        "VL-GDRO, worst groups",
        "VL-ERM, class labels",
        "Upsampled fine-tuning",
        "Standard fine-tuning",
        "Shift by group, no training",
        "Projection, no training",
    ]
    for kind in OFFERED:
        for label, arguments in kind.menu().items():
            assert kind(*arguments).name == label


@each_variant
@each_edge
def test_finite_at_every_edge(objective: Any, batch: Any) -> None:
    if batch.spurious.any() and not batch.spurious.all():
        assert batch.present.any()
    before = {name: value.clone() for name, value in vars(batch).items() if isinstance(value, Tensor)}
    run = objective.begin(start_of(batch))
    seen = run.edit(batch, torch.Generator().manual_seed(0))
    assert seen.pixels.shape == batch.pixels.shape
    image, region = (rows.requires_grad_() for rows in embedded(seen))
    values = run(image, region if run.uses_regions else region[:0], seen)
    terms = terms_of(values)
    assert list(terms) == its_terms(objective)
    assert all(value.ndim == 0 and value.isfinite() and value.dtype == torch.float32 for value in terms.values())
    assert all(type(values[name]) is float and np.isfinite(values[name]) for name in values.keys() - terms.keys())
    terms["loss"].backward()
    assert image.grad is not None and image.grad.isfinite().all()
    if len(image) > 1:
        assert image.grad.abs().sum() > 0
    if run.uses_regions:
        assert region.grad is not None and region.grad.isfinite().all()
    else:
        assert region.grad is None
    for name, value in before.items():
        assert torch.equal(value, getattr(batch, name)), f"{name} of the original batch"


@each_variant
def test_without_begin_it_takes_one_step(objective: Any) -> None:
    batch = random_batch()
    image, region = embedded(batch)
    values = objective(image, region, batch)
    assert list(terms_of(values)) == its_terms(objective) and values["loss"].isfinite()


@each_variant
def test_a_run_is_as_its_objective(objective: Any) -> None:
    run = objective.begin(start_of(random_batch()))
    for name in ("name", "uses_regions", "uses_relevance", "class_text", "equal_captions"):
        assert getattr(run, name) == getattr(objective, name)
    labels, present = np.array([0, 0, 1, 1, 1]), np.array([1, 0, 0, 0, 1], bool)
    weights, again = objective.sample_weights(labels, present), run.sample_weights(labels, present)
    assert (weights is None and again is None) or np.array_equal(weights, again)
    if weights is not None:
        assert weights.shape == (5,) and (weights > 0).all() and weights.sum() == pytest.approx(1)


@each_variant
def test_two_runs_are_the_same_to_the_bit(objective: Any) -> None:
    batches = [random_batch(seed) for seed in range(3)]
    ends = []
    for noise in (0, 1):
        torch.manual_seed(noise)
        np.random.seed(noise)
        run, generator = objective.begin(start_of(batches[0])), torch.Generator().manual_seed(5)
        losses = []
        for batch in batches:
            seen = run.edit(batch, generator)
            losses.append({name: float(value) for name, value in run(*embedded(seen), seen).items()})
        ends.append(losses)
    assert ends[0] == ends[1]


@pytest.mark.parametrize("name", [name for name, each in VARIANTS.items() if getattr(each, "stand_in", "") != "batch"])
def test_gradients_are_those_of_the_numbers(name: str) -> None:
    """Finite differences in float64, of every term, with an image of spurious regions and one without a class."""
    batch = random_batch(n_images=4, n_classes=3, dim=3, temperature=0.5, labels=torch.tensor([0, 1, -1, 1]))
    spurious = torch.tensor([True] * 4 + [True] + [False] * 10 + [True])
    terms, inputs = in_double(VARIANTS[name], replace(batch, spurious=spurious))
    assert torch.autograd.gradcheck(terms, inputs)


@each_variant
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_only_rounds_what_comes_in(objective: Any, half: torch.dtype) -> None:
    """Under autocast, at CLIP's own temperature: similarities of 100, whose exponential half precision cannot hold."""
    batch = replace(random_batch(1), temperature=0.01)
    image, region = (rows.to(half) for rows in embedded(batch))
    image = torch.nn.functional.normalize(batch.captions + 0.01 * image.float(), dim=1).to(half)  # cosines near 1
    with torch.autocast("cpu", half):
        run = objective.begin(start_of(batch))
        found = terms_of(run(image.requires_grad_(), region.requires_grad_(), batch))
        found["loss"].backward()
    exact = objective.begin(start_of(batch))(image.detach().float(), region.detach().float(), batch)
    for name, value in found.items():
        assert value.dtype == torch.float32
        assert float(value.detach()) == pytest.approx(float(exact[name]), rel=1e-6, abs=1e-6)
    assert image.grad is not None and image.grad.isfinite().all()


def test_autocast_would_else_round() -> None:
    """What the test above guards against happens: a plain product under autocast is far off."""
    batch = random_batch(1)
    image, _ = embedded(batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = image @ batch.captions.T / 0.01
    assert (rounded - image @ batch.captions.T / 0.01).abs().max() > 0.05


@pytest.mark.parametrize("kind", WITH_CAPTIONS)
def test_an_unknown_option_is_refused(kind: type) -> None:
    with pytest.raises(InputError, match="equal_captions negatives or positives, got 'half'"):
        kind(equal_captions="half")


@pytest.mark.parametrize("kind", [RegionAware, VlErm, VlGdro])
def test_weight_and_class_text_are_checked(kind: type) -> None:
    for weight in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="weight from 0 to 1"):
            kind(weight=weight)
    with pytest.raises(InputError, match="class_text prompts or names, got 'poems'"):
        kind(class_text="poems")
    assert kind().weight == 0.8 and kind().class_text == "prompts"
