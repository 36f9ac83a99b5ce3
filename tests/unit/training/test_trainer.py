"""train() changes the image tower step by step, the same way for the same seed, and keeps what is good when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ravl_explore import models
from ravl_explore.errors import InputError, ModelError, TrainingError
from ravl_explore.mitigation import prepare
from ravl_explore.models.base import resize
from ravl_explore.models.clip_model import ClipModel
from ravl_explore.objectives import CounterfactualRegions, RegionAware, Standard, Upsampled
from ravl_explore.objectives.image_objective import ImageObjective
from ravl_explore.training import WARMUP_STEPS, History, StepRecord, TrainingSet, TrainingSettings, train
from ravl_explore.training.batches import evenly, nearest
from ravl_explore.training.forward import encode

SETTINGS = TrainingSettings(epochs=2, learning_rate=1e-3, batch_size=8, seed=0)


@pytest.fixture
def training_set(
    model: Any, make_data: Callable[..., Any], find_feature: Callable[..., Any], mark: Callable[..., Any]
) -> TrainingSet:
    """Twenty pictures whose red quadrants are spurious."""
    data = make_data(20)
    return prepare(model, data, mark(data, find_feature(data, 3)))


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
    assert training_set.assignment.part is not None and training_set.assignment.similarity is not None
    for name in ("spurious", "core", "part", "similarity"):
        assert getattr(batch, name).tolist() == getattr(training_set.assignment, name)[rows].tolist(), name
    assert batch.labels.tolist() == data.labels[images].tolist()
    assert batch.image_of_region.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert batch.boxes[5].tolist() == [1, 32, 0, 64, 32]
    assert batch.captions.shape == (3, 32) and torch.equal(batch.captions[0], batch.captions[2])


def test_captions_are_embedded_once_each(model: Any, training_set: TrainingSet) -> None:
    assert len(training_set.captions) == 3
    expected = model.embed_text(training_set.data.captions)
    assert torch.allclose(training_set.captions[training_set.caption_index], expected, atol=1e-6)


def test_labels_are_the_assignments_where_it_has_some(training_set: TrainingSet) -> None:
    assert training_set.labels is training_set.data.labels
    own = np.arange(20) % 4 - 1
    told = replace(training_set, assignment=replace(training_set.assignment, labels=own, part=None, similarity=None))
    batch = told.batch(np.array([4, 3, 1]), 64, told.data.image_sizes)
    assert told.labels is own and batch.labels.tolist() == [-1, 2, 0]
    assert batch.part is None and batch.similarity is None


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
    assert sizes == [6, 7, 7, 6, 7, 7], "batches of at most 8, none much smaller than the others"
    whole = resize([training_set.data.image(i) for i in range(20)], 64)
    orders = []
    for epoch in (0, 1):
        pixels = torch.cat([batch.pixels for _, _, batch in spy.seen[3 * epoch : 3 * epoch + 3]])
        orders.append([int((whole == one).flatten(1).all(1).nonzero()) for one in pixels])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(20))
    assert orders[0] != orders[1] and orders[0] != list(range(20))
    assert all(len(region) == 0 for _, region, _ in spy.seen), "no region is embedded for those who do not ask"


@pytest.mark.parametrize(("n", "most"), [(5000, 128), (1, 8), (8, 8), (9, 8), (129, 128), (10, 3)])
def test_batches_are_as_few_as_can_be_and_of_one_size(n: int, most: int) -> None:
    pieces = list(evenly(n, most))
    sizes = [piece.stop - piece.start for piece in pieces]
    assert len(pieces) == -(-n // most) and max(sizes) <= most and max(sizes) - min(sizes) <= 1
    assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(n))


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


# --- early stopping ---------------------------------------------------------------------------------------------------


def in_turn(values: list[float], name: str = "accuracy") -> Callable[[], dict[str, float]]:
    """Validation that gives these values, one after the other, and the last from then on."""
    left = list(values)
    return lambda: {name: left.pop(0) if len(left) > 1 else left[0]}


def test_patience_stops_and_gives_back_the_best_weights(
    make_model: Callable[..., Any], training_set: TrainingSet
) -> None:
    settings = replace(SETTINGS, epochs=10, patience=3, monitor="accuracy")
    own, best = make_model(), make_model()
    steps = train(own, training_set, Standard(), settings, in_turn([0.2, 0.5, 0.4, 0.5, 0.3, 0.9]))
    records = list(steps)
    assert [r.step for r in records] == [1, 2, 3, 4, 5], "an equal value is not better"
    assert steps.complete and steps.history.best_step == 2
    for record in train(best, training_set, Standard(), replace(settings, patience=None)):
        if record.step == 2:
            break
    assert moved(state(own), state(best)) == set()


def test_the_last_record_comes_with_the_best_weights(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    """Whoever leaves the loop at the last step has them, too."""
    own, best = make_model(), make_model()
    settings = replace(SETTINGS, epochs=1, patience=9)
    steps = train(own, training_set, Standard(), settings, in_turn([0.5, 0.2], "worst_group"))
    for record in steps:
        if record.step == record.n_steps:
            break
    next(iter(train(best, training_set, Standard(), settings, in_turn([0.0], "worst_group"))))
    assert steps.history.best_step == 1 and moved(state(own), state(best)) == set()


def test_stopping_by_hand_gives_the_best_weights_too(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    settings = replace(SETTINGS, patience=9, monitor="accuracy")
    steps = train(make_model(), training_set, Standard(), settings, in_turn([0.1, 0.9, 0.2]))
    for _ in range(3):
        next(steps)
    assert steps.history.best_step is None
    steps.close()
    assert steps.history.best_step == 2 and not steps.complete


def test_without_patience_the_last_weights_stay(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    steps = train(make_model(), training_set, Standard(), SETTINGS, in_turn([0.9, 0.1]))
    assert len(list(steps)) == 6 and steps.history.best_step is None


def test_patience_needs_something_to_go_by(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    settings = replace(SETTINGS, patience=1)
    with pytest.raises(InputError, match="validation images with patience, got none"):
        train(make_model(), training_set, Standard(), settings)
    with pytest.raises(InputError, match="a worst_group of the validation images to go by, got none"):
        list(train(make_model(), training_set, Standard(), settings, in_turn([float("nan")], "worst_group")))


# --- accumulation, chunks, precision ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class PerImage(ImageObjective):
    """A mean over images that do not see each other: then two halves are as good as the whole."""

    uses_regions: bool = False
    name = "per image"

    def __call__(self, image: torch.Tensor, region: torch.Tensor, batch: Any) -> dict[str, Any]:
        own = (image * batch.captions).sum(1)
        if self.uses_regions:
            own = own + region.unflatten(0, (len(image), -1))[..., 0].mean(1)
        return {"loss": own.mean(), "images": float(len(image))}


def gradient(model: Any, training_set: TrainingSet, objective: Any, settings: TrainingSettings) -> Any:
    """(gradient of the first step, before it is clipped, its record)."""
    found = {}

    def kept(self: Any, *_: Any, **__: Any) -> None:
        found.update({name: p.grad.clone() for name, p in model.visual.named_parameters()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ravl_explore.training.optimiser.MAX_GRADIENT_NORM", float("inf"))
        patch.setattr(torch.optim.AdamW, "step", kept)
        steps = train(model, training_set, objective, settings)
        record = next(steps)
        steps.close()
    return found, record


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], share: float) -> bool:
    scale = max(float(each.norm()) for each in one.values())
    return all(float((one[name] - other[name]).norm()) <= share * scale for name in one)


def test_accumulated_batches_give_the_mean_gradient(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    whole, record = gradient(make_model(), training_set, PerImage(), TrainingSettings(batch_size=20))
    parts, in_parts = gradient(make_model(), training_set, PerImage(), TrainingSettings(batch_size=7, accumulate=3))
    assert close(whole, parts, 1e-5)
    assert in_parts.n_steps == record.n_steps == 3
    assert in_parts.terms["loss"] == pytest.approx(record.terms["loss"], rel=1e-5)
    assert in_parts.details["images"] == pytest.approx((6 * 6 + 2 * 7 * 7) / 20), "weighted by images"
    steps = train(make_model(), training_set, Standard(), TrainingSettings(2, 1e-3, 4, accumulate=2))
    assert [(r.step, r.epoch) for r in steps] == [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (6, 1)]


@pytest.mark.parametrize("chunk", [1, 3, 11, 1000])
@pytest.mark.parametrize("objective", [RegionAware(), PerImage(uses_regions=True)])
def test_regions_in_chunks_give_the_same_gradient(
    make_model: Callable[..., Any], training_set: TrainingSet, chunk: int, objective: Any
) -> None:
    whole, record = gradient(make_model(), training_set, objective, TrainingSettings(batch_size=6))
    parts, in_parts = gradient(
        make_model(), training_set, objective, TrainingSettings(batch_size=6, region_chunk=chunk)
    )
    assert close(whole, parts, 1e-5)
    assert in_parts.terms == pytest.approx(record.terms, rel=1e-4)


def test_chunks_hold_no_more_regions_than_asked(model: Any, training_set: TrainingSet) -> None:
    sizes: list[tuple[int, int]] = []

    class Counted:
        def encode(self, pixels: Any, boxes: Any) -> Any:
            sizes.append((len(pixels), len(boxes)))
            return model.encode(pixels, boxes)

    batch = training_set.batch(np.arange(5), 64, training_set.data.image_sizes)
    order = torch.tensor([7, 2, 19, 0, 4, 5, 8, 13])  # not in the images' order; images 3 has one, 4 one, 0 two, ...
    boxes = batch.boxes[order]
    with torch.no_grad():
        expected = model.encode(batch.pixels, boxes)
        for chunk, counts in ((5, [(1, 2), (2, 4), (2, 2)]), (2, [(1, 2), (1, 2), (1, 1), (1, 1), (1, 1), (1, 1)])):
            sizes.clear()
            found = encode(Counted(), batch, boxes, chunk)  # type: ignore[arg-type]
            assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, expected, strict=True))
            assert sum(n for _, n in sizes) == 8 and all(n <= chunk for _, n in sizes), (sizes, counts)
        assert len(encode(Counted(), batch, boxes[:0], 4)[1]) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("chunk", [None, 3])
def test_images_are_mixed_in_the_feature_map(model: Any, training_set: TrainingSet, chunk: int | None) -> None:
    batch = training_set.batch(np.arange(5), 64, training_set.data.image_sizes)
    others, share = batch.pixels.flip(0), torch.zeros(5, 64, 64)
    share[1], share[2, :, :32], share[3] = 1, 1, 0.5
    mixed = replace(batch, pixels=others, before=batch.pixels, share=share)
    with torch.no_grad():
        image, region = encode(model, mixed, batch.boxes, chunk)
        maps = [model._encoder._map(model._normalised(each)) for each in (batch.pixels, others)]
        cells = share[:, 8::16, 8::16]  # each cell of the map is 16 pixels wide
        features = maps[0] + cells[:, None] * (maps[1] - maps[0])
        own, other = (model.encode(each, batch.boxes) for each in (batch.pixels, others))
        expected = model._encoder._embed(features, batch.pixels, batch.boxes)
    for found, wanted, by_hand in ((image, own[0], expected[0]), (region, own[1], expected[1])):
        assert torch.allclose(found, torch.nn.functional.normalize(by_hand, dim=1), atol=1e-5)
        assert not torch.allclose(found, wanted, atol=1e-2)
    assert torch.allclose(image[0], own[0][0], atol=1e-5) and torch.allclose(image[1], other[0][1], atol=1e-5)


def test_a_model_that_cannot_mix_is_named(training_set: TrainingSet) -> None:
    batch = training_set.batch(np.arange(2), 64, training_set.data.image_sizes)
    mixed = replace(batch, before=batch.pixels, share=torch.ones(2, 64, 64))
    vit = models.Demo("vit-spurious")
    with pytest.raises(ModelError, match=r'(?s)ResNet CLIP with region_method="roi".*feather'):
        encode(vit, mixed, None, None)

    class Plain:
        name = "plain"

    with pytest.raises(ModelError, match="which has no blend"):
        encode(Plain(), mixed, None, None)  # type: ignore[arg-type]


def test_bfloat16_on_a_cpu(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    settings = TrainingSettings(epochs=4, learning_rate=3e-3, batch_size=20, precision="bfloat16")
    own = make_model()
    losses = [r.terms["clip"] for r in train(own, training_set, RegionAware(), settings)]
    assert losses[-1] < losses[0] and np.isfinite(losses).all()
    assert all(each.dtype == torch.float32 for each in own.visual.parameters())
    exact = [
        r.terms["clip"]
        for r in train(make_model(), training_set, RegionAware(), replace(settings, precision="float32"))
    ]
    assert losses[0] == pytest.approx(exact[0], rel=0.02) and losses[0] != exact[0]


def test_float16_on_a_cpu_is_refused(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    with pytest.raises(InputError, match="precision float32 or bfloat16 on a CPU, got float16"):
        train(make_model(), training_set, Standard(), TrainingSettings(precision="float16"))


def test_statistics_that_moved_in_a_bad_step_move_back(
    make_model: Callable[..., Any], training_set: TrainingSet
) -> None:
    own = make_model()
    spoiled = Spy(spoil=lambda step, loss: loss * float("nan") if step == 2 else loss)
    steps = train(own, training_set, spoiled, replace(SETTINGS, freeze_batch_norm=False))
    next(steps)
    after_one = state(own)
    with pytest.raises(TrainingError, match="at step 2"):
        next(steps)
    assert moved(after_one, state(own)) == set()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (TrainingSettings(schedule="constant", warmup_steps=0), [1, 1, 1, 1]),
        (TrainingSettings(schedule="linear", warmup_steps=0), [1, 0.75, 0.5, 0.25]),
        (TrainingSettings(schedule="cosine", warmup_steps=0), [1, 0.853553, 0.5, 0.146447]),
        (TrainingSettings(schedule="constant", warmup_steps=4), [0.25, 0.5, 0.75, 1]),
    ],
)
def test_schedules(settings: TrainingSettings, expected: list[float]) -> None:
    assert [settings.scale(step, 4) for step in range(4)] == pytest.approx(expected, abs=1e-6)


# --- concept masks and relevance --------------------------------------------------------------------------------------


class Masks:
    """The upper half is promoted; of every third image the lowest row is suppressed."""

    name, notes = "halves", ()

    def __len__(self) -> int:
        return 20

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        promote, suppress = np.zeros((32, 32), bool), np.zeros((32, 32), bool)
        promote[:16] = True
        suppress[-1] = index % 3 == 0
        return promote, suppress

    def fingerprint(self) -> str:
        return "halves"


@dataclass(frozen=True)
class Looking(Spy):
    uses_relevance = True
    name = "looking"


class Traced(ClipModel):
    """A model that can be traced: relevance is the red channel, for every target."""

    def __init__(self, model: Any) -> None:
        vars(self).update(vars(model))

    def trace(self, pixels: torch.Tensor) -> Any:
        return self.encode(pixels, None)[0], lambda target, create_graph: pixels[:, 0]


def test_masks_and_relevance_are_in_the_batch(make_model: Callable[..., Any], training_set: TrainingSet) -> None:
    spy = Looking()
    list(train(Traced(make_model()), replace(training_set, concepts=Masks()), spy, replace(SETTINGS, epochs=1)))
    for image, region, batch in spy.seen:
        assert len(region) == 0 and image.requires_grad
        assert batch.promote.shape == batch.suppress.shape == (len(image), 64, 64) and batch.promote.dtype == torch.bool
        assert batch.promote[:, :32].all() and not batch.promote[:, 32:].any()
        assert batch.suppress.sum((1, 2)).unique().tolist() in ([0, 128], [0], [128]), "two rows of 64"
        assert torch.equal(batch.relevance(image[:, 0], False), batch.pixels[:, 0])


def test_relevance_needs_masks_and_a_model_that_can_tell(
    make_model: Callable[..., Any], training_set: TrainingSet
) -> None:
    own = make_model()
    with pytest.raises(InputError, match="concept masks for 'looking', got none"):
        next(train(Traced(own), training_set, Looking(), SETTINGS))

    class Mute(Traced):
        trace = None  # type: ignore[assignment]

    with pytest.raises(
        ModelError, match=r"a model that can trace what its embeddings are from, got 'random 0' \(Mute\)"
    ):
        next(train(Mute(own), replace(training_set, concepts=Masks()), Looking(), SETTINGS))


def test_masks_are_resized_to_the_nearest() -> None:
    mask = np.random.default_rng(0).random((7, 12)) < 0.5
    found = nearest(mask, 5)
    for row in range(5):
        for column in range(5):
            assert found[row, column] == mask[int((row + 0.5) * 7 / 5), int((column + 0.5) * 12 / 5)]
    assert np.array_equal(nearest(mask[:, :7], 7), mask[:, :7])
    assert np.array_equal(nearest(mask[:, :7], 14)[::2, ::2], mask[:, :7])


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 5000, 2**22])
def test_images_are_squashed_a_few_at_a_time(
    training_set: TrainingSet, make_data: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """The same pixels, also of images of different sizes; no more is held than asked for."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (h, w, 3), dtype=np.uint8) for h, w in ((90, 70), (40, 60), (40, 60), (64, 64)) * 5]
    data = make_data(20, images=images)
    monkeypatch.setattr("ravl_explore.training.batches.PIXELS_AT_ONCE", at_once)
    held: list[int] = []

    def spied(some: Any, size: int) -> Any:
        held.append(sum(each.shape[0] * each.shape[1] for each in some))
        return resize(some, size)

    monkeypatch.setattr("ravl_explore.training.batches.resize", spied)
    chosen = np.array([3, 1, 2, 0, 0, 9])
    pixels = replace(training_set, data=data).batch(chosen, 64, data.image_sizes).pixels
    assert torch.equal(pixels, resize([images[i] for i in chosen], 64))
    assert max(held) <= max(at_once, 90 * 70) and sum(held) == sum(
        images[i].shape[0] * images[i].shape[1] for i in chosen
    )


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
        ({"seed": -1}, "seed a whole number from 0 up"),
        ({"schedule": "step"}, "schedule cosine or linear or constant, got 'step'"),
        ({"warmup_steps": -1}, "warmup_steps a whole number from 0 up"),
        ({"weight_decay": 1}, "weight_decay from 0 to below 1"),
        ({"accumulate": 0}, "accumulate a whole number from 1 up"),
        ({"precision": "half"}, "precision float32 or bfloat16 or float16, got 'half'"),
        ({"region_chunk": 0}, "region_chunk a whole number from 1 up"),
        ({"region_chunk": 8, "freeze_batch_norm": False}, "freeze_batch_norm=True with region_chunk"),
        ({"patience": 0}, "patience a whole number from 1 up"),
        ({"patience": float("inf")}, "patience a whole number"),
        ({"monitor": "loss"}, "monitor worst_group or accuracy, got 'loss'"),
    ],
)
def test_settings_out_of_range(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        TrainingSettings(**changes)
