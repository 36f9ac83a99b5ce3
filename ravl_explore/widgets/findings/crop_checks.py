"""CropSource: what a crop gallery asks for pixels and facts, and the checks of what it is given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from ravl_explore.errors import InputError

_MAX_SCORES = 5  # classes listed for an opened crop
_FACTS = ("image", "name", "label", "prediction", "correct", "cluster", "scores")
_SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}

Facts = Mapping[str, Any]
"""What a source knows of a region, whatever it is, before it is checked."""


@runtime_checkable
class CropSource(Protocol):
    """What a gallery asks for pixels and facts; any object with these three methods will do.

    The gallery calls one method at a time, but from whichever thread a message of the browser arrives on, so a method
    must not rely on the main thread. A method that fails should raise :class:`ravl_explore.errors.RavlError`: its
    text is shown in the gallery, and the other crops still show.
    """

    def crop(self, region: int, size: int) -> bytes:
        """JPEG or PNG bytes of the region's pixels, fitted in ``size`` x ``size`` pixels (smaller is fine)."""
        ...

    def image(self, region: int, size: int) -> tuple[bytes, tuple[float, float, float, float]]:
        """Return the whole image around a region, and where in it the region lies.

        Returns
        -------
        bytes
            JPEG or PNG, fitted in ``size`` x ``size`` pixels (smaller is fine).
        (x1, y1, x2, y2)
            The region's box as fractions of the image's width and height, 0 to 1; y grows down.
        """
        ...

    def describe(self, region: int) -> Facts:
        """Return what is known about a region.

        Returns
        -------
        dict
            ``image`` (int, the image's index), ``name`` (str, such as its file name), ``label`` (str, the truth),
            ``prediction`` (str, of the whole image), ``correct`` (bool), ``cluster`` (int or None) and ``scores``:
            a list of ``{"class_name": str, "image": float, "region": float}``, best first, scores 0 to 1; the
            gallery shows the first five. Optionally ``caption`` (str), a line under the thumbnail, and ``whole``
            (True), which says that the ids are those of whole images: then there is no box and no cluster.
        """
        ...


def checked_source(source: CropSource) -> CropSource:
    """Return a source that has the methods, or raise InputError."""
    missing = [name for name in ("crop", "image", "describe") if not callable(getattr(source, name, None))]
    if missing:
        raise InputError(
            "a source with the methods crop, image and describe",
            f"{type(source).__name__} without {', '.join(missing)}",
            "See ravl_explore.widgets.findings.crop_checks.CropSource.",
        )
    return source


def checked_index(region_index: Sequence[int] | np.ndarray) -> Int[np.ndarray, " n"]:
    """Return a copy of region ids, none twice, as int64, or raise InputError."""
    index = np.asarray(region_index)
    if index.size == 0:
        return np.zeros(0, np.int64)
    if index.dtype == bool:
        raise InputError("region ids", "a boolean mask", "Give np.flatnonzero(mask).")
    if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
        raise InputError(
            "a flat list of whole region ids", f"{index.dtype} of shape {index.shape}", "Give one id per crop."
        )
    if index.min() < 0:
        raise InputError("region ids from 0 up", f"{index.min()}", "Drop the negative ones.")
    ordered = np.sort(index)  # of a million, far quicker than NumPy's unique
    if (ordered[1:] == ordered[:-1]).any():
        raise InputError("each region once", "some region twice", "Drop the repeated ones.")
    return index.astype(np.int64)  # a copy: the caller may go on writing into theirs


def checked_facts(facts: Facts, region: int) -> Mapping[str, object]:
    """Return a description as plain JSON values, or raise InputError."""
    missing = [name for name in _FACTS if name not in facts]
    if missing:
        raise InputError(f"{', '.join(_FACTS)} about region {region}", f"no {', '.join(missing)}", "Mend the source.")
    optional = {"caption": str(facts["caption"])} if "caption" in facts else {}
    optional |= {"whole": True} if facts.get("whole") else {}
    return optional | {
        "image": int(facts["image"]),
        "name": str(facts["name"]),
        "label": str(facts["label"]),
        "prediction": str(facts["prediction"]),
        "correct": bool(facts["correct"]),
        "cluster": None if facts["cluster"] is None else int(facts["cluster"]),
        "scores": [
            {
                "class_name": str(score["class_name"]),
                "image": _checked_score(score["image"]),
                "region": _checked_score(score["region"]),
            }
            for score in list(facts["scores"])[:_MAX_SCORES]
        ],
    }


def _checked_score(score: float | None) -> float | None:
    """Return a score for JSON, which knows no NaN."""
    return float(score) if score is not None and math.isfinite(score) else None


def checked_image(data: object, method: str) -> tuple[bytes, str]:
    """Return image bytes with their MIME type, or raise InputError."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        data = bytes(data)
        for signature, mime in _SIGNATURES.items():
            if data.startswith(signature):
                return data, mime
    came = f"{len(data)} other bytes" if isinstance(data, bytes) else type(data).__name__
    raise InputError(f"JPEG or PNG bytes from {method}()", came, "Mend the source.")


def checked_box(box: Iterable[float]) -> list[float]:
    """Return a box within the image, or raise InputError."""
    x1, y1, x2, y2 = (float(value) for value in box)
    if not (x1 < x2 and y1 < y2 and math.isfinite(x2 - x1) and math.isfinite(y2 - y1)):
        raise InputError("a box x1, y1, x2, y2 with x1 < x2 and y1 < y2", f"{(x1, y1, x2, y2)}", "Mend the source.")
    return [min(max(0.0, value), 1.0) for value in (x1, y1, x2, y2)]
