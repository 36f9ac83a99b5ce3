"""CFT's losses equal their definition cell by cell, and hold at their edges."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ravl_explore.errors import InputError
from ravl_explore.models.region_encoders.vits import as_vit
from ravl_explore.models.tracing import trace_vit
from ravl_explore.objectives import Batch, ConceptGuided
from ravl_explore.objectives.concept_guided import alignment_losses, explained, normalised, on_grid
from tests.unit.models.conftest import build_tower
from tests.unit.objectives.cases import embedded, random_batch


def slow_losses(
    relevance: np.ndarray, promote: np.ndarray, suppress: np.ndarray, average: str
) -> tuple[float, float, int]:
    """Equations 3 and 4 with plain loops; masks are looked up at each cell's centre."""
    concepts, others = [], []
    _, h, w = relevance.shape
    for image, each in enumerate(relevance.tolist()):
        low, high = min(map(min, each)), max(map(max, each))
        in_concept, in_non = [], []
        for y in range(h):
            for x in range(w):
                phi = min(max((each[y][x] - low) / (high - low + 1e-12), 1e-6), 1 - 1e-6)
                at = (image, int((y + 0.5) * promote.shape[1] / h), int((x + 0.5) * promote.shape[2] / w))
                if promote[at]:
                    in_concept.append(-math.log(phi))
                if suppress[at]:
                    in_non.append(-math.log(1 - phi))
        if in_concept and in_non:
            concepts.append(sum(in_concept) / (len(in_concept) if average == "mask" else h * w))
            others.append(sum(in_non) / (len(in_non) if average == "mask" else h * w))
    n = len(concepts)
    return (sum(concepts) / n, sum(others) / n, n) if n else (0.0, 0.0, 0)


def random_case(seed: int, n: int = 6, side: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    relevance = torch.rand(n, 4, 4, generator=generator, dtype=torch.float64)
    kind = torch.randint(3, (n, side, side), generator=generator)
    kind[0], kind[1], kind[2] = 0, 1, 2  # all promoted, all suppressed, neither
    return relevance, kind == 0, kind == 1


@pytest.mark.parametrize("average", ["mask", "pixels"])
@pytest.mark.parametrize("seed", range(3))
def test_the_losses_are_their_definition(seed: int, average: Any) -> None:
    relevance, promote, suppress = random_case(seed)
    in_concept, in_non, n = alignment_losses(relevance, promote, suppress, average)
    expected = slow_losses(relevance.numpy(), promote.numpy(), suppress.numpy(), average)
    assert (float(in_concept), float(in_non), n) == pytest.approx(expected, rel=1e-9)
    assert n == 3


def test_the_total_is_weighted_as_printed() -> None:
    batch = random_batch(labels=torch.tensor([0, 1, 2, -1, 1]))
    image, region = embedded(batch)
    shown: list[Tensor] = []

    def relevance(target: Tensor, create_graph: bool) -> Tensor:
        shown.append(target)
        return torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(1)) + 0 * target[:, None, None]

    scores = image @ batch.classes.T / 0.07
    best = scores.argmax(1)
    label = [0, 1, 2, int(best[3]), 1]
    own = np.mean([float(torch.logsumexp(row, 0) - row.max()) for row in scores])
    true = np.mean([float(torch.logsumexp(scores[i], 0) - scores[i, label[i]]) for i in (0, 1, 2, 4)])
    picked = {"score": "logit"}
    for options, classes, in_class in (
        (picked, best.tolist(), true),
        (picked | {"target": "label"}, label, true),
        (picked | {"class_loss": "prediction"}, best.tolist(), own),
        (picked | {"align": 3.0, "concept": 0.25, "non": 2.0, "cls": 0.0, "average": "pixels"}, best.tolist(), true),
    ):
        objective = ConceptGuided(**options)
        values = objective(image, region, replace(batch, relevance=relevance))
        assert torch.equal(shown[-1], scores[torch.arange(5), torch.tensor(classes)])
        assert batch.promote is not None and batch.suppress is not None
        maps = relevance(shown[-1], False).numpy()
        expected = slow_losses(maps, batch.promote.numpy(), batch.suppress.numpy(), objective.average)
        assert float(values["L_concept"]) == pytest.approx(expected[0], rel=1e-3)
        assert float(values["L_non"]) == pytest.approx(expected[1], rel=1e-3)  # 1 - 1e-6 in float32
        assert float(values["L_cls"]) == pytest.approx(in_class, rel=1e-5)
        aligned = objective.concept * expected[0] + objective.non * expected[1]
        assert float(values["loss"]) == pytest.approx(objective.align * aligned + objective.cls * in_class, rel=1e-3)
        assert values["images guided"] == expected[2]
    ConceptGuided()(image, region, replace(batch, relevance=relevance))
    assert torch.allclose(shown[-1], scores.amax(1) - scores.mean(1))
    given = ConceptGuided()
    assert (given.align, given.concept, given.non, given.cls) == (0.8, 0.5, 1.2, 0.2)


def test_the_contrast_is_to_the_mean_of_all_logits() -> None:
    scores = torch.tensor([[1.0, 2.0, 6.0], [0.0, 3.0, 0.0]])
    assert explained(scores, torch.tensor([2, 0]), "logit").tolist() == [6, 0]
    assert explained(scores, torch.tensor([2, 0]), "contrast").tolist() == [3, -1]


@pytest.mark.parametrize("second_order", [True, False])
def test_second_order_is_asked_for(second_order: bool) -> None:
    asked: list[bool] = []

    def relevance(target: Tensor, create_graph: bool) -> Tensor:
        asked.append(create_graph)
        return target[:, None, None] * torch.rand(2, 2)

    batch = replace(random_batch(), relevance=relevance)
    ConceptGuided(second_order=second_order)(*embedded(batch), batch)
    assert asked == [second_order]


