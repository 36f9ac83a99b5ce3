"""What a run depends on, and what it is made with: the two halves of a run folder's settings.json."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from ravl_explore import __version__
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import SpuriousFeature
from ravl_explore.fingerprints import digest
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.objectives.base import Objective
from ravl_explore.training import TrainingSet, TrainingSettings


def depends(
    model: VisionLanguageModel,
    training_set: TrainingSet,
    features: Sequence[SpuriousFeature],
    objective: Objective,
    settings: TrainingSettings,
    validation: ImageTextDataset | None,
    groups: Bool[np.ndarray, " n_images"] | None,
) -> dict[str, Any]:
    """All that decides what a run's steps are, by a name that an error can show; ``groups`` are of ``validation``."""
    data, concepts = training_set.data, training_set.concepts
    regions = training_set.regions
    values: dict[str, Any] = {
        # the address of what has no text of its own would differ in every process
        "objective": re.sub(r" at 0x[0-9a-f]+", "", repr(objective)),
        **{f"settings {name}": value for name, value in vars(settings).items()},
        "model": model.name,
        "architecture": f"{type(model.visual).__name__}, {sum(p.numel() for p in model.visual.parameters())} weights",
        "model fingerprint": model.fingerprint(),
        "data": data.name,
        "data fingerprint": data.fingerprint(),
        "labels": digest([training_set.labels, list(data.class_names)]),
        "texts": digest(  # not their embeddings, whose last bits differ between machines
            [list(data.captions or ()), list(data.templates), objective.class_text, training_set.temperature]
        ),
        "clusters": [each.cluster for each in features],
        "medoids": digest([features[0].medoids]),
        "assignment": digest(
            [regions.boxes, regions.image_index, training_set.spurious, training_set.core, training_set.present]
        ),
        "concepts": None if concepts is None else concepts.name,
        "concepts fingerprint": None if concepts is None else concepts.fingerprint(),
        "validation": None if validation is None else validation.name,
        "validation fingerprint": None if validation is None else _labelled(validation, groups),
    }
    return values


def made_with(model: VisionLanguageModel) -> dict[str, Any]:
    """Versions and machine."""
    return {
        "ravl_explore": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": str(model.device),
        "threads": torch.get_num_threads(),
    }


def _labelled(data: ImageTextDataset, groups: Bool[np.ndarray, " n_images"] | None) -> str:
    return digest([data.fingerprint(), data.labels, groups, list(data.class_names), list(data.templates)])
