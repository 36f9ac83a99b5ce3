"""shared_ranges(): the range of values that the images of a set share where their files do not tell it.

How bright a grey of 16 bits is, depends on how many bits its detector uses, and a picture's own largest value is no
good guess: of two images of one detector, the darker would come out brighter. Reading every pixel of a large set first
would double its cost, so of many images some are read, evenly spread over the set, and the note says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ravl_explore.data.depth import depth_of
from ravl_explore.data.dicom_shades import COLORS
from ravl_explore.data.formats import Source, Sources
from ravl_explore.data.reading import DEEP, Range, read_range
from ravl_explore.errors import DataError
from ravl_explore.support.progress import Progress, report

MOST_READ = 1000  # images of one kind; seconds to a minute
THREADS = 8
STAGE = "Reading the range of values"


@dataclass(frozen=True)
class SharedRange:
    """The range of the images of one kind in a set.

    Attributes
    ----------
    kind : str
        As of :class:`~ravl_explore.data.reading.Header`.
    low : float
        Least value of the images that were read.
    high : float
        Largest value of these.
    n_images : int
        How many of the kind there are.
    n_read : int
        How many of them were read.
    largest : int
        Place in the set of the image with the largest value.
    """

    kind: str
    low: float
    high: float
    n_images: int
    n_read: int
    largest: int

    def note(self, where: str) -> str:
        """A sentence for the user.

        Parameters
        ----------
        where : str
            Names the image with the largest value.
        """
        if self.kind in (DEEP, COLORS):
            shown = f"at one depth, {depth_of(int(self.high))} bits, which the largest value needs"
        else:
            shown = f"from {self.low:g} to {self.high:g}, their least and largest value"
        kind = f"{self.kind[0].upper()}{self.kind[1:]}, {self.n_images} in all,"
        told = f"{kind} are shown {shown} ({self.high:g}, in {where!r})"
        if self.n_read < self.n_images:
            told += f"; {self.n_read} of them were looked at, and what is brighter in others is white"
        return f"{told}."


def shared_ranges(
    sources: Sources, kinds: Mapping[int, str], progress: Progress | None = None
) -> dict[str, SharedRange]:
    """Kind -> the range that the images of this kind share. Images that cannot be read do not count.

    Parameters
    ----------
    sources : Sources
        All images of the set.
    kinds : mapping, int -> str
        Place in ``sources`` -> kind, of the images whose range their files do not tell.
    progress : Progress or None
        Told the images that were read.
    """
    places = {kind: [row for row, each in kinds.items() if each == kind] for kind in sorted(set(kinds.values()))}
    chosen = {kind: [rows[i] for i in _spread(len(rows))] for kind, rows in places.items()}
    n_all, n_done = sum(map(len, chosen.values())), 0
    found: dict[str, SharedRange] = {}
    if n_all:
        report(progress, 0, n_all, STAGE)
    with ThreadPoolExecutor(THREADS) as pool:
        for kind, rows in chosen.items():
            ranges: dict[int, Range] = {}
            for start in range(0, len(rows), THREADS):
                part = rows[start : start + THREADS]
                read = zip(part, pool.map(lambda row: _range_or_none(sources[row]), part), strict=True)
                ranges |= {row: each for row, each in read if each is not None}
                report(progress, n_done + start + len(part), n_all, STAGE)
            n_done += len(rows)
            if ranges:
                largest = max(ranges, key=lambda row: ranges[row][1])
                low, high = min(each[0] for each in ranges.values()), ranges[largest][1]
                found[kind] = SharedRange(kind, low, high, len(places[kind]), len(rows), largest)
    return found


def ranges_of(found: Mapping[str, SharedRange]) -> Callable[[str], Range | None]:
    """What :func:`~ravl_explore.data.reading.read_image` takes as ``ranges``.

    Parameters
    ----------
    found : mapping, str -> SharedRange
        As :func:`shared_ranges` gives it.
    """
    return lambda kind: (found[kind].low, found[kind].high) if kind in found else None


def _spread(n_images: int) -> list[int]:
    """All of few images, else ``MOST_READ`` of them from the first to the last."""
    return np.linspace(0, n_images - 1, min(n_images, MOST_READ)).round().astype(int).tolist()


def _range_or_none(source: Source) -> Range | None:
    try:
        return read_range(source)
    except DataError:  # reading the image itself tells
        return None
