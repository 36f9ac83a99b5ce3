"""propose(): the boxes of a proposer, asked in the way it wants; and what the proposers share."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from ravl_explore.errors import InputError
from ravl_explore.regions.base import HasImageSizes, Proposer, Regions
from ravl_explore.support import checks
from ravl_explore.support.memory import fits_memory, gigantic
from ravl_explore.support.progress import Progress

BYTES_A_BOX = 80  # while boxes are made: corners in double precision, then single, beside their checks


def propose(proposer: Proposer, data: HasImageSizes, progress: Progress | None = None) -> Regions:
    """Boxes for every image of ``data``; a proposer that looks at the pixels reports to ``progress``."""
    if getattr(proposer, "reads_pixels", False):
        return proposer(data, progress)  # type: ignore[call-arg]
    return proposer(data)


def check_proposer(proposer: Proposer) -> Proposer:
    """The proposer, once it is one: no name of one, not its class, and no boxes."""
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
    """Width and height of every image, as float32, once they are that."""
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
