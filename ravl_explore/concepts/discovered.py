"""Discovered: masks from the regions that discovery found, so that no other model is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from ravl_explore.concepts.base import Mask, Shown, count_of, nothing
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.errors import InputError
from ravl_explore.support.fingerprints import digest

Promote = Literal["clean", "core"]
PROMOTES: tuple[Promote, ...] = get_args(Promote)


@dataclass(frozen=True)
class Discovered:
    """Promote what is not spurious and suppress what is, by the boxes of RaVL's regions.

    Neither paper joins the two methods; this is our reading. A pixel in a spurious box is spurious, whatever other
    boxes it lies in. What lies in no box is neither promoted nor suppressed.

    Parameters
    ----------
    promote : {"core", "clean"}
        ``core`` unless given, since with CFT on the demo's ViT (val, one seed, 1e-4) alignment rose alike, while
        ``core`` cost 1.6 points of accuracy and ``clean`` 4.3. ``core``: only the box that shows the image's class is
        promoted and, as CFT's complement of the concepts (Eq. 4), all other pixels are suppressed, in every image; one
        without a core box (all are spurious, or no label) has nothing to promote, and its spurious boxes alone are
        suppressed. ``clean``: all boxes that are not spurious are promoted, the spurious ones suppressed; an image
        without a spurious box has nothing to suppress, so that concept-guided fine-tuning only holds its class.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from ravl_explore.data import ArrayDataset
    >>> from ravl_explore.regions import Regions
    >>> data = ArrayDataset(np.zeros((1, 2, 4, 3), np.uint8), [0], ["cat", "dog"])
    >>> boxes = Regions(np.array([[0, 0, 2, 2], [2, 0, 4, 2]]), np.array([0, 0]))
    >>> shown = SimpleNamespace(regions=boxes, spurious=np.array([False, True]), core=np.array([True, False]))
    >>> promote, suppress = Discovered("clean").open(data, shown)(0)
    >>> promote[0].tolist(), suppress[0].tolist()
    ([True, True, False, False], [False, False, True, True])
    """

    promote: Promote = "core"

    uses_regions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.promote, str) or self.promote not in PROMOTES:
            raise InputError(f"promote one of {', '.join(PROMOTES)}", repr(self.promote), 'Try "clean".')

    @classmethod
    def menu(cls) -> dict[str, tuple[Promote]]:
        """Menu label -> constructor arguments."""
        return {"Discovered: the core region": ("core",), "Discovered: all clean regions": ("clean",)}

    @property
    def name(self) -> str:
        """Short name for menus and run folders."""
        return "discovered regions" if self.promote == "clean" else "discovered core regions"

    def open(self, data: ImageTextDataset, shown: Shown | None = None) -> DiscoveredMasks:
        """The masks of ``data`` by what its regions show.

        Parameters
        ----------
        data : ImageTextDataset
            Whose images the masks are of.
        shown : Shown or None
            What its regions show; only sources that use regions need it.

        Raises
        ------
        InputError
            Without ``shown``, or when it is of other images.
        """
        if shown is None:
            raise InputError("what the regions show", "none", "Give rx.assign(model, data, features, proposer).")
        return DiscoveredMasks(self, data, shown)


class DiscoveredMasks:
    """See :class:`Discovered`; drawn from the boxes whenever asked for."""

    def __init__(self, source: Discovered, data: ImageTextDataset, shown: Shown) -> None:
        self.name, self._promote, self._shown = source.name, source.promote, shown
        self._sizes = np.asarray(data.image_sizes)
        shown.regions.check_inside(self._sizes)
        n_regions = len(shown.regions)
        if len(shown.spurious) != n_regions or len(shown.core) != n_regions:
            raise InputError(
                f"spurious and core flags for {n_regions} regions",
                f"{len(shown.spurious)} and {len(shown.core)}",
                "Give one flag per region.",
            )
        self.notes = self._notes()

    def __len__(self) -> int:
        return len(self._sizes)

    def __call__(self, index: int) -> tuple[Mask, Mask]:
        """(promote, suppress) of one image, in pixels of the stored image.

        Parameters
        ----------
        index : int
            The image's number, from 0 up.
        """
        width, height = self._sizes[index].tolist()
        promote, suppress = nothing(height, width)
        rows = self._shown.regions.rows(index)
        boxes, spurious, core = self._shown.regions.boxes[rows], self._shown.spurious[rows], self._shown.core[rows]
        for box in boxes[spurious]:
            suppress[_cells(box)] = True
        for box in boxes[core] if self._promote == "core" else boxes[~spurious]:
            promote[_cells(box)] = True
        promote &= ~suppress
        if self._promote == "core" and promote.any():
            suppress = ~promote
        return promote, suppress

    def fingerprint(self) -> str:
        """Of the boxes and what they show."""
        shown = self._shown
        arrays = (self._sizes, shown.regions.boxes, shown.regions.image_index, shown.spurious, shown.core)
        return digest(["discovered", self._promote, *arrays])

    def _notes(self) -> tuple[str, ...]:
        shown, n_images = self._shown, len(self)
        chosen = shown.core if self._promote == "core" else ~shown.spurious
        one_sided = {
            "region to promote": n_images - _n_images_with(shown, chosen),
            "spurious region": n_images - _n_images_with(shown, shown.spurious) if self._promote == "clean" else 0,
        }
        return tuple(f"{count_of(n, 'image has', 'images have')} no {what}." for what, n in one_sided.items() if n)


def _n_images_with(shown: Shown, chosen: Bool[np.ndarray, " n_regions"]) -> int:
    return len(np.unique(shown.regions.image_index[chosen]))


def _cells(box: Float[np.ndarray, "4"]) -> tuple[slice, slice]:
    """Rows and columns of the pixels whose centre lies in a box: boxes that tile an image share no pixel."""
    x1, y1, x2, y2 = np.maximum(np.ceil(np.asarray(box, np.float64) - 0.5), 0).astype(int).tolist()
    return slice(y1, y2), slice(x1, x2)
