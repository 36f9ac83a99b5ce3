"""Arrays of embeddings that are filled from the front, and how far they are; here those in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from jaxtyping import Float32

FORMAT = "embeddings 2"
ARRAYS = ("image", "region")

Gap = tuple[int, str, str]
"""An image that gave no row: its place among the images that are to be embedded, its file or number, and why."""


@dataclass
class State:
    """How far the arrays are filled.

    Attributes
    ----------
    model_name, data_name : str
        What is embedded with what, for the list of what is cached.
    seen : int
        Images that were read or skipped.
    n_images, n_regions : int
        Rows that are there.
    skipped : list of Gap
        Of the images seen.
    complete : bool
        Whether all is there.
    checksums : dict of str to int
        CRC-32 of the filled part of each array that lies on disk.
    format : str
        The version that wrote it.
    """

    model_name: str = ""
    data_name: str = ""
    seen: int = 0
    n_images: int = 0
    n_regions: int = 0
    skipped: list[Gap] = field(default_factory=list)
    complete: bool = False
    checksums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ARRAYS, 0))
    format: str = FORMAT


class Arrays(Protocol):
    """Rows of images and of regions, in the order in which they are appended.

    Attributes
    ----------
    state : State
        How far they are filled.
    """

    state: State

    def append(
        self,
        seen: int,
        image: Float32[np.ndarray, "n dim"],
        region: Float32[np.ndarray, "m dim"],
        skipped: list[Gap],
    ) -> None:
        """Add the next rows.

        Parameters
        ----------
        seen : int
            Images that are behind us now, read or skipped.
        image, region : Float32[np.ndarray, "n dim"]
            The next ones, maybe none.
        skipped : list of Gap
            Images since the last call that gave no row.
        """
        ...

    def finish(self) -> None:
        """All is there."""
        ...

    def close(self) -> None:
        """Keep what is done; safe to call twice."""
        ...

    def read(self) -> tuple[Float32[np.ndarray, "n_images dim"], Float32[np.ndarray, "n_regions dim"]]:
        """The rows that are there."""
        ...


class MemoryArrays:
    """:class:`Arrays` in memory.

    Parameters
    ----------
    dim : int
        Embedding size.
    """

    def __init__(self, dim: int) -> None:
        self.state = State()
        self._image: list[np.ndarray] = [np.zeros((0, dim), np.float32)]
        self._region: list[np.ndarray] = [np.zeros((0, dim), np.float32)]

    def append(
        self,
        seen: int,
        image: Float32[np.ndarray, "n dim"],
        region: Float32[np.ndarray, "m dim"],
        skipped: list[Gap],
    ) -> None:
        """Add the next rows; ``seen`` counts the images that are behind us now."""
        self.state.seen = seen
        self.state.skipped += skipped
        self._image.append(image)
        self._region.append(region)

    def finish(self) -> None:
        """All is there."""
        self.state.complete = True

    def close(self) -> None:
        """Nothing is to be kept."""

    def read(self) -> tuple[Float32[np.ndarray, "n_images dim"], Float32[np.ndarray, "n_regions dim"]]:
        """The rows that are there."""
        return np.concatenate(self._image), np.concatenate(self._region)
