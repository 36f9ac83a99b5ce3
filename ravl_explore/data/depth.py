"""How samples of up to 16 bits become 8: by the depth that they use, laid on white where they are see-through.

Detectors write 10, 12 or 14 bits into 16, and taking the upper 8 of 16 would leave those nearly black. So the depth is
the least of 8, 10, 12, 14 and 16 that holds the largest value: of all images of a set, since the depth is the
detector's and not the picture's; of a picture that is read alone, its own. Where the file says how deep it is, that
holds.
"""

from __future__ import annotations

import numpy as np

DEPTHS = (8, 10, 12, 14, 16)  # bits that detectors use


def colors_of(values: np.ndarray) -> np.ndarray:
    """The samples without alpha.

    Parameters
    ----------
    values : UInt16[np.ndarray, "height width"] or UInt16[np.ndarray, "height width n_channels"]
    """
    return values if values.ndim == 2 else values[..., : 1 if values.shape[2] == 2 else 3]


def depth_of(largest: int) -> int:
    """Bits that hold a value, as detectors use them.

    Parameters
    ----------
    largest : int
        The largest value, below 65,536.

    Examples
    --------
    >>> [depth_of(value) for value in (0, 255, 256, 4095, 4096, 65535)]
    [8, 8, 10, 12, 14, 16]
    """
    return next(bits for bits in DEPTHS if largest < 2**bits)


def to_8_bits(values: np.ndarray, depth: int) -> np.ndarray:
    """The upper 8 of ``depth`` bits; what is larger is white.

    Parameters
    ----------
    values : UInt16[np.ndarray, "..."]
    depth : int
        Of :data:`DEPTHS`.
    """
    return np.minimum(values >> (depth - 8), 255).astype(np.uint8)


def opacity(alpha: np.ndarray, depth: int) -> np.ndarray:
    """8 bits, by the depth of the colours where no alpha is larger than that.

    Parameters
    ----------
    alpha : UInt16[np.ndarray, "height width"]
    depth : int
        Of the colours, one of :data:`DEPTHS`.
    """
    return to_8_bits(alpha, depth if int(alpha.max(initial=0)) < 2**depth else 16)


def on_white(color: np.ndarray, alpha: np.ndarray, premultiplied: bool) -> np.ndarray:
    """Laid on white, as a page shows it.

    Parameters
    ----------
    color : UInt8[np.ndarray, "height width n_channels"]
    alpha : UInt8[np.ndarray, "height width"]
        0 is see-through.
    premultiplied : bool
        Whether the colours are stored as they show through their alpha.
    """
    alpha = alpha[..., None].astype(np.uint32)
    if premultiplied:
        return np.minimum(color.astype(np.uint32) + 255 - alpha, 255).astype(np.uint8)
    return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
