"""Equal cells: every image is cut into rows x cols boxes, as the paper does for its quadrant images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ravl_explore.regions.base import Regions
from ravl_explore.regions.dataset_members import HasImageSizes
from ravl_explore.regions.proposing import check_room, sizes_of_images
from ravl_explore.support import checks
from ravl_explore.support.fields import Field

EXAMPLE = "Try Grid(2, 2)."


@dataclass(frozen=True)
class Grid:
    """Cut every image into ``rows`` x ``cols`` equal boxes, row after row from the top left.

    Parameters
    ----------
    rows, cols : int
        Cells down and across, at least one.

    Raises
    ------
    InputError
        For fewer.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> Grid(2, 2)(SimpleNamespace(image_sizes=np.array([[56, 56]]))).boxes.tolist()[1]
    [28.0, 0.0, 56.0, 28.0]
    """

    form_label = "Grid"
    form = (
        Field("rows", "Rows", "integer", 3, "of equal cells"),
        Field("cols", "Columns", "integer", 3, "of equal cells"),
    )

    rows: int = 2
    cols: int = 2

    def __post_init__(self) -> None:
        for name in ("rows", "cols"):
            value = checks.whole(f"at least one row and one column: {name}", getattr(self, name), 1, remedy=EXAMPLE)
            object.__setattr__(self, name, value)

    @classmethod
    def menu(cls) -> dict[str, tuple[int, int]]:
        """Menu label -> constructor arguments."""
        return {"Quadrants (2 x 2)": (2, 2), "Grid 3 x 3": (3, 3), "Grid 4 x 4": (4, 4), "Whole image": (1, 1)}

    @property
    def name(self) -> str:
        """Short name for menus."""
        return f"Grid {self.rows} x {self.cols}"

    def __call__(self, data: HasImageSizes) -> Regions:
        """Boxes for every image, in pixels of the stored images.

        Parameters
        ----------
        data : HasImageSizes
            The dataset whose images are cut.
        """
        sizes = sizes_of_images(data)
        check_room(self.rows * self.cols, len(sizes), self.name, "Take a coarser grid.")
        xs, ys = np.arange(self.cols + 1) / self.cols, np.arange(self.rows + 1) / self.rows
        cells = np.array([[xs[c], ys[r], xs[c + 1], ys[r + 1]] for r in range(self.rows) for c in range(self.cols)])
        boxes = (cells[None] * sizes[:, [0, 1, 0, 1]][:, None]).reshape(-1, 4)
        return Regions(boxes, np.repeat(np.arange(len(sizes)), len(cells)))
