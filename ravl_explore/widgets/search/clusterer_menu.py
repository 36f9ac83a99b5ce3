"""The clusterers of the menu, which are made only once the numbers of classes and regions are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from ravl_explore import clustering
from ravl_explore.clustering import Clusterer, Clustering, automatic, automatic_sweep
from ravl_explore.support.progress import Progress
from ravl_explore.widgets.basics.menus import Choice

Make = Callable[[int, int], Clusterer]
"""``make(n_classes, n_regions)``"""


class Sized:
    """A clusterer that is made once the number of regions is known.

    Parameters
    ----------
    make : callable
        ``make(n_classes, n_regions)`` gives the clusterer that does the work.
    n_classes : int
        Of the dataset.
    """

    name = "picked in the menu"

    def __init__(self, make: Make, n_classes: int) -> None:
        self._make, self._n_classes = make, n_classes

    def __call__(self, embeddings: Float[np.ndarray, "n dim"], progress: Progress | None = None) -> Clustering:
        """Cluster these regions."""
        return self._make(self._n_classes, len(embeddings))(embeddings, progress)


def clusterer_choices() -> list[Choice[Make]]:
    """The menu's entries: the automatic choice, then each of ``ravl_explore.clustering``; each makes a :data:`Make`."""
    parts = [getattr(clustering, name) for name in clustering.__all__]
    named = [part for part in parts if isinstance(getattr(part, "name", None), str)]
    return [Choice("Automatic", lambda: automatic), *(Choice(part.name, _sweep(part)) for part in named)]


def _sweep(part: Callable[[tuple[int, ...]], Clusterer]) -> Callable[[], Make]:
    return lambda: lambda n_classes, n_regions: part(automatic_sweep(n_classes, n_regions))
