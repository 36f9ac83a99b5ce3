"""Sliding windows: boxes of one size at even steps, so that neighbours overlap."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ravl_explore.regions.base import Regions
from ravl_explore.regions.dataset_members import HasImageSizes
from ravl_explore.regions.proposing import check_room, sizes_of_images
from ravl_explore.support import checks
from ravl_explore.support.fields import Field

ROUNDING = 1e-9  # steps such as 0.1 do not add up exactly


@dataclass(frozen=True)
class Sliding:
    """Windows of ``size`` at every ``step``, row after row from the top left; the last ones end at the image's edge.

    Parameters
    ----------
    size : float
        Width and height of a window as a fraction of the image's own, above 0 to 1.
    step : float
        How far the next window starts, in the same fractions; one window after another for ``step == size``.

    Raises
    ------
    InputError
        For settings out of range.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> Sliding(0.5, 0.25)(SimpleNamespace(image_sizes=np.array([[80, 40]]))).boxes[:3].tolist()
    [[0.0, 0.0, 40.0, 20.0], [20.0, 0.0, 60.0, 20.0], [40.0, 0.0, 80.0, 20.0]]
    """

    form_label = "Sliding windows"
    form = (
        Field("size", "Size", "number", 0.5, "of a window, as a fraction of the image's width and height"),
        Field("step", "Step", "number", 0.25, "from one window to the next, as a fraction of the image's sides"),
    )

    size: float = 0.5
    step: float = 0.25

    def __post_init__(self) -> None:
        remedy = "It is a fraction of the image's width and height."
        for name in ("size", "step"):
            value = checks.number(f"a {name}", getattr(self, name), above=0, high=1, remedy=remedy)
            object.__setattr__(self, name, value)

    @property
    def name(self) -> str:
        """Short name for menus."""
        return f"Sliding windows {self.size:g}, step {self.step:g}"

    def __call__(self, data: HasImageSizes) -> Regions:
        """Boxes for every image, in pixels of the stored images.

        Parameters
        ----------
        data : HasImageSizes
            The dataset whose images are cut.
        """
        sizes = sizes_of_images(data)
        check_room(math.ceil((1 - self.size) / self.step + 1) ** 2, len(sizes), self.name, "Take longer steps.")
        starts = np.arange(0, 1 - self.size + ROUNDING, self.step)
        if starts[-1] < 1 - self.size - ROUNDING:
            starts = np.append(starts, 1 - self.size)
        stops = np.minimum(starts + self.size, 1)
        cells = np.array(
            [
                [x1, y1, x2, y2]
                for y1, y2 in zip(starts, stops, strict=True)
                for x1, x2 in zip(starts, stops, strict=True)
            ]
        )
        boxes = (cells[None] * sizes[:, [0, 1, 0, 1]][:, None]).reshape(-1, 4)
        return Regions(boxes, np.repeat(np.arange(len(sizes)), len(cells)))
