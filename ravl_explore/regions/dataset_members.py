"""What a proposer may find in a dataset beyond its images; the rest of such members is in data/optional_members.py."""

from __future__ import annotations

from ravl_explore.regions.base import HasImageSizes, Regions


def own_regions(data: HasImageSizes) -> Regions | None:
    """The boxes that come with a dataset, its ``regions``; None where none do.

    Parameters
    ----------
    data : HasImageSizes
        The dataset.
    """
    return getattr(data, "regions", None)


def known_name(data: HasImageSizes) -> str:
    """One name for a dataset's images, its ``fingerprint()``; empty where it has none.

    Parameters
    ----------
    data : HasImageSizes
        The dataset.
    """
    told = getattr(data, "fingerprint", None)
    return "" if told is None else str(told())
