"""How well relevance maps lie on concept masks: mIoU, pixel accuracy, and the share of relevance that is inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ravl_explore.errors import InputError


@dataclass(frozen=True)
class Alignment:
    """Shares from 0 to 1; NaN where nothing counts.

    Attributes
    ----------
    miou : float
        Mean of the IoU of foreground with promoted cells and of background with suppressed ones, each accumulated over
        all images.
    pixel_accuracy : float
        Share of the cells in either mask that are foreground where promoted, background where suppressed.
    share : float
        Of the relevance in either mask, how much lies on promoted cells; mean over images that have any.
    n_images : int
        Images that count, those with both a promoted and a suppressed cell.
    """

    miou: float
    pixel_accuracy: float
    share: float
    n_images: int


def alignment(
    maps: Float[np.ndarray, "n h w"], promote: Bool[np.ndarray, "n h w"], suppress: Bool[np.ndarray, "n h w"]
) -> Alignment:
    """Compare maps with masks of the same size, on the cells that are in one of the masks.

    As ImageNet-Segmentation is evaluated for relevance (Chefer et al., ICCV 2021; CFT's Table 3): a map is min-max
    normalised, its foreground is what lies above its mean, the IoU of foreground and of background are accumulated over
    images and then averaged. Here the background is the suppressed cells, and cells in neither mask count for nothing.

    Parameters
    ----------
    maps : Float[np.ndarray, "n h w"]
        Relevance, of any scale.
    promote : Bool[np.ndarray, "n h w"]
        Cells that relevance should be on.
    suppress : Bool[np.ndarray, "n h w"]
        Cells that it should not be on.

    Raises
    ------
    InputError
        When shapes differ, or a cell is in both masks.

    Examples
    --------
    >>> left = np.array([[[True, False], [True, False]]])
    >>> alignment(np.array([[[1.0, 0.0], [0.0, 0.0]]]), left, ~left).pixel_accuracy
    0.75
    """
    if not maps.shape == promote.shape == suppress.shape:
        raise InputError(
            f"masks of the maps' shape {maps.shape}", f"{promote.shape} and {suppress.shape}", "Resize the masks."
        )
    if (promote & suppress).any():
        raise InputError(
            "each cell in one mask at most", f"{int((promote & suppress).sum())} in both", "Take one away."
        )
    counts = promote.any((1, 2)) & suppress.any((1, 2))
    promote, suppress = promote[counts], suppress[counts]
    maps = minmax(maps[counts])
    either = promote | suppress
    above = maps > maps.mean((1, 2), keepdims=True)
    ious = [
        _ratio((found & wanted).sum(), ((found & either) | wanted).sum())
        for found, wanted in ((above, promote), (~above, suppress))
    ]
    inside, seen = (maps * promote).sum((1, 2)), (maps * either).sum((1, 2))
    shares = inside[seen > 0] / seen[seen > 0]
    return Alignment(
        miou=float(np.mean(ious)),
        pixel_accuracy=_ratio((above == promote)[either].sum(), either.sum()),
        share=float(shares.mean()) if len(shares) else float("nan"),
        n_images=int(counts.sum()),
    )


def minmax(maps: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h w"]:
    """Each map from 0 to 1; a constant one is 0 throughout.

    Parameters
    ----------
    maps : Float[np.ndarray, "n h w"]
        Of any scale.

    Examples
    --------
    >>> minmax(np.array([[[2.0, 4.0]], [[5.0, 5.0]]])).tolist()
    [[[0.0, 1.0]], [[0.0, 0.0]]]
    """
    if not maps.size:
        return maps
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return np.divide(maps - low, high - low, out=np.zeros_like(maps), where=high > low)


def _ratio(part: np.integer, whole: np.integer) -> float:
    return float(part / whole) if whole else float("nan")
