"""train(): fine-tune the image tower step by step; whoever iterates decides when to pause and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.embedding import batch_boxes, region_rows
from ravl_explore.errors import InputError, ModelError
from ravl_explore.models.base import VisionLanguageModel, class_embeddings, resize
from ravl_explore.objectives.base import Batch, Objective, Start
from ravl_explore.objectives.training_free import Steered, TrainingFree
from ravl_explore.regions.base import Regions

WARMUP_STEPS = 20  # measured on the demo: without warm-up the first steps at 5e-4 overshoot
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to train; ``freeze_batch_norm`` keeps the running statistics of BatchNorm as they are."""

    epochs: int = 3
    learning_rate: float = 5e-4
    batch_size: int = 128
    seed: int = 0
    freeze_batch_norm: bool = True

    def __post_init__(self) -> None:
        for name, smallest in (("epochs", 1), ("batch_size", 2)):
            value = getattr(self, name)
            if int(value) != value or value < smallest:
                raise InputError(f"{name} a whole number from {smallest} up", f"{value}", f"Try {name}={smallest}.")
        if not 0 < self.learning_rate < 1:
            raise InputError(
                "learning_rate between 0 and 1", f"{self.learning_rate}", "Try 5e-4, or 5e-6 for a large model."
            )


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """A dataset made ready for fine-tuning: what its regions show was decided before.

    Attributes
    ----------
    data, regions : images and their boxes
    spurious, core : (n_regions,) bool
    present : (n_images,) bool
    labels : (n_images,) int64, -1 for images whose caption names no class
    captions : (n_unique, dim) embeddings of the distinct captions; caption_index : (n_images,) which one an image has
    classes : (n_classes, dim)
    temperature : what similarities are divided by
    """

    data: ImageTextDataset
    regions: Regions
    spurious: Bool[np.ndarray, " n_regions"]
    core: Bool[np.ndarray, " n_regions"]
    present: Bool[np.ndarray, " n_images"]
    labels: Int[np.ndarray, " n_images"]
    captions: Float[Tensor, "n_unique dim"]
    caption_index: Int[np.ndarray, " n_images"]
    classes: Float[Tensor, "n_classes dim"]
    temperature: float

    def batch(self, images: Int[np.ndarray, " b"], size: int, image_sizes: np.ndarray) -> Batch:
        """The step's images, squashed to the model's input ``size``, with their regions."""
        rows = np.concatenate(region_rows(self.regions, images))
        return Batch(
            pixels=resize([self.data.image(int(i)) for i in images], size),
            boxes=batch_boxes(self.regions, image_sizes, images, size),
            spurious=torch.from_numpy(self.spurious[rows]),
            core=torch.from_numpy(self.core[rows]),
            labels=torch.from_numpy(self.labels[images]),
            captions=self.captions[self.caption_index[images]],
            classes=self.classes,
            temperature=self.temperature,
        )


@dataclass(frozen=True)
class StepRecord:
    """One step as plain data.

    Attributes
    ----------
    terms : of the loss, which curves show
    validation : values, where they were measured
    details : what else the objective says of the step, such as group weights
    """

    step: int
    n_steps: int
    epoch: int
    terms: dict[str, float]
    seconds: float
    validation: dict[str, float] = field(default_factory=dict)
    details: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """All steps so far."""

    records: tuple[StepRecord, ...] = ()

    def frame(self) -> pd.DataFrame:
        """One row a step: step, epoch, seconds, terms, details, and validation values (NaN where not measured)."""
        rows = [
            {"step": r.step, "epoch": r.epoch, "seconds": r.seconds, **r.terms, **r.details, **r.validation}
            for r in self.records
        ]
        return pd.DataFrame(rows)


