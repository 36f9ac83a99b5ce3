"""CropAnswers: what a crop gallery answers the browser, thumbnails of a page or one crop in its whole image."""

from __future__ import annotations

import logging
import operator
import threading
from collections import Counter
from collections.abc import Sequence

from ravl_explore.errors import RavlError
from ravl_explore.widgets.findings.crop_checks import CropSource, checked_box, checked_facts, checked_image

_IMAGE_SIZE = 640  # pixels of the opened image's longer side: the pane is never wider than about half a notebook
_MAX_ERRORS = 3  # different error messages listed for one page

logger = logging.getLogger(__name__)

Answer = tuple[dict[str, object], list[bytes]]
"""Plain JSON, and the images that it names by their place."""


class CropAnswers:
    """Asks a source, one call at a time; what it fails at is told in its place, and everything else is given."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held while a source is asked

    def thumbnails(self, source: CropSource, regions: Sequence[int], size: int) -> Answer:
        """Return ``items``, one a region, and the ``errors`` among them.

        Parameters
        ----------
        source : CropSource
            Where pixels and facts come from.
        regions : (n,) int
            Region ids, in the order of the items.
        size : int
            Pixels of a thumbnail's longer side.
        """
        items, images, errors = [], [], Counter()
        for region in regions:
            item, image = self._thumbnail(source, region, size)
            if image is not None:
                item["buffer"] = len(images)
                images.append(image)
            errors.update([item["error"]] if "error" in item else [])
            items.append(item)
        return {"items": items, "errors": _listed(errors)}, images

    def whole_image(self, source: CropSource, region: int) -> Answer:
        """Return a region's facts, its ``box`` in its whole image, and the ``errors``; the image, if there is one."""
        answer: dict[str, object] = {"region": operator.index(region)}
        images, errors = [], []
        with self._lock:
            try:
                answer |= checked_facts(source.describe(region), region)
            except Exception as error:
                errors.append(told(error))
            try:
                data, box = source.image(region, _IMAGE_SIZE)
                image, answer["type"] = checked_image(data, "image")
                answer["box"] = checked_box(box)
                images.append(image)
            except Exception as error:
                errors.append(told(error))
        return answer | {"errors": list(dict.fromkeys(errors))}, images

    def _thumbnail(self, source: CropSource, region: int, size: int) -> tuple[dict[str, object], bytes | None]:
        item: dict[str, object] = {"region": region}
        with self._lock:
            try:
                facts = checked_facts(source.describe(region), region)
                item |= {name: facts[name] for name in facts if name not in ("image", "scores")}
                image, item["type"] = checked_image(source.crop(region, size), "crop")
            except Exception as error:  # shown in the crop's place and above the page; the others still show
                return item | {"error": told(error)}, None
        return item, image


def told(error: Exception) -> str:
    """Return an error as one line for the user; log those that nobody raised on purpose."""
    if isinstance(error, RavlError):
        return str(error)
    logger.warning("A crop could not be made", exc_info=error)
    return f"{type(error).__name__}: {error}"


def _listed(errors: Counter[str]) -> list[str]:
    """Return the page's errors, each once with its count, the commonest first."""
    lines = [text if n == 1 else f"{text} ({n} crops)" for text, n in errors.most_common(_MAX_ERRORS)]
    more = len(errors) - _MAX_ERRORS
    return [*lines, f"{more} more kinds of error."] if more > 0 else lines