@pytest.mark.parametrize("second_order", [True, False])
def test_steps_on_a_traced_model_bring_the_map_to_the_mask(second_order: bool) -> None:
    """A tiny ViT learns to look at the left half, and keeps its predictions."""
    visual = build_tower("vit").visual
    pixels = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    left = torch.zeros(4, 32, 32, dtype=torch.bool)
    left[:, :, :16] = True
    classes = normalize(torch.randn(3, 64, generator=torch.Generator().manual_seed(1)), dim=1)
    empty = torch.zeros(0)
    batch = Batch(
        pixels=pixels,
        boxes=torch.zeros(0, 5),
        spurious=empty.bool(),
        core=empty.bool(),
        labels=torch.tensor([0, 1, 2, -1]),
        captions=classes[[0, 1, 2, 0]],
        classes=classes,
        temperature=0.07,
        promote=left,
        suppress=~left,
    )
    objective = ConceptGuided(second_order=second_order)
    optimizer = torch.optim.AdamW(visual.parameters(), lr=1e-3)
    losses = []
    for _ in range(12):
        image, relevance = trace_vit(as_vit(visual), pixels)
        image = normalize(image, dim=1)
        values = objective(image, image[:0], replace(batch, relevance=relevance))
        losses.append(float(torch.as_tensor(values["loss"]).detach()))
        optimizer.zero_grad()
        torch.as_tensor(values["loss"]).backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in visual.parameters())
        optimizer.step()
    assert losses[-1] < losses[0] - 0.1


# --- edges ------------------------------------------------------------------------------------------------------------


def test_images_with_one_side_only_do_not_count() -> None:
    relevance, promote, suppress = random_case(0)
    for part in (slice(0, 1), slice(1, 2), slice(2, 3), slice(0, 3)):
        maps = relevance[part].clone().requires_grad_()
        in_concept, in_non, n = alignment_losses(maps, promote[part], suppress[part])
        assert (in_concept.item(), in_non.item(), n) == (0, 0, 0)
        (in_concept + in_non).backward()
        assert maps.grad is not None and (maps.grad == 0).all()
    every, rest = (alignment_losses(relevance[i:], promote[i:], suppress[i:]) for i in (0, 3))
    assert [float(x) for x in every] == [float(x) for x in rest]


@pytest.mark.parametrize("constant", [0.0, 1e-30, 0.5, 1e30])
def test_a_constant_map_is_finite_and_pushes_nowhere(constant: float) -> None:
    _, promote, suppress = random_case(0)
    maps = torch.full((6, 4, 4), constant, requires_grad=True)
    in_concept, in_non, n = alignment_losses(maps, promote, suppress)
    assert n == 3 and in_concept.isfinite() and in_non.isfinite()
    (in_concept + in_non).backward()
    assert maps.grad is not None and (maps.grad == 0).all()


@pytest.mark.parametrize("scale", [1e-20, 1e-8, 1e-3, 1.0, 1e8, 1e30])
def test_gradients_are_finite_at_every_scale(scale: float) -> None:
    relevance, promote, suppress = random_case(0)
    maps = (relevance * scale).float().requires_grad_()
    in_concept, in_non, _ = alignment_losses(maps, promote, suppress)
    (in_concept + in_non).backward()
    assert in_concept.isfinite() and in_non.isfinite() and maps.grad is not None and maps.grad.isfinite().all()


def test_phi_is_min_max_within_its_bounds() -> None:
    phi = normalised(torch.tensor([[[1.0, 3.0], [2.0, 5.0]]]))
    assert phi.flatten().tolist() == pytest.approx([1e-6, 0.5, 0.25, 1 - 1e-6], rel=1e-6)


def test_a_mask_is_looked_up_at_the_centre_of_each_cell() -> None:
    mask = torch.zeros(1, 6, 6, dtype=torch.bool)
    mask[0, 1, 4] = True
    assert on_grid(mask, torch.Size((2, 2)))[0].tolist() == [[False, True], [False, False]]
    mask[0, 1, 4], mask[0, 0, 3] = False, True
    assert not on_grid(mask, torch.Size((2, 2))).any()
    assert torch.equal(on_grid(mask, torch.Size((6, 6))), mask)


def test_gradients_of_the_losses_check() -> None:
    relevance, promote, suppress = random_case(4)

    def terms(maps: Tensor) -> tuple[Tensor, Tensor]:
        return alignment_losses(maps, promote, suppress)[:2]

    assert torch.autograd.gradcheck(terms, (relevance.requires_grad_(),))
    assert torch.autograd.gradgradcheck(terms, (relevance,))


def test_half_precision_maps_are_taken_in_single() -> None:
    relevance, promote, suppress = random_case(1)
    rough = relevance.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = alignment_losses(rough, promote, suppress)
    expected = alignment_losses(rough.float(), promote, suppress)
    assert found[0].dtype == torch.float32 and [float(a) for a in found] == [float(a) for a in expected]


def test_what_cannot_be_used_is_refused() -> None:
    batch = random_batch()
    with pytest.raises(InputError, match="a batch with relevance and concept masks"):
        ConceptGuided()(*embedded(batch), replace(batch, promote=None))
    for name in ("align", "concept", "non", "cls"):
        with pytest.raises(InputError, match=f"{name} of 0 or more"):
            ConceptGuided(**{name: -1.0})
    for name in ("target", "score", "class_loss", "average"):
        with pytest.raises(InputError, match=f"{name} .* or .*got 'x'"):
            ConceptGuided(**{name: "x"})
