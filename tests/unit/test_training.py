"""train() changes the image tower step by step, the same way for the same seed, and keeps what is good when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ravl_explore.assignment import assign
from ravl_explore.errors import InputError, ModelError
from ravl_explore.mitigation import prepare
from ravl_explore.models.base import resize
from ravl_explore.objectives import CounterfactualRegions, RegionAware, Standard, Upsampled
from ravl_explore.objectives.base import ImageObjective
from ravl_explore.training import WARMUP_STEPS, History, StepRecord, TrainingSet, TrainingSettings, train

SETTINGS = TrainingSettings(epochs=2, learning_rate=1e-3, batch_size=8, seed=0)


@pytest.fixture
def training_set(model: Any, make_data: Callable[..., Any], find_features: Callable[..., Any]) -> TrainingSet:
    """Twenty pictures whose red quadrants are spurious."""
    data = make_data(20)
    red = next(each for each in find_features(data) if each.cluster == 3)
    return prepare(model, data, assign(model, data, [red]))


@dataclass(frozen=True)
class Spy(ImageObjective):
    """Records what it is given; its loss may be spoiled from some step on."""

    seen: list[Any] = field(default_factory=list)
    spoil: Callable[[int, torch.Tensor], torch.Tensor] = lambda step, loss: loss
    weights: np.ndarray | None = None
    name = "spy"

    def sample_weights(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray | None:
        return self.weights

    def __call__(self, image: torch.Tensor, region: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        self.seen.append((image, region, batch))
        loss = super().__call__(image, region, batch)["loss"]
        return {"loss": self.spoil(len(self.seen), loss), "plain": loss}


def state(model: Any) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.visual.state_dict().items()}


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {key for key in before if not torch.equal(before[key], after[key])}


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_holds_what_belongs_to_its_images(training_set: TrainingSet) -> None:
    data = training_set.data
    images = np.array([7, 2, 7])
    batch = training_set.batch(images, 64, data.image_sizes)
    rows = np.concatenate([np.arange(4 * i, 4 * i + 4) for i in images])
    assert torch.equal(batch.pixels, resize([data.image(int(i)) for i in images], 64))
    assert batch.spurious.tolist() == training_set.spurious[rows].tolist()
    assert batch.core.tolist() == training_set.core[rows].tolist()
    assert batch.labels.tolist() == data.labels[images].tolist()
    assert batch.image_of_region.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert batch.boxes[5].tolist() == [1, 32, 0, 64, 32]
    assert batch.captions.shape == (3, 32) and torch.equal(batch.captions[0], batch.captions[2])


def test_captions_are_embedded_once_each(model: Any, training_set: TrainingSet) -> None:
    assert len(training_set.captions) == 3
    expected = model.embed_text(training_set.data.captions)
    assert torch.allclose(training_set.captions[training_set.caption_index], expected, atol=1e-6)


# --- steps ------------------------------------------------------------------------------------------------------------


def test_steps_are_numbered_and_recorded(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    records = list(train(make_model(), training_set, RegionAware(), SETTINGS))
    assert [(r.step, r.n_steps, r.epoch) for r in records] == [(i + 1, 6, i // 3) for i in range(6)]
    assert all(set(r.terms) == {"loss", "clip", "L_R", "L_A"} for r in records)
    assert all(type(value) is float for r in records for value in r.terms.values())
    assert [r.seconds for r in records] == sorted(r.seconds for r in records)
    assert all(r.validation == {} for r in records)


def test_every_image_is_seen_once_an_epoch_in_a_new_order(
    make_model: Callable[..., Any], training_set: TrainingSet
) -> None:
    spy = Spy()
    list(train(make_model(), training_set, spy, SETTINGS))
    sizes = [len(batch.pixels) for _, _, batch in spy.seen]
    assert sizes == [8, 8, 4, 8, 8, 4]
    whole = resize([training_set.data.image(i) for i in range(20)], 64)
    orders = []
    for epoch in (0, 1):
        pixels = torch.cat([batch.pixels for _, _, batch in spy.seen[3 * epoch : 3 * epoch + 3]])
        orders.append([int((whole == one).flatten(1).all(1).nonzero()) for one in pixels])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(20))
    assert orders[0] != orders[1] and orders[0] != list(range(20))
    assert all(len(region) == 0 for _, region, _ in spy.seen), "no region is embedded for those who do not ask"


def test_sample_weights_decide_what_is_drawn(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    weights = np.zeros(20)
    weights[[4, 5]] = 0.5
    spy = Spy(weights=weights)
    list(train(make_model(), training_set, spy, SETTINGS))
    drawn = torch.cat([batch.labels for _, _, batch in spy.seen])
    assert len(drawn) == 40
    assert set(drawn.tolist()) == {int(training_set.labels[4]), int(training_set.labels[5])}


def test_training_lowers_the_loss(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    settings = TrainingSettings(epochs=10, learning_rate=3e-3, batch_size=20, seed=0)
    losses = [r.terms["clip"] for r in train(make_model(), training_set, RegionAware(), settings)]
    assert losses[-1] < 0.8 * losses[0]


def test_learning_rate_warms_up_then_falls_like_a_cosine(
    make_model: Callable[..., Any], training_set: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def spied(self: Any, *arguments: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", spied)
    settings = TrainingSettings(epochs=15, learning_rate=1e-3, batch_size=10)
    list(train(make_model(), training_set, Standard(), settings))
    expected = [1e-3 * min(1, (i + 1) / WARMUP_STEPS) * (1 + np.cos(np.pi * i / 30)) / 2 for i in range(30)]
    assert rates == pytest.approx(expected)


# --- what moves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [RegionAware(), CounterfactualRegions(), Upsampled(), Standard()])
def test_only_the_image_towers_weights_move(
    make_model: Callable[..., Any], training_set: TrainingSet, objective: Any
) -> None:
    own = make_model()
    before = {key: value.clone() for key, value in own.state_dict.items()}
    list(train(own, training_set, objective, SETTINGS))
    changed = moved(before, own.state_dict)
    statistics = {key for key in before if "running_" in key or "num_batches" in key}
    visual = {key for key in before if key.startswith("visual.")}
    assert changed <= visual - statistics, "neither the text tower nor BatchNorm's statistics"
    assert {"visual.conv1.weight", "visual.layer4.0.conv3.weight", "visual.attnpool.c_proj.weight"} <= changed
    assert not own.visual.training
    assert all(parameter.grad is None for parameter in own._clip.parameters())


def test_statistics_move_when_not_frozen(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    own = make_model()
    before = state(own)
    list(train(own, training_set, Standard(), TrainingSettings(1, 1e-3, 20, freeze_batch_norm=False)))
    assert "bn1.running_mean" in moved(before, state(own))


def test_frozen_statistics_are_used_in_every_step(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    own = make_model()
    modes = []

    def note(module: nn.Module, *_: Any) -> None:
        modes.append(module.training)

    for module in own.visual.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(note)
    list(train(own, training_set, Standard(), TrainingSettings(2, 1e-3, 20), validate=dict))
    assert modes and not any(modes)


# --- the same again ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [RegionAware(), CounterfactualRegions(), Upsampled()])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(
    make_model: Callable[..., Any], training_set: TrainingSet, objective: Any
) -> None:
    ends = []
    for round_, seed in enumerate((0, 0, 1)):
        own = make_model()
        torch.manual_seed(round_)
        np.random.seed(round_)
        records = list(train(own, training_set, objective, TrainingSettings(1, 1e-3, 8, seed)))
        ends.append((state(own), [r.terms for r in records]))
    assert moved(ends[0][0], ends[1][0]) == set() and ends[0][1] == ends[1][1]
    assert moved(ends[0][0], ends[2][0])


def test_the_callers_randomness_is_left_alone(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    own = make_model()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(train(own, training_set, CounterfactualRegions(), TrainingSettings(1, 1e-3, 8)))
    assert torch.equal(torch.rand(3), expected)


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_closing_keeps_what_was_learned(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    stopped, whole = make_model(), make_model()
    start = state(stopped)
    steps: Iterator[StepRecord] = train(stopped, training_set, RegionAware(), SETTINGS)
    for _ in range(2):
        next(steps)
    steps.close()  # type: ignore[attr-defined]
    for record in train(whole, training_set, RegionAware(), SETTINGS):
        if record.step == 2:
            break
    assert moved(start, state(stopped))
    assert moved(state(stopped), state(whole)) == set()
    assert not stopped.visual.training and all(p.grad is None for p in stopped.visual.parameters())
    assert list(steps) == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_weights_move(
    make_model: Callable[..., Any], training_set: TrainingSet, bad: float
) -> None:
    own, good = make_model(), make_model()
    spoiled = Spy(spoil=lambda step, loss: loss * bad if step == 3 else loss)
    records = []
    with pytest.raises(ModelError, match=rf"a finite loss, got -?{bad} at step 3"):
        for record in train(own, training_set, spoiled, SETTINGS):
            records.append(record)
    for record in train(good, training_set, Spy(), SETTINGS):
        if record.step == 2:
            break
    assert len(records) == 2 and moved(state(own), state(good)) == set()
    assert not own.visual.training and all(p.grad is None for p in own.visual.parameters())


def test_a_gradient_that_is_not_finite_stops_before_the_weights_move(
    make_model: Callable[..., Any], training_set: TrainingSet
) -> None:
    """The root of zero is zero, its slope is infinite: one such step would turn every weight into NaN."""
    own = make_model()
    spoiled = Spy(spoil=lambda step, loss: loss + (loss * 0).sqrt() if step == 2 else loss)
    steps = train(own, training_set, spoiled, SETTINGS)
    next(steps)
    after_one = state(own)
    with pytest.raises(ModelError, match="a finite gradient, got nan at step 2"):
        next(steps)
    assert moved(after_one, state(own)) == set()


# --- validation and history -------------------------------------------------------------------------------------------


def test_validation_runs_four_times_an_epoch_and_at_the_end(
    make_model: Callable[..., Any], training_set: TrainingSet
) -> None:
    own = make_model()
    modes = []

    def validate() -> dict[str, float]:
        modes.append(own.visual.training)
        return {"accuracy": float(len(modes))}

    settings = TrainingSettings(1, 1e-3, 2)
    records = list(train(own, training_set, Spy(), settings, validate))
    assert [r.step for r in records if r.validation] == [2, 4, 6, 8, 10]
    assert [r.validation["accuracy"] for r in records if r.validation] == [1, 2, 3, 4, 5]
    assert not any(modes), "in evaluation mode"
    records = list(train(own, training_set, Spy(), settings, validate, validate_every=7))
    assert [r.step for r in records if r.validation] == [7, 10]


def test_history_is_a_table() -> None:
    history = History(
        (
            StepRecord(1, 2, 0, {"loss": 2.0, "clip": 1.0}, 0.1),
            StepRecord(2, 2, 0, {"loss": 1.0, "clip": 0.5}, 0.2, {"accuracy": 0.75}),
        )
    )
    frame = history.frame()
    assert list(frame.columns) == ["step", "epoch", "seconds", "loss", "clip", "accuracy"]
    assert frame["loss"].tolist() == [2.0, 1.0] and np.isnan(frame["accuracy"][0]) and frame["accuracy"][1] == 0.75
    assert len(History().frame()) == 0


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 0}, "epochs a whole number from 1 up, got 0"),
        ({"epochs": 1.5}, "epochs a whole number"),
        ({"batch_size": 1}, "batch_size a whole number from 2 up, got 1"),
        ({"learning_rate": 0}, "learning_rate between 0 and 1"),
        ({"learning_rate": 1}, "learning_rate between 0 and 1"),
        ({"learning_rate": float("nan")}, "learning_rate between 0 and 1"),
    ],
)
def test_settings_out_of_range(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        TrainingSettings(**changes)
