"""Is the difference of two models on the same images more than chance? A paired bootstrap over images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.metrics.accuracy import Samples, epsilons
from ravl_explore.metrics.gap import weighted_gaps
from ravl_explore.metrics.significance import LEVEL

if TYPE_CHECKING:
    from scipy.sparse import csr_array

N_DRAWS = 1000
ENOUGH = 0.9  # of the draws: in the others a group is empty
UNKNOWN = (float("nan"), float("nan"))
CELLS_AT_ONCE = 4_000_000  # 32 MB

Statistic = Callable[[Float[np.ndarray, "n_draws n_cells"], Float[np.ndarray, "n_draws n_cells"]], np.ndarray]
"""``statistic(right, n)``: (n_draws,) from how many samples of each cell are right, and how many there are."""


@dataclass(frozen=True, eq=False)
class Redrawn:
    """Counts of every draw of images; both models are counted on the same draws.

    Attributes
    ----------
    n, before, after : Float[np.ndarray, "n_draws n_cells"]
        Samples, and how many of them each model gets right.
    own_n, own_before, own_after : Float[np.ndarray, "1 n_cells"]
        The same of the images as they are.
    """

    n: Float[np.ndarray, "n_draws n_cells"]
    before: Float[np.ndarray, "n_draws n_cells"]
    after: Float[np.ndarray, "n_draws n_cells"]
    own_n: Float[np.ndarray, "1 n_cells"]
    own_before: Float[np.ndarray, "1 n_cells"]
    own_after: Float[np.ndarray, "1 n_cells"]

    def interval(self, statistic: Statistic) -> tuple[float, float]:
        """95 % interval of the statistic's difference, after less before; NaN where too few draws have it.

        It is the basic interval (Davison & Hinkley 1997, section 2.4), as far below the difference as draws lie above
        it. Draws of a sum of sizes, such as G, lie too high; so would an interval between their percentiles.

        Parameters
        ----------
        statistic : Statistic
            What is compared, of the counts of each draw.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = statistic(self.after, self.n) - statistic(self.before, self.n)
            own = float((statistic(self.own_after, self.own_n) - statistic(self.own_before, self.own_n))[0])
        known = drawn[np.isfinite(drawn)]
        if len(known) < ENOUGH * len(drawn) or not np.isfinite(own):
            return UNKNOWN
        low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return 2 * own - float(high), 2 * own - float(low)


def redraw(before: Samples, after: Samples, n_cells: int, *, n_draws: int = N_DRAWS, seed: int = 0) -> Redrawn:
    """Draw images with replacement, each with all its samples (Efron & Tibshirani 1993, chapter 8: clusters).

    Parameters
    ----------
    before, after : Samples
        Two models' outcomes on the same samples.
    n_cells : int
        Two times the classes.
    n_draws : int
        How often the images are drawn.
    seed : int
        Same seed, same result.

    Examples
    --------
    One model gets all of ten images right, the other none: no draw says otherwise.

    >>> images, right = np.arange(10), np.ones(10, bool)
    >>> old, new = (Samples(np.zeros(10, int), each, images, 1) for each in (~right, right))
    >>> redraw(old, new, 2).interval(overall)
    (1.0, 1.0)
    """
    code = 4 * before.cell + 2 * before.correct + after.correct
    patterns, n_images = _patterns(code, before.image, 4 * n_cells)
    rng = np.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // len(n_images))
    parts = []
    for start in range(0, n_draws, at_once):
        n = min(at_once, n_draws - start)
        drawn = rng.multinomial(n_images.sum(), n_images / n_images.sum(), size=n)
        parts.append(drawn @ patterns)
    return Redrawn(*_counts(np.concatenate(parts), n_cells), *_counts(n_images[None] @ patterns, n_cells))


def _counts(codes: Float[np.ndarray, "n n_codes"], n_cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples of each cell, and how many of them are right before and after."""
    table = codes.reshape(len(codes), n_cells, 2, 2)
    return table.sum((2, 3)), table[:, :, 1].sum(2), table[:, :, :, 1].sum(2)


def _patterns(
    code: Int[np.ndarray, " n"], image: Int[np.ndarray, " n"], n_codes: int
) -> tuple[csr_array, Int[np.ndarray, " n_patterns"]]:
    """How often each code is in an image, sparse (n_patterns, n_codes), and how many images are like that.

    Images of one sample each are gathered by their code; those of several are kept one by one.
    """
    from scipy.sparse import csr_array  # here, for it is slow to import

    own, index = np.unique(image, return_inverse=True)
    if len(own) == len(image):
        found, n_images = np.unique(code, return_counts=True)
        return csr_array((np.ones(len(found)), (np.arange(len(found)), found)), shape=(len(found), n_codes)), n_images
    table = csr_array((np.ones(len(code)), (index, code)), shape=(len(own), n_codes))
    return table, np.ones(len(own), np.int64)


def overall(right: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Accuracy of all samples.

    Parameters
    ----------
    right : np.ndarray
        How many samples of each cell are right, in each draw.
    n : np.ndarray
        How many samples each cell has, in each draw.
    """
    return right.sum(1) / n.sum(1)


def worst(large: Bool[np.ndarray, " n_cells"]) -> Statistic:
    """The lowest accuracy of the groups that are large enough to count.

    Parameters
    ----------
    large : Bool[np.ndarray, "n_cells"]
        Which cells count.
    """

    def lowest(right: np.ndarray, n: np.ndarray) -> np.ndarray:
        return np.where(n > 0, right / n, np.inf)[:, large].min(1, initial=np.inf)

    return lowest


def group(cell: int) -> Statistic:
    """Accuracy of one group.

    Parameters
    ----------
    cell : int
        Two times the class, plus 1 where the feature is there.
    """
    return lambda right, n: right[:, cell] / n[:, cell]


def shortcut(at: int, which: int) -> Statistic:
    """epsilon_1 or epsilon_2 (``which`` 0 or 1) of a shortcut to class ``at``, as ``shortcut_strength`` has them.

    Parameters
    ----------
    at : int
        Number of the class.
    which : int
        0 for epsilon_1, 1 for epsilon_2.
    """

    return lambda right, n: epsilons((right / n).reshape(len(n), -1, 2), at)[which]


def gap(right: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Performance gap G, as ``performance_gap`` has it.

    Parameters
    ----------
    right : np.ndarray
        How many samples of each cell are right, in each draw.
    n : np.ndarray
        How many samples each cell has, in each draw.
    """
    (n_out, n_in), (right_out, right_in) = (np.moveaxis(each.reshape(len(each), -1, 2), 2, 0) for each in (n, right))
    return weighted_gaps(n_in, n_out, right_in, right_out)[3]


def unknown(right: np.ndarray, n: np.ndarray) -> np.ndarray:
    """What the samples cannot tell: NaN for every draw.

    Parameters
    ----------
    right : np.ndarray
        How many samples of each cell are right, in each draw.
    n : np.ndarray
        How many samples each cell has, in each draw.
    """
    return np.full(len(n), np.nan)
