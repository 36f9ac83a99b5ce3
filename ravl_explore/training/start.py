"""start(): what an objective may look at before the first step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ravl_explore.models.base import VisionLanguageModel, class_embeddings
from ravl_explore.objectives.base import Batch, Start
from ravl_explore.training.batches import TrainingSet


def start(model: VisionLanguageModel, training_set: TrainingSet, batch_size: int) -> Start:
    """The data as the model sees it now; nothing is computed unless the objective asks for it.

    Parameters
    ----------
    model : VisionLanguageModel
        Before its first step.
    training_set : TrainingSet
        The fine-tuning data.
    batch_size : int
        Images that are embedded at once.
    """
    data = training_set.data
    plain = replace(training_set, concepts=None)  # masks are for steps, and may take long to make

    def embedded(images: np.ndarray, regions: bool) -> Iterator[tuple[Tensor, Tensor, Batch]]:
        model.visual.eval()
        for first in range(0, len(images), batch_size):
            chosen = images[first : first + batch_size]
            batch = to_device(plain.batch(chosen, model.image_size, data.image_sizes), model.device)
            with torch.no_grad():
                image, region = model.encode(batch.pixels, batch.boxes if regions else None)
            yield image, region, batch

    def embed_prompts(names: Sequence[str]) -> Tensor:
        with torch.no_grad():
            return class_embeddings(model, names, data.templates)

    return Start(training_set.labels, training_set.assignment.present, data.class_names, embedded, embed_prompts)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with all its tensors on a device.

    Parameters
    ----------
    batch : Batch
        Of the CPU.
    device : torch.device
        The model's.
    """
    if device.type == "cpu":
        return batch
    moved = {name: value.to(device) for name, value in vars(batch).items() if isinstance(value, Tensor)}
    return replace(batch, **moved)
