"""find_regions(): a proposer's boxes, kept on disk where they took long to find, in ``$RAVL_CACHE/boxes``."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.embedding.folders import boxes_folder, cannot_write, chosen_root
from ravl_explore.regions.base import Proposer, Regions
from ravl_explore.regions.proposing import fingerprint_of, propose
from ravl_explore.support.files import write_whole
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.progress import Progress


def find_regions(
    proposer: Proposer, data: ImageTextDataset, cache: bool | str | Path, progress: Progress | None
) -> Regions:
    """The proposer's regions of ``data``; of a proposer with a ``fingerprint()`` they are kept, and read again.

    Parameters
    ----------
    proposer : Proposer
        One that takes long says with its fingerprint what its boxes of given images depend on.
    data : ImageTextDataset
        Whose images are looked at.
    cache : bool or str or Path
        As for :func:`~ravl_explore.embedding.embeddings.embed`; nothing is kept with False.
    progress : Progress or None
        Told how far a proposer is that looks at the pixels.

    Raises
    ------
    StorageError
        When the cache cannot be written.
    """
    fingerprint = None if cache is False else fingerprint_of(proposer)
    if cache is False or fingerprint is None:
        return propose(proposer, data, progress)
    root = chosen_root(cache)
    name = digest(["regions 1", fingerprint, data.fingerprint()])
    kept = read_boxes(name, root)
    if kept is not None:
        return Regions(*kept)
    regions = propose(proposer, data, progress)
    write_boxes(name, regions.boxes, regions.image_index, root)
    return regions


def read_boxes(
    name: str, root: Path | None = None
) -> tuple[Float[np.ndarray, "n_regions 4"], Int[np.ndarray, " n_regions"]] | None:
    """Boxes and image indices kept under a fingerprint; None where there are none, or they are not as written."""
    try:
        content = io.BytesIO((boxes_folder(root) / f"{name}.npz").read_bytes())
        with np.load(content, allow_pickle=False) as stored:
            boxes, image_index, told = stored["boxes"], stored["image_index"], str(stored["digest"])
    except Exception:  # a damaged zip can raise nearly anything; the boxes are then looked for anew
        return None
    return (boxes, image_index) if told == digest([boxes, image_index]) else None


def write_boxes(
    name: str,
    boxes: Float[np.ndarray, "n_regions 4"],
    image_index: Int[np.ndarray, " n_regions"],
    root: Path | None = None,
) -> None:
    """Keep boxes for :func:`read_boxes`."""
    content = io.BytesIO()
    np.savez(content, boxes=boxes, image_index=image_index, digest=np.array(digest([boxes, image_index])))
    folder = boxes_folder(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    write_whole(folder / f"{name}.npz", content.getvalue())
