"""Optimiser: one step of AdamW after another, from batches whose gradients are averaged; a bad step changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from ravl_explore.errors import InputError, TrainingError
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.objectives.base import Objective
from ravl_explore.support import checks
from ravl_explore.training.batches import TrainingSet, evenly
from ravl_explore.training.forward import forward
from ravl_explore.training.settings import TrainingSettings
from ravl_explore.training.start import to_device

MAX_GRADIENT_NORM = 1.0
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Optimiser:
    """Changes a model's image tower in place.

    Parameters
    ----------
    model : VisionLanguageModel
        What is trained.
    training_set : TrainingSet
        What it sees.
    objective : Objective
        Of this run, begun.
    settings : TrainingSettings
        Batch size, precision and so on.

    Attributes
    ----------
    adam : torch.optim.AdamW
    scaler : torch.amp.GradScaler
        Of the loss, under float16.
    drawing : torch.Generator
        What the objective draws from.
    whole : bool
        Whether the weights are those after a whole step: False when one was cut in the middle, and while one is taken.
    """

    def __init__(
        self, model: VisionLanguageModel, training_set: TrainingSet, objective: Objective, settings: TrainingSettings
    ) -> None:
        self._model, self._set, self._objective, self._settings = model, training_set, objective, settings
        self._image_sizes = training_set.data.image_sizes
        self.adam = torch.optim.AdamW(
            model.visual.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.scaler = torch.amp.GradScaler(model.device.type, enabled=settings.precision == "float16")
        self.drawing = torch.Generator().manual_seed(settings.seed)
        self.whole = True

    def take(
        self, step: int, images: Int[np.ndarray, " n"], learning_rate: float
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Take one step.

        Parameters
        ----------
        step : int
            Its number, from 1.
        images : Int[np.ndarray, " n"]
            Which of the training images it sees.
        learning_rate : float
            Of this step.

        Returns
        -------
        tuple of two dict of str to float
            Terms of the loss, and details, as means over the images.

        Raises
        ------
        TrainingError
            When the loss or its gradient is not finite; weights and statistics are those before the step.
        """
        visual, device = self._model.visual, self._model.device
        for group in self.adam.param_groups:
            group["lr"] = learning_rate
        visual.train()
        if self._settings.freeze_batch_norm:
            for module in visual.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        self.adam.zero_grad(set_to_none=True)
        terms: dict[str, float] = {}
        details: dict[str, float] = {}
        with _statistics_kept_on_failure(visual, self._settings.freeze_batch_norm):
            with _noise(self._settings.seed, step, device):
                for piece in evenly(len(images), self._settings.batch_size):
                    own = images[piece]
                    self._backward(step, own, len(own) / len(images), terms, details)
            self.scaler.unscale_(self.adam)
            norm = nn.utils.clip_grad_norm_(visual.parameters(), MAX_GRADIENT_NORM)
            if not torch.isfinite(norm) and not self._may_skip():
                raise _not_finite("gradient", float(norm), step)
        self.whole = False
        self.scaler.step(self.adam)
        if self.scaler.is_enabled():
            details["loss scale"] = self.scaler.get_scale()
        self.scaler.update()
        return terms, details

    def _backward(
        self,
        step: int,
        images: Int[np.ndarray, " b"],
        share: float,
        terms: dict[str, float],
        details: dict[str, float],
    ) -> None:
        """Add a batch's gradient, terms and details, each ``share`` of the step's."""
        model, settings = self._model, self._settings
        batch = self._objective.edit(self._set.batch(images, model.image_size, self._image_sizes), self.drawing)
        batch = to_device(batch, model.device)
        dtype = DTYPES[settings.precision]
        with torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
            image, region, batch = forward(model, self._objective, batch, settings.region_chunk)
            values = self._objective(image, region, batch)
        loss = values["loss"]
        if not isinstance(loss, Tensor):
            raise InputError("a loss that is a tensor", checks.came(loss), "Compute it from the embeddings.")
        if not torch.isfinite(loss):
            raise _not_finite("loss", float(loss.detach()), step)
        self.scaler.scale(loss * share).backward()
        for name, value in values.items():
            into = terms if isinstance(value, Tensor) else details
            number = float(value.detach()) if isinstance(value, Tensor) else float(value)
            into[name] = into.get(name, 0.0) + number * share

    def _may_skip(self) -> bool:
        """Under float16 a gradient may overflow: the step is left out and the scale lowered, until it is below 1."""
        return self.scaler.is_enabled() and self.scaler.get_scale() >= 1


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
        for cuda in devices:
            with torch.cuda.device(cuda):
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
