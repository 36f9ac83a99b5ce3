"""train(): fine-tune the image tower step by step; whoever iterates decides when to pause and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ravl_explore.errors import InputError, TrainingError
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.objectives.base import Objective, restore_state, state_of
from ravl_explore.training.batches import TrainingSet, evenly
from ravl_explore.training.checkpoint import (
    Checkpoint,
    check_progress,
    check_shapes,
    optimizer_tensors,
    restore_optimizer,
    restore_weights,
    told_as_damage,
)
from ravl_explore.training.folder import RunFolder
from ravl_explore.training.forward import forward
from ravl_explore.training.history import StepRecord, Steps
from ravl_explore.training.settings import TrainingSettings
from ravl_explore.training.start import start, to_device

MAX_GRADIENT_NORM = 1.0
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Validate = Callable[[], dict[str, float]]


def train(
    model: VisionLanguageModel,
    training_set: TrainingSet,
    objective: Objective,
    settings: TrainingSettings,
    validate: Validate | None = None,
    validate_every: int | None = None,
    folder: RunFolder | None = None,
) -> Steps:
    """Change ``model.visual`` in place with AdamW, one optimiser step per record.

    Close the iterator to stop: the model keeps what it has learned so far. ``validate`` runs every
    ``validate_every`` steps (four times an epoch unless given) and at the end. With ``settings.patience`` the model has
    its best validated weights once training has ended, however it ended. With ``folder`` it goes on from the
    checkpoint there, if there is one, and the next steps are those of a run that was never interrupted: the same bits
    on a CPU.

    Raises
    ------
    InputError
        When the precision does not fit the model's device, or ``patience`` has nothing to go by.
    TrainingError
        While iterating, when the loss or its gradient is not finite; the weights are those before the bad step.
    """
    return Trainer(model, training_set, objective, settings, validate, validate_every, folder)


@dataclass(frozen=True, eq=False)
class Rest:
    """What changes from step to step beside weights, optimiser and records, as it was after a whole step."""

    step: int
    order: np.ndarray
    shuffling: Mapping[str, Any]
    drawing: Tensor
    objective: dict[str, Tensor]
    scaler: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Best:
    """The weights that did best in validation."""

    step: int
    value: float
    weights: dict[str, Tensor]


class Trainer(Steps):
    """The steps of :func:`train`."""

    def __init__(
        self,
        model: VisionLanguageModel,
        training_set: TrainingSet,
        objective: Objective,
        settings: TrainingSettings,
        validate: Validate | None,
        validate_every: int | None,
        folder: RunFolder | None,
    ) -> None:
        super().__init__()
        if settings.precision == "float16" and model.device.type == "cpu":
            raise InputError("precision float32 or bfloat16 on a CPU", "float16", "Use a GPU for float16.")
        if settings.patience is not None and validate is None:
            raise InputError(
                "validation images with patience", "none", "Give mitigate(validation=...), or no patience."
            )
        self._model, self._set, self._settings, self._folder = model, training_set, settings, folder
        self._objective, self._validate = objective, validate
        self._pieces = list(evenly(len(training_set.data), settings.batch_size * settings.accumulate))
        self._n_steps = settings.epochs * len(self._pieces)
        self._every = validate_every or max(1, len(self._pieces) // 4)
        self._image_sizes = training_set.data.image_sizes
        self._weights = objective.sample_weights(training_set.labels, training_set.assignment.present)
        self._shuffling = np.random.default_rng(settings.seed)
        self._drawing = torch.Generator().manual_seed(settings.seed)
        self._order = np.zeros(0, np.int64)
        self._scaler = torch.amp.GradScaler(model.device.type, enabled=settings.precision == "float16")
        self._best: Best | None = None
        self._waited = 0
        self._step, self._saved_step = 0, 0
        self._rest: Rest | None = None
        self._whole, self._finished = True, False

    def close(self) -> None:
        super().close()
        self._finish()  # also when it was never begun

    def _go(self) -> Iterator[StepRecord]:
        try:
            self._begin()
            while not self.complete:
                yield self._advance()
        finally:
            self._finish()

    def _begin(self) -> None:
        stored = None if self._folder is None else self._folder.read()
        # begun with the weights of the very start, whatever comes from the checkpoint then
        self._objective = self._objective.begin(start(self._model, self._set, self._settings.batch_size))
        self._optimizer = torch.optim.AdamW(
            self._model.visual.parameters(), lr=self._settings.learning_rate, weight_decay=self._settings.weight_decay
        )
        if stored is not None and self._folder is not None:
            with told_as_damage(self._folder.checkpoint):
                self._restore(stored, str(self._folder.path))
        earlier = self.records[-1].seconds if self.records else 0.0
        self._started = time.monotonic() - earlier
        self._remember()

    def _advance(self) -> StepRecord:
        """One optimiser step with what belongs to it; at the last one all ends are tied before it is given out."""
        settings, place = self._settings, self._step % len(self._pieces)
        if place == 0:
            n = len(self._set.data)
            self._order = (
                self._shuffling.permutation(n)
                if self._weights is None
                else self._shuffling.choice(n, n, p=self._weights)
            )
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * settings.scale(self._step, self._n_steps)
        terms, details = self._optimise(self._order[self._pieces[place]])
        self._step += 1
        measured: dict[str, float] = {}
        if self._validate is not None and (self._step % self._every == 0 or self._step == self._n_steps):
            self._model.visual.eval()
            measured = self._validate()
        stopping = self._judge(measured)
        seconds, epoch = time.monotonic() - self._started, (self._step - 1) // len(self._pieces)
        self.records.append(StepRecord(self._step, self._n_steps, epoch, terms, seconds, measured, details))
        self._remember()
        self._whole = True
        self.complete = stopping or self._step == self._n_steps
        if self.complete:
            self._finish()
        elif self._folder is not None and self._folder.due:
            self._save()
        return self.records[-1]

    def _optimise(self, images: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
        """(terms, details) of one optimiser step, as means over its images; the gradient is the mean one, too."""
        visual, device, step = self._model.visual, self._model.device, self._step + 1
        visual.train()
        if self._settings.freeze_batch_norm:
            for module in visual.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        self._optimizer.zero_grad(set_to_none=True)
        terms: dict[str, float] = {}
        details: dict[str, float] = {}
        with _statistics_kept_on_failure(visual, self._settings.freeze_batch_norm):
            with _noise(self._settings.seed, step, device):
                for piece in evenly(len(images), self._settings.batch_size):
                    own = images[piece]
                    self._backward(own, len(own) / len(images), terms, details)
            self._scaler.unscale_(self._optimizer)
            norm = nn.utils.clip_grad_norm_(visual.parameters(), MAX_GRADIENT_NORM)
            if not torch.isfinite(norm) and not self._may_skip():
                raise _not_finite("gradient", float(norm), step)
        self._whole = False
        self._scaler.step(self._optimizer)
        if self._scaler.is_enabled():
            details["loss scale"] = self._scaler.get_scale()
        self._scaler.update()
        return terms, details

    def _backward(self, images: np.ndarray, share: float, terms: dict[str, float], details: dict[str, float]) -> None:
        """Add a batch's gradient, terms and details, each ``share`` of the step's."""
        model, settings = self._model, self._settings
        batch = self._objective.edit(self._set.batch(images, model.image_size, self._image_sizes), self._drawing)
        batch = to_device(batch, model.device)
        dtype = DTYPES[settings.precision]
        with torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
            image, region, batch = forward(model, self._objective, batch, settings.region_chunk)
            values = self._objective(image, region, batch)
        loss: Any = values["loss"]
        if not torch.isfinite(loss):
            raise _not_finite("loss", float(loss.detach()), self._step + 1)
        self._scaler.scale(loss * share).backward()
        for name, value in values.items():
            into = terms if isinstance(value, Tensor) else details
            number = float(value.detach() if isinstance(value, Tensor) else value)
            into[name] = into.get(name, 0.0) + number * share

    def _may_skip(self) -> bool:
        """Under float16 a gradient may overflow: the step is left out and the scale lowered, until it is below 1."""
        return self._scaler.is_enabled() and self._scaler.get_scale() >= 1

    def _judge(self, measured: dict[str, float]) -> bool:
        """Keep the best weights; whether patience has run out."""
        settings = self._settings
        if settings.patience is None or not measured:
            return False
        value = measured.get(settings.monitor, math.nan)
        if math.isnan(value):
            raise settings.nothing_to_go_by()
        if self._best is None or value > self._best.value:
            weights = {key: each.detach().cpu().clone() for key, each in self._model.visual.state_dict().items()}
            self._best, self._waited = Best(self._step, value, weights), 0
            return False
        self._waited += 1
        return self._waited >= settings.patience

    def _remember(self) -> None:
        """Note the small changing things after a whole step, so that a checkpoint can be of it later, too."""
        state = state_of(self._objective)
        self._rest = Rest(
            self._step, self._order, self._shuffling.bit_generator.state, self._drawing.get_state(),
            {key: each.clone() for key, each in state.items()}, self._scaler.state_dict(),
        )  # fmt: skip

    def _finish(self) -> None:
        """Tie all ends, once: evaluation mode, a last checkpoint, the best weights, the folder let go."""
        if self._finished:
            return
        self._finished = True
        visual = self._model.visual
        visual.eval()
        visual.zero_grad(set_to_none=True)
        try:
            try:
                self._save()  # of the last weights, so before the best ones are back
            finally:
                if self._best is not None:
                    visual.load_state_dict(self._best.weights)
                    self.best_step = self._best.step
                if self.records:
                    self.on_end()
        finally:
            if self._folder is not None:
                self._folder.close()

    def _save(self) -> None:
        """Write a checkpoint, unless it is written or a step was cut in the middle."""
        rest = self._rest
        if self._folder is None or rest is None or not self._whole or rest.step in (0, self._saved_step):
            return
        groups: dict[str, dict[str, Tensor]] = {
            "weights": self._model.visual.state_dict(),
            "optimizer": optimizer_tensors(self._optimizer),
            "objective": rest.objective,
            "best": {} if self._best is None else self._best.weights,
            "random": {"drawing": rest.drawing},
            "order": {"images": torch.from_numpy(rest.order)},
        }
        meta = {
            "step": rest.step,
            "complete": self.complete,
            "shuffling": dict(rest.shuffling),
            "scaler": rest.scaler,
            "waited": self._waited,
            "best": None if self._best is None else [self._best.step, self._best.value],
            "records": [each.to_json() for each in self.records],
        }
        tensors = {f"{group}/{key}": each for group, named in groups.items() for key, each in named.items()}
        if self._folder.write(Checkpoint(tensors, meta)):
            self._saved_step = rest.step

    def _restore(self, stored: Checkpoint, origin: str) -> None:
        """Go on where a checkpoint was written."""
        meta, patience = stored.meta, self._settings.patience
        restore_weights(self._model.visual, stored.group("weights"), origin)
        records = check_progress(stored, self._n_steps, len(self._pieces), len(self._set.data), patience)
        restore_optimizer(self._optimizer, stored.group("optimizer"))
        check_shapes(state_of(self._objective), stored.group("objective"), origin)
        if stored.group("objective"):
            restore_state(self._objective, stored.group("objective"))
        if meta["best"] is not None:
            step, value = meta["best"]
            check_shapes(self._model.visual.state_dict(), stored.group("best"), origin)
            self._best = Best(step, value, stored.group("best"))
        self._waited, self._order = meta["waited"], stored.group("order")["images"].numpy()
        self._shuffling.bit_generator.state = meta["shuffling"]
        self._drawing.set_state(stored.group("random")["drawing"])
        self._scaler.load_state_dict(meta["scaler"])
        self.records[:] = records
        self._step = self._saved_step = meta["step"]
        self.complete = meta["complete"]


def _not_finite(what: str, value: float, step: int) -> TrainingError:
    return TrainingError(
        f"a finite {what}", f"{value} at step {step}", "Lower the learning rate; the last good weights are kept."
    )


@contextmanager
def _noise(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Dropout and the like by seed and step alone, so that a resumed step has the same; the caller's is left alone."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        number = ((seed << 32) + step) % 2**63
        torch.default_generator.manual_seed(number)
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(number)
        yield


@contextmanager
def _statistics_kept_on_failure(visual: nn.Module, frozen: bool) -> Iterator[None]:
    """Where BatchNorm's statistics move in the forward pass, move them back when the step fails."""
    before = {} if frozen else {name: each.clone() for name, each in visual.named_buffers()}
    try:
        yield
    except BaseException:
        for name, each in visual.named_buffers():
            if name in before:
                each.copy_(before[name])
        raise
