"""label_with_torchxrayvision(): cardiomegaly or not, as RaVL's Appendix D labels Object-CXR (extra ``medical``)."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from ravl_explore.data.inside import resolve_inside
from ravl_explore.data.object_cxr import CLASS_NAMES, read_annotations
from ravl_explore.data.reading import read_image
from ravl_explore.errors import DataError, MissingDependencyError, ModelError
from ravl_explore.files import write_whole
from ravl_explore.progress import Progress, report

WEIGHTS = "densenet121-res224-all"
WEIGHTS_FILE = "nih-pc-chex-mimic_ch-google-openi-kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
PATHOLOGY = "Cardiomegaly"
THRESHOLD = 0.60  # on scores rescaled so that each class's operating point is 0.5
SIDE = 224


def label_with_torchxrayvision(
    root: str | Path,
    split: str = "dev",
    *,
    model: Any = None,
    threshold: float = THRESHOLD,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Path:
    """Write ``<split>_labels.csv`` (image_name, label, score) beside the annotations, where ObjectCxr looks for it.

    Parameters
    ----------
    root, split : as of :class:`~ravl_explore.data.object_cxr.ObjectCxr`
    model : any with ``pathologies`` and a call (n, 1, 224, 224) in [-1024, 1024] -> (n, n_pathologies) rescaled scores;
        unless given, torchxrayvision's DenseNet-121 trained on all its sets. Torchxrayvision unpickles its weights,
        which can run code, so the file must come from where it says; nothing is downloaded here
    threshold : score from which on the image shows cardiomegaly
    batch_size : images a step
    progress : told the images done; may raise Cancelled

    Raises
    ------
    MissingDependencyError, ModelError
        Without torchxrayvision; without its weights (which file belongs where), or without the pathology.
    DataError
        For an image that cannot be read.
    """
    import torch

    folder, names, _ = read_annotations(root, split)
    if not names:
        raise DataError("at least one image", f"none in {split}.csv", "Check the file.")
    files = resolve_inside(folder, names)
    model = _pretrained() if model is None else model
    pathologies = list(model.pathologies)
    if PATHOLOGY not in pathologies:
        raise ModelError(f"a model that knows {PATHOLOGY}", f"one of {pathologies}", f"Use {WEIGHTS}.")
    column, scores = pathologies.index(PATHOLOGY), []
    report(progress, 0, len(files), "Labelling")
    for start in range(0, len(files), batch_size):
        batch = torch.stack([_prepare(read_image(file)) for file in files[start : start + batch_size]])
        with torch.inference_mode():
            scores.append(model(batch)[:, column].float().cpu().numpy())
        report(progress, min(start + batch_size, len(files)), len(files), "Labelling")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image_name", "label", "score"])
    for name, score in zip(names, np.concatenate(scores).tolist(), strict=True):
        writer.writerow([name, CLASS_NAMES[0] if score >= threshold else CLASS_NAMES[1], f"{score:.6f}"])
    return write_whole(Path(root).expanduser() / f"{split}_labels.csv", text.getvalue().encode())


def _prepare(image: np.ndarray) -> Any:
    """(height, width, 3) uint8 -> (1, 224, 224) float32 in [-1024, 1024]: the square in the middle, as xrv crops."""
    import torch

    gray = torch.from_numpy(image[:, :, 0].astype(np.float32))
    side = min(gray.shape)
    top, left = (gray.shape[0] - side) // 2, (gray.shape[1] - side) // 2
    square = gray[None, None, top : top + side, left : left + side]
    small = torch.nn.functional.interpolate(square, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    return (2 * small[0].clamp(0, 255) / 255 - 1) * 1024


def _pretrained() -> Any:
    try:
        import torchxrayvision
    except ImportError as error:
        raise MissingDependencyError(
            "torchxrayvision, which labels chest X-rays",
            f"an import that fails ({error})",
            "Install it: pip install 'ravl-explore[medical]'.",
        ) from error
    file = Path(torchxrayvision.utils.get_cache_dir()).expanduser() / WEIGHTS_FILE
    if not file.is_file():
        raise ModelError(
            f"torchxrayvision's weights {WEIGHTS}",
            f"no file {str(file)!r}",
            "Put it there, from release v1 of github.com/mlmed/torchxrayvision.",
        )
    return torchxrayvision.models.DenseNet(weights=WEIGHTS).eval()
