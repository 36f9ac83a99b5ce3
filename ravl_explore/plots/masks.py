"""tint(): where to look and where not, laid over an image, as pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

PROMOTED, SUPPRESSED = (0, 114, 178), (230, 97, 0)  # blue and orange: told apart by colour-blind eyes too
STRENGTH = 150  # of the tint, of 255
STRIPE = 6  # pixels of a stripe in what is suppressed: it can be told from what is promoted without colours


def tint(
    pixels: UInt8[np.ndarray, "height width 3"],
    promote: Bool[np.ndarray, "height width"],
    suppress: Bool[np.ndarray, "height width"],
    strength: int = STRENGTH,
    stripe: int = STRIPE,
) -> UInt8[np.ndarray, "height width 3"]:
    """The image with promoted pixels in blue and suppressed ones in orange and black stripes.

    Parameters
    ----------
    pixels, promote, suppress : arrays of one height and width
        The image, and which of its pixels are promoted or suppressed.
    strength : int
        Of the tint, 0 to 255.
    stripe : int
        Pixels of a stripe.
    """
    shown = pixels.astype(np.float32)
    rows, columns = np.indices(promote.shape)
    striped = ((rows + columns) // stripe) % 2 == 0
    for mask, colour in ((promote, PROMOTED), (suppress & striped, SUPPRESSED), (suppress & ~striped, (0, 0, 0))):
        shown[mask] += (np.array(colour, np.float32) - shown[mask]) * (strength / 255)
    return shown.round().astype(np.uint8)
