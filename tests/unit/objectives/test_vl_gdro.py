"""VL-GDRO equals the update as it is written, step by step, and keeps its weights within one run."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ravl_explore.errors import InputError
from ravl_explore.objectives import Upsampled, VlGdro
from ravl_explore.objectives.base import Start
from ravl_explore.objectives.vl_gdro import MOST_RECORDED
from tests.unit.objectives.cases import embedded, random_batch, start_of
from tests.unit.objectives.test_vl_erm import loops as class_loops


def data(labels: list[int], present: list[bool], n_classes: int = 3) -> Start:
    names = tuple(f"class {y}" for y in range(n_classes))
    return replace(start_of(random_batch(), names), labels=np.array(labels), present=np.array(present))


WHOLE = data([0, 0, 0, 1, 1, 2, -1], [False, True, True, False, True, False, True])  # no (2, with)


def loops(batches: list[Any], start: Start, rate: float, adjustment: float) -> list[tuple[float, dict[Any, float]]]:
    """(sum of q_g l_g, q) of each step, with exponentials as printed: q_g <- q_g exp(rate l_g) / sum."""
    sizes: dict[Any, int] = {}
    for y, there in zip(start.labels.tolist(), start.present.tolist(), strict=True):
        if y >= 0:
            sizes[y, there] = sizes.get((y, there), 0) + 1
    q = {g: 1 / len(sizes) for g in sizes}
    steps = []
    for batch, image in batches:
        losses = iter(class_loops(image, batch.classes, batch.labels.tolist(), batch.temperature))
        members: dict[Any, list[float]] = {g: [] for g in sizes}
        for y, there in zip(batch.labels.tolist(), batch.present.tolist(), strict=True):
            if y >= 0:
                members.setdefault((y, there), []).append(next(losses))
        mean = {g: sum(values) / len(values) if values else 0.0 for g, values in members.items()}
        raised = {g: q[g] * math.exp(rate * (mean[g] + adjustment / math.sqrt(sizes[g]))) for g in sizes}
        q = {g: value / sum(raised.values()) for g, value in raised.items()}
        steps.append((sum(q[g] * mean[g] for g in sizes), q))
    return steps


def spelled(group: tuple[int, bool]) -> str:
    return f"class {group[0]}, {'with' if group[1] else 'without'}"


@pytest.mark.parametrize(("rate", "adjustment"), [(0.01, 0.0), (1.0, 0.0), (0.5, 2.0), (0.0, 1.0)])
def test_every_step_equals_the_loops(rate: float, adjustment: float) -> None:
    batches = [(random_batch(seed), embedded(random_batch(seed), seed)[0]) for seed in range(6)]
    batches[2] = (replace(batches[2][0], labels=torch.tensor([-1, 0, 0, -1, 1])), batches[2][1])
    batches[4] = (replace(batches[4][0], labels=torch.full((5,), -1)), batches[4][1])
    run = VlGdro(0.8, rate, adjustment).begin(WHOLE)
    for (batch, image), (robust, q) in zip(batches, loops(batches, WHOLE, rate, adjustment), strict=True):
        values = run(image, image[:0], batch)
        assert float(values["L_GDRO"]) == pytest.approx(robust, rel=1e-4)
        assert float(values["loss"]) == pytest.approx(0.8 * float(values["clip"]) + 0.2 * robust, rel=1e-4)
        assert run.group_weights == pytest.approx({spelled(g): value for g, value in q.items()}, rel=1e-4)
        assert {name: value for name, value in values.items() if name.startswith("q class")} == {
            f"q {name}": value for name, value in run.group_weights.items()
        }
        assert values["q largest"] == max(run.group_weights.values())
        assert sum(run.group_weights.values()) == pytest.approx(1)


def test_it_starts_uniform_over_the_groups_that_the_data_has() -> None:
    weights = VlGdro().begin(WHOLE).group_weights
    assert list(weights) == [spelled(g) for g in ((0, False), (0, True), (1, False), (1, True), (2, False))]
    assert list(weights.values()) == pytest.approx([0.2] * 5)


def test_the_worst_group_gains_and_absent_ones_shrink() -> None:
    batch = replace(random_batch(), labels=torch.zeros(5, dtype=torch.long), spurious=torch.zeros(20, dtype=torch.bool))
    image = -batch.classes[:1].expand(5, -1)  # all wrong
    run = VlGdro(rate=1.0).begin(WHOLE)
    run(image, image[:0], batch)
    weights = run.group_weights
    assert weights.pop("class 0, without") > 0.9 and all(0 < q < 0.2 for q in weights.values())


def test_a_group_that_the_data_does_not_have_weighs_nothing() -> None:
    """Also when a batch has it: the whole batch is (2, with)."""
    batch = replace(random_batch(), labels=torch.full((5,), 2), spurious=torch.ones(20, dtype=torch.bool))
    image, _ = embedded(batch)
    run = VlGdro(rate=1.0).begin(WHOLE)
    assert float(run(image, image[:0], batch)["L_GDRO"]) == 0
    assert list(run.group_weights.values()) == pytest.approx([0.2] * 5)


def test_weights_have_no_gradient() -> None:
    """The gradient is that of the losses with q held: 1/b of each image times its group's q over the group's share."""
    batch = replace(random_batch(), labels=torch.tensor([0, 0, 0, 1, 1]))
    image = embedded(batch)[0].requires_grad_()
    run = VlGdro(weight=0.0, rate=5.0).begin(WHOLE)
    values = run(image, image[:0], batch)
    (found,) = torch.autograd.grad(values["loss"], image)
    held = torch.zeros(())
    for g, q in run.group_weights.items():
        y, there = int(g[6]), g.endswith("with")
        mine = (batch.labels == y) & (batch.present == there)
        if mine.any():
            logits = image[mine] @ batch.classes.T / 0.07
            held = held + q * torch.nn.functional.cross_entropy(logits, batch.labels[mine])
    (expected,) = torch.autograd.grad(held, image)
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_million_steps_do_not_overflow() -> None:
    batch = replace(random_batch(), labels=torch.zeros(5, dtype=torch.long), temperature=0.01)
    image = -batch.classes[:1].expand(5, -1)
    run = VlGdro(rate=1e6).begin(WHOLE)
    for _ in range(10):
        values = run(image, image[:0], batch)
        assert values["loss"].isfinite() and sum(run.group_weights.values()) == pytest.approx(1)
    back = replace(batch, labels=torch.ones(5, dtype=torch.long))
    for _ in range(12):  # a weight that once was almost nothing comes back
        run(-back.classes[1:2].expand(5, -1), image[:0], back)
    assert sum(q for g, q in run.group_weights.items() if g.startswith("class 1")) > 0.99


def test_runs_do_not_share_weights_and_the_objective_keeps_none() -> None:
    objective, batch = VlGdro(rate=1.0), random_batch()
    image, _ = embedded(batch)
    first = objective.begin(WHOLE)
    one = float(first(image, image[:0], batch)["loss"])
    assert first.group_weights != objective.begin(WHOLE).group_weights
    assert float(objective.begin(WHOLE)(image, image[:0], batch)["loss"]) == one
    assert hash(objective) == hash(VlGdro(rate=1.0)), "plain settings"


def test_a_run_can_be_taken_up_again() -> None:
    batches = [(random_batch(seed), embedded(random_batch(seed), seed)[0]) for seed in range(4)]
    whole, again = VlGdro(rate=1.0).begin(WHOLE), VlGdro(rate=1.0).begin(WHOLE)
    losses = [float(whole(image, image[:0], batch)["loss"]) for batch, image in batches[:2]]
    again.restore(whole.state())
    for batch, image in batches[2:]:
        losses.append(float(whole(image, image[:0], batch)["loss"]))
        assert float(again(image, image[:0], batch)["loss"]) == losses[-1]


def test_a_loss_that_is_not_finite_leaves_the_weights() -> None:
    batch = random_batch()
    image, _ = embedded(batch)
    run = VlGdro(rate=1.0).begin(WHOLE)
    assert not run(image * float("nan"), image[:0], batch)["loss"].isfinite()
    assert list(run.group_weights.values()) == pytest.approx([0.2] * 5)


def test_many_groups_are_not_recorded_one_by_one() -> None:
    for n_classes in (MOST_RECORDED, MOST_RECORDED + 1):
        batch = random_batch(n_classes=n_classes)
        image, _ = embedded(batch)
        start = data(list(range(n_classes)), [False] * n_classes, n_classes)
        values = VlGdro().begin(start)(image, image[:0], batch)
        assert len([name for name in values if name.startswith("q ")]) == (41 if n_classes == MOST_RECORDED else 1)
        assert values["q largest"] > 1 / n_classes


def test_data_without_a_label() -> None:
    batch = replace(random_batch(), labels=torch.full((5,), -1))
    image = embedded(batch)[0].requires_grad_()
    values = VlGdro().begin(data([-1, -1], [True, False]))(image, image[:0], batch)
    values["loss"].backward()
    assert float(values["L_GDRO"].detach()) == values["q largest"] == 0
    assert image.grad is not None and image.grad.isfinite().all()


def test_it_draws_as_upsampling_does_unless_told_not_to() -> None:
    labels, present = np.array([0, 0, 1]), np.array([True, False, False])
    assert np.array_equal(VlGdro().sample_weights(labels, present), Upsampled().sample_weights(labels, present))
    assert VlGdro(upsample=False).sample_weights(labels, present) is None


@pytest.mark.parametrize("name", ["rate", "adjustment"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_settings_out_of_range(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} of 0 or more"):
        VlGdro(**{name: value})
    assert (VlGdro().rate, VlGdro().adjustment) == (0.01, 0.0)
