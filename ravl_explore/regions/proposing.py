"""propose(): the boxes of a proposer, asked in the way it wants; and what a proposer may offer beyond Proposer."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np
from jaxtyping import Float, Int

from ravl_explore.errors import InputError
from ravl_explore.regions.base import PixelProposer, Proposer, Regions
from ravl_explore.regions.dataset_members import HasImageSizes
from ravl_explore.support import checks
from ravl_explore.support.memory import fits_memory, gigantic
from ravl_explore.support.progress import Progress

BYTES_A_BOX = 80  # while boxes are made: corners in double precision, then single, beside their checks


def propose(proposer: Proposer, data: HasImageSizes, progress: Progress | None = None) -> Regions:
    """Boxes for every image of ``data``; a proposer that looks at the pixels reports to ``progress``.

    Parameters
    ----------
    proposer : Proposer
        With a true ``reads_pixels`` it is called with ``progress``, too.
    data : HasImageSizes
        The dataset.
    progress : Progress or None
        Told how far a proposer is that looks at the pixels.
    """
    return proposer(data, progress) if _reads_pixels(proposer) else proposer(data)


def _reads_pixels(proposer: Proposer) -> TypeGuard[PixelProposer]:
    return bool(getattr(proposer, "reads_pixels", False))


def name_of(proposer: Proposer) -> str:
    """A proposer's name, or that of a plain function; empty where it has none.

    Parameters
    ----------
    proposer : Proposer
    """
    return getattr(proposer, "name", getattr(proposer, "__name__", ""))


def fingerprint_of(proposer: Proposer) -> str | None:
    """A proposer's ``fingerprint()``, what its boxes of given images depend on; None where it is quick and has none.

    Parameters
    ----------
    proposer : Proposer
        One that takes long has a fingerprint, so that its boxes can be kept.
    """
    told = getattr(proposer, "fingerprint", None)
    return None if told is None else told()


def check_proposer(proposer: Proposer) -> Proposer:
    """The proposer, once it is one: no name of one, not its class, and no boxes.

    Parameters
    ----------
    proposer : Proposer

    Raises
    ------
    InputError
        For anything else.
    """
    remedy = "Give an object such as regions.Grid(2, 2), or open a name with regions.open_proposer."
    if isinstance(proposer, Regions):
        raise InputError("proposer a proposer of regions", "Regions", "Wrap boxes as regions.Given(boxes).")
    checks.offers("proposer", proposer, "a proposer of regions", ("__call__",), remedy)
    return proposer


def proposer_of(proposer: Proposer, images: Int[np.ndarray, " n"], n_images: int) -> Proposer:
    """The proposer for some of a dataset's images: itself, unless it knows the images by their numbers.

    Parameters
    ----------
    proposer : Proposer
        Made for all images.
    images : Int[np.ndarray, " n"]
        Numbers, in the dataset, of those that it will be asked for.
    n_images : int
        How many the dataset has.
    """
    restrict = getattr(proposer, "of_images", None)
    return proposer if restrict is None else restrict(images, n_images)


def sizes_of_images(data: HasImageSizes) -> Float[np.ndarray, "n_images 2"]:
    """Width and height of every image, as float32, once they are that.

    Parameters
    ----------
    data : HasImageSizes
        The dataset.
    """
    checks.offers("data", data, "a dataset", ("image_sizes",), "Open one with data.open_dataset.")
    sizes = checks.array("image_sizes", np.asarray(data.image_sizes), "fiu", (None, 2), 1)
    return sizes.astype(np.float32)


def check_room(per_image: int, n_images: int, name: str, remedy: str) -> None:
    """Raise InputError when that many boxes are more than memory holds, before one of them is made.

    Parameters
    ----------
    per_image : int
        Boxes in each image.
    n_images : int
        Images of the dataset.
    name : str
        The proposer's, for the message.
    remedy : str
        What to do about it.
    """
    n = per_image * n_images
    what = f"{gigantic(n)} boxes ({name}, in {n_images:,} images)"
    fits_memory(what, BYTES_A_BOX * n, remedy)
