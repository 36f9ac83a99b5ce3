"""Pages of a few images, each drawn evenly over a dataset."""

from __future__ import annotations

A_PAGE = 6


def n_pages(n_images: int, most: int | None = None) -> int:
    """How many pages there are of a dataset, or of its first ``most`` images; one at least."""
    return max(1, -(-_shown(n_images, most) // A_PAGE))


def page_of(number: int, n_images: int, most: int | None = None) -> range:
    """The images of a page.

    >>> list(page_of(1, 8)), list(page_of(0, 8))
    ([1, 3, 5, 7], [0, 2, 4, 6])
    """
    return range(number, _shown(n_images, most), n_pages(n_images, most))


def place(number: int, n_images: int, most: int | None = None) -> str:
    """Which images in the order of the pages these are.

    >>> place(1, 8)
    'Images 5 to 8 of 8, drawn evenly.'
    """
    before = sum(len(page_of(earlier, n_images, most)) for earlier in range(number))
    last = before + len(page_of(number, n_images, most))
    spread = ", drawn evenly" if n_images > A_PAGE else ""
    return f"Images {before + 1:,} to {last:,} of {n_images:,}{spread}."


def _shown(n_images: int, most: int | None) -> int:
    return n_images if most is None else min(n_images, most)
