"""label_with_torchxrayvision(): cardiomegaly or not, as RaVL's Appendix D labels Object-CXR (extra ``medical``)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ravl_explore.data.listed_paths import resolve_inside
from ravl_explore.data.object_cxr import CLASS_NAMES, read_annotations
from ravl_explore.data.ranges import ranges_of, shared_ranges
from ravl_explore.data.reading import header_or_reason, read_image, reason_of
from ravl_explore.errors import DataError, InputError, MissingDependencyError, ModelError
from ravl_explore.support.files import user_path, write_whole
from ravl_explore.support.progress import Progress, report

if TYPE_CHECKING:
    import torch

WEIGHTS = "densenet121-res224-all"
WEIGHTS_FILE = "nih-pc-chex-mimic_ch-google-openi-kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
PATHOLOGY = "Cardiomegaly"
THRESHOLD = 0.60  # on scores rescaled so that each class's operating point is 0.5
SIDE = 224
MOST_NAMED = 5  # unreadable images in a message


class Labeller(Protocol):
    """What says of a chest X-ray which pathologies it shows.

    Attributes
    ----------
    pathologies : sequence of str
        In the order of the scores; may hold empty texts.
    """

    @property
    def pathologies(self) -> Sequence[str]:
        """Their names."""
        ...

    def __call__(self, images: torch.Tensor, /) -> torch.Tensor:
        """Scores (n, n_pathologies), rescaled, of images (n, 1, 224, 224) in [-1024, 1024]."""
        ...


def label_with_torchxrayvision(
    root: str | Path,
    split: str = "dev",
    *,
    model: Labeller | None = None,
    threshold: float = THRESHOLD,
    batch_size: int = 32,
    max_unreadable: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Write ``<split>_labels.csv`` (image_name, label, score) beside the annotations, where ObjectCxr looks for it.

    Parameters
    ----------
    root : str or Path
        As of :class:`~ravl_explore.data.object_cxr.ObjectCxr`.
    split : str
        As of :class:`~ravl_explore.data.object_cxr.ObjectCxr`.
    model : Labeller or None
        Unless given, torchxrayvision's DenseNet-121 trained on all its sets. Torchxrayvision unpickles its weights,
        which can run code, so the file must come from where it says; nothing is downloaded here.
    threshold : float
        Score from which on the image shows cardiomegaly.
    batch_size : int
        Images a step.
    max_unreadable : int
        How many images that cannot be read are skipped; the table lists them with an empty label and the reason in a
        column ``unreadable``, and ObjectCxr leaves them out. One more raises; headers are read first, so that most bad
        files are told before the model runs.
    progress : Progress or None
        Told the images done; may raise Cancelled.

    Raises
    ------
    MissingDependencyError, ModelError
        Without torchxrayvision; without its weights (which file belongs where), or without the pathology.
    DataError
        For more than ``max_unreadable`` images that cannot be read, or none that can.
    InputError
        For a negative ``max_unreadable``.
    """
    import torch

    if max_unreadable < 0:
        raise InputError("max_unreadable of at least 0", f"{max_unreadable}", "0 stops at the first unreadable image.")
    folder, names, _ = read_annotations(root, split)
    if not names:
        raise DataError("at least one image", f"none in {split}.csv", "Check the file.")
    files = resolve_inside(folder, names, argument=None)
    model = _pretrained() if model is None else model
    column = _column(model)
    scores: dict[int, float] = {}
    headers = dict(enumerate(map(header_or_reason, files)))
    unreadable = {i: found for i, found in headers.items() if isinstance(found, str)}
    _check_unreadable(files, unreadable, max_unreadable)
    kinds = {i: found.kind for i, found in headers.items() if not isinstance(found, str) and found.kind}
    ranges = ranges_of(shared_ranges(files, kinds, progress))
    report(progress, 0, len(files), "Labelling")
    for start in range(0, len(files), batch_size):
        stop = min(start + batch_size, len(files))
        prepared: dict[int, torch.Tensor] = {}
        for i in range(start, stop):
            if i in unreadable:
                continue
            try:
                prepared[i] = _prepare(read_image(files[i], ranges=ranges))
            except DataError as error:  # a whole header, but damaged or missing pixels
                unreadable[i] = reason_of(error)
                _check_unreadable(files, unreadable, max_unreadable)
        if prepared:
            with torch.inference_mode():
                found = model(torch.stack(list(prepared.values())))[:, column].float().cpu().tolist()
            scores.update(zip(prepared, found, strict=True))
        report(progress, stop, len(files), "Labelling")
    return write_whole(user_path(root) / f"{split}_labels.csv", _table(names, scores, unreadable, threshold).encode())


def _column(model: Labeller) -> int:
    pathologies = list(model.pathologies)
    if PATHOLOGY not in pathologies:
        raise ModelError(f"a model that knows {PATHOLOGY}", f"one of {pathologies}", f"Use {WEIGHTS}.")
    return pathologies.index(PATHOLOGY)


def _check_unreadable(files: list[Path], unreadable: dict[int, str], limit: int) -> None:
    if len(unreadable) <= limit and len(unreadable) < len(files):
        return
    named = "; ".join(f"{str(files[i])!r} ({reason})" for i, reason in sorted(unreadable.items())[:MOST_NAMED])
    more = f" and {len(unreadable) - MOST_NAMED} more" if len(unreadable) > MOST_NAMED else ""
    raise DataError(
        "an image that can be read" if len(unreadable) <= limit else f"at most {limit} images that cannot be read",
        f"{len(unreadable)} so far: {named}{more}",
        "Mend these files, or raise max_unreadable.",
    )


def _table(names: list[str], scores: dict[int, float], unreadable: dict[int, str], threshold: float) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image_name", "label", "score", *(["unreadable"] if unreadable else [])])
    for i, name in enumerate(names):
        label = "" if i in unreadable else CLASS_NAMES[0] if scores[i] >= threshold else CLASS_NAMES[1]
        score = f"{scores[i]:.6f}" if i in scores else ""
        writer.writerow([name, label, score, *([unreadable.get(i, "")] if unreadable else [])])
    return text.getvalue()


def _prepare(image: np.ndarray) -> torch.Tensor:
    """(height, width, 3) uint8 -> (1, 224, 224) float32 in [-1024, 1024]: the square in the middle, as xrv crops."""
    import torch

    gray = torch.from_numpy(image[:, :, 0].astype(np.float32))
    side = min(gray.shape)
    top, left = (gray.shape[0] - side) // 2, (gray.shape[1] - side) // 2
    square = gray[None, None, top : top + side, left : left + side]
    small = torch.nn.functional.interpolate(square, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    return (2 * small[0].clamp(0, 255) / 255 - 1) * 1024


def _pretrained() -> Labeller:
    try:
        import torchxrayvision  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingDependencyError(
            "torchxrayvision, which labels chest X-rays",
            f"an import that fails ({error})",
            "Install it: pip install 'ravl-explore[medical]'.",
        ) from error
    file = user_path(torchxrayvision.utils.get_cache_dir()) / WEIGHTS_FILE
    if not file.is_file():
        raise ModelError(
            f"torchxrayvision's weights {WEIGHTS}",
            f"no file {str(file)!r}",
            "Put it there, from release v1 of github.com/mlmed/torchxrayvision.",
        )
    return torchxrayvision.models.DenseNet(weights=WEIGHTS).eval()
