"""prepare(): a dataset made ready for fine-tuning, its texts embedded by the frozen text tower."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ravl_explore.assignment.assignment import Assignment
from ravl_explore.concepts.base import ConceptMasks
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.models.base import TEMPERATURE, VisionLanguageModel, class_embeddings
from ravl_explore.objectives.base import ClassText
from ravl_explore.training import TrainingSet


def prepare(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    assignment: Assignment,
    temperature: float = TEMPERATURE,
    class_text: ClassText = "prompts",
    *,
    concepts: ConceptMasks | None = None,
) -> TrainingSet:
    """Captions and classes embedded by the frozen text tower, beside what the regions show.

    Images of a dataset without captions get one of its prompts each, in turn, filled with their class.

    Parameters
    ----------
    model : VisionLanguageModel
        Whose text tower embeds.
    data : ImageTextDataset
        The images.
    assignment : Assignment
        What their regions show.
    temperature : float
        What similarities are divided by.
    class_text : {"prompts", "names"}
        Class names are filled into the dataset's prompts, or embedded as they are.
    concepts : ConceptMasks or None
        Where to look in each image.
    """
    data_captions = _captions(data)
    unique = list(dict.fromkeys(data_captions))
    where = {caption: row for row, caption in enumerate(unique)}
    with torch.no_grad():
        captions = model.embed_text(unique)
    return TrainingSet(
        data=data,
        assignment=assignment,
        captions=captions,
        caption_index=np.array([where[caption] for caption in data_captions]),
        classes=class_embeddings(model, data.class_names, data.templates if class_text == "prompts" else ("{}",)),
        temperature=temperature,
        concepts=concepts,
    )


def _captions(data: ImageTextDataset) -> Sequence[str]:
    """The dataset's captions; without any, each image's class in one of the dataset's prompts, in turn."""
    if data.captions is not None:
        return tuple(data.captions)
    prompts = data.templates
    return tuple(prompts[i % len(prompts)].format(data.class_names[y]) for i, y in enumerate(data.labels.tolist()))
