"""A small stand-in for PubMedCLIP in its true file layout, taught drawn X-rays; for places without the real weights.

It is the demo's CLIP, so nothing measured with it says anything of PubMedCLIP.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch

from ravl_explore.assignment.assignment import Assignment
from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.mitigation import prepare
from ravl_explore.models.demo import Demo
from ravl_explore.objectives.standard import Standard
from ravl_explore.regions.grid import Grid
from ravl_explore.support.files import user_path, write_whole
from ravl_explore.support.progress import Progress, report
from ravl_explore.training import TrainingSettings, train


def make_pubmedclip(
    file: str | Path, data: ImageTextDataset, *, epochs: int = 8, seed: int = 0, progress: Progress | None = None
) -> Path:
    """Fine-tune the demo's CLIP on labelled images and write it as PubMedCLIP's authors write theirs.

    The file is a ``.pth`` with ``best_epoch``, ``state_dict`` in half precision and OpenAI's key names,
    ``optimizer_state_dict`` and ``best_loss``. Captions are the class names, which the demo's text tower has never
    seen; the image tower learns to meet them.

    Parameters
    ----------
    file : str | Path
        Where it is written, a ``.pth``.
    data : ImageTextDataset
        The images, all held in memory at once; some hundreds are enough.
    epochs, seed : int
        Of the fine-tuning, half a second a step of 64 images on two cores.
    progress : Progress, optional
        Told how much is done; may raise Cancelled.
    """
    captions = [data.class_names[label] for label in data.labels]
    pictures = ArrayDataset(
        [data.image(i) for i in range(len(data))], data.labels, data.class_names, templates=("{}",), captions=captions
    )
    regions = Grid(1, 1)(pictures)
    nothing = np.zeros(len(pictures), bool)
    model = Demo("clean")
    settings = TrainingSettings(epochs=epochs, learning_rate=5e-4, batch_size=64, seed=seed)
    ready = prepare(model, pictures, Assignment(regions, nothing, nothing, nothing, None))
    for record in train(model, ready, Standard(), settings):
        report(progress, record.step, record.n_steps, "Teaching the stand-in model")
    weights = {key: value.half() if value.is_floating_point() else value for key, value in model.state_dict.items()}
    content = io.BytesIO()
    torch.save({"best_epoch": epochs, "state_dict": weights, "optimizer_state_dict": {}, "best_loss": 0.0}, content)
    return write_whole(user_path(file), content.getvalue())
