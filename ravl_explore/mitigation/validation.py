"""validator(): a model's accuracy on whole images, measured again and again while it is trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.checked_images import checked_image
from ravl_explore.metrics import group_accuracy
from ravl_explore.models.base import VisionLanguageModel, class_embeddings, resize


def validator(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    present: Bool[np.ndarray, " n_images"] | None,
    batch_size: int = 256,
) -> Callable[[], dict[str, float]]:
    """A function that measures accuracy of whole images, for use between training steps.

    Parameters
    ----------
    model : VisionLanguageModel
        Measured as it is whenever the function is called; the class prompts are embedded once, now.
    data : ImageTextDataset
        The validation images.
    present : bool array (n_images,) or None
        Which images hold the feature; None groups them by class alone.
    batch_size : int
        Images that are encoded at once.

    Returns
    -------
    function of nothing
        It gives ``{"accuracy": ..., "worst_group": ...}``, 0 to 1.
    """
    classes = class_embeddings(model, data.class_names, data.templates)
    groups = np.zeros(len(data), bool) if present is None else present

    @torch.inference_mode()
    def measure() -> dict[str, float]:
        hits = []
        for start in range(0, len(data), batch_size):
            stop = min(start + batch_size, len(data))
            pixels = resize([checked_image(data, i) for i in range(start, stop)], model.image_size)
            image, _ = model.encode(pixels, None)
            hits.append((image @ classes.T).argmax(1).cpu().numpy() == data.labels[start:stop])
        result = group_accuracy(np.concatenate(hits), data.labels, groups, data.class_names)
        return {"accuracy": result.overall, "worst_group": result.worst}

    return measure