def train(
    model: VisionLanguageModel,
    training_set: TrainingSet,
    objective: Objective,
    settings: TrainingSettings,
    validate: Callable[[], dict[str, float]] | None = None,
    validate_every: int | None = None,
) -> Iterator[StepRecord]:
    """Change ``model.visual`` in place, one optimiser step per record: AdamW, cosine schedule with 20 warm-up steps.

    Close the iterator to stop: the model keeps what it has learned so far. ``validate`` runs every
    ``validate_every`` steps (four times an epoch unless given) and at the end.

    Raises
    ------
    ModelError
        When the loss or its gradient is not finite; the weights are those before the bad step.
    """
    n_images = len(training_set.data)
    steps_per_epoch = max(1, math.ceil(n_images / settings.batch_size))
    n_steps = settings.epochs * steps_per_epoch
    every = validate_every or max(1, steps_per_epoch // 4)
    rng = np.random.default_rng(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    weights = objective.sample_weights(training_set.labels, training_set.present)
    objective = objective.begin(_start(model, training_set, settings))
    optimizer, schedule = _optimizer(model.visual, settings.learning_rate, n_steps)
    image_sizes = training_set.data.image_sizes
    started = time.monotonic()
    step = 0
    try:
        for epoch in range(settings.epochs):
            order = rng.permutation(n_images) if weights is None else rng.choice(n_images, n_images, p=weights)
            for start in range(0, n_images, settings.batch_size):
                batch = training_set.batch(order[start : start + settings.batch_size], model.image_size, image_sizes)
                terms, details = _step(model, objective.edit(batch, generator), objective, optimizer, step, settings)
                schedule.step()
                step += 1
                measured = {}
                if validate is not None and (step % every == 0 or step == n_steps):
                    model.visual.eval()
                    measured = validate()
                yield StepRecord(step, n_steps, epoch, terms, time.monotonic() - started, measured, details)
    finally:
        model.visual.eval()
        model.visual.zero_grad(set_to_none=True)


def steer(
    model: Steered,
    training_set: TrainingSet,
    objective: TrainingFree,
    settings: TrainingSettings,
    validate: Callable[[], dict[str, float]] | None = None,
) -> Iterator[StepRecord]:
    """Fit the steering of ``model`` in place, as one record; of ``settings`` only the batch size matters."""
    started = time.monotonic()
    model.steering = None
    try:
        model.steering = objective.fit(_start(model, training_set, settings))
        measured = {} if validate is None else validate()
    finally:
        model.visual.eval()
    shifts = model.steering.shifts
    details = {} if shifts is None else {"shift without": shifts[0], "shift with": shifts[1]}
    yield StepRecord(1, 1, 0, {}, time.monotonic() - started, measured, details)


def _start(model: VisionLanguageModel, training_set: TrainingSet, settings: TrainingSettings) -> Start:
    """What the objective may look at before the first step; nothing is computed unless it does."""
    data = training_set.data

    def embedded(images: np.ndarray, regions: bool) -> Iterator[tuple[Tensor, Tensor, Batch]]:
        model.visual.eval()
        for first in range(0, len(images), settings.batch_size):
            chosen = images[first : first + settings.batch_size]
            batch = _to(training_set.batch(chosen, model.image_size, data.image_sizes), model.device)
            with torch.no_grad():
                image, region = model.encode(batch.pixels, batch.boxes if regions else None)
            yield image, region, batch

    def embed_prompts(names: Sequence[str]) -> Tensor:
        with torch.no_grad():
            return class_embeddings(model, names, data.templates)

    return Start(training_set.labels, training_set.present, data.class_names, embedded, embed_prompts)


def _step(
    model: VisionLanguageModel,
    batch: Batch,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    step: int,
    settings: TrainingSettings,
) -> tuple[dict[str, float], dict[str, float]]:
    """(terms, details) of one optimiser step."""
    model.visual.train()
    if settings.freeze_batch_norm:
        for module in model.visual.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    batch = _to(batch, model.device)
    image, region = model.encode(batch.pixels, batch.boxes if objective.uses_regions else None)
    values = objective(image, region, batch)
    terms = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    if not torch.isfinite(terms["loss"]):
        raise ModelError(
            "a finite loss",
            f"{float(terms['loss'].detach())} at step {step + 1}",
            "Lower the learning rate; the last good weights are kept.",
        )
    optimizer.zero_grad(set_to_none=True)
    terms["loss"].backward()
    norm = nn.utils.clip_grad_norm_(model.visual.parameters(), MAX_GRADIENT_NORM)
    if not torch.isfinite(norm):
        raise ModelError(
            "a finite gradient",
            f"{float(norm)} at step {step + 1}",
            "Lower the learning rate; the last good weights are kept.",
        )
    optimizer.step()
    details = {name: float(value) for name, value in values.items() if name not in terms}
    return {name: float(value.detach()) for name, value in terms.items()}, details


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    moved = {name: value.to(device) for name, value in vars(batch).items() if isinstance(value, Tensor)}
    return replace(batch, **moved)


def _optimizer(
    visual: nn.Module, learning_rate: float, n_steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    optimizer = torch.optim.AdamW(visual.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY)

    def scale(step: int) -> float:
        warm = min(1.0, (step + 1) / WARMUP_STEPS)
        return warm * 0.5 * (1 + math.cos(math.pi * step / n_steps))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, scale)
