"""The selected regions as thumbnails, and any crop opened in its whole image with its box, label and scores."""

from __future__ import annotations

import logging
import math
import operator
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import anywidget
import ipywidgets
import numpy as np
import traitlets

from ravl_explore.errors import InputError, RavlError
from ravl_explore.widgets.basics.acts import act
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.static import script, style

logger = logging.getLogger(__name__)

_IMAGE_SIZE = 640  # pixels of the opened image's longer side: the pane is never wider than about half a notebook
_MAX_SCORES = 5  # classes listed for an opened crop
_MAX_ERRORS = 3  # different error messages listed for one page
_FACTS = ("image", "name", "label", "prediction", "correct", "cluster", "scores")


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

    def describe(self, region: int) -> Mapping[str, Any]:
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


@dataclass(frozen=True, eq=False)
class _Shown:
    """One list of crops; replaced as a whole, so that any thread sees either the old list or the new one."""

    source: CropSource
    index: np.ndarray
    title: str = ""
    selected: int | None = None
    revision: int = 0

    def page_of(self, region: int | None, page_size: int) -> int | None:
        """Return the page that holds a region, or None."""
        if region is None:
            return None
        found = np.flatnonzero(self.index == region)
        return int(found[0]) // page_size if len(found) else None

    def n_pages(self, page_size: int) -> int:
        """Return how many pages there are; an empty list has one."""
        return max(1, math.ceil(len(self.index) / page_size))


class _RegionId(traitlets.Int):
    """A whole number from 0 up, NumPy's included, or None."""

    def validate(self, obj: Any, value: Any) -> int | None:
        """Turn NumPy integers into Python's, and refuse negative ones."""
        if value is None or isinstance(value, (bool, np.bool_)):
            return super().validate(obj, None if value is None else "a bool")
        try:
            value = operator.index(value)
        except TypeError:
            self.error(obj, value)
        if value < 0:
            self.error(obj, value)
        return super().validate(obj, value)


class CropGallery(Closing, anywidget.AnyWidget):
    """A page of thumbnails, and one crop opened in its whole image.

    Nothing is encoded before the browser asks for it, and then only one page. All state lives in the kernel: a
    reloaded page shows the same crops. Methods and traits may be used from any thread.

    Parameters
    ----------
    source : CropSource
        Where pixels and facts come from.
    page_size : int
        Most thumbnails on one page, 1 to 500.
    thumbnail : int
        Side of a thumbnail in pixels of the screen, 24 to 384.

    Raises
    ------
    InputError
        When ``source`` lacks a method.
    TypeError
        For a keyword argument that is not listed here.
    traitlets.TraitError
        For a ``page_size`` or ``thumbnail`` out of range.

    Examples
    --------
    >>> class Source:
    ...     def crop(self, region, size): ...
    ...     def image(self, region, size): ...
    ...     def describe(self, region): ...
    >>> gallery = CropGallery(Source(), page_size=2)
    >>> gallery.show([7, 3, 5], title="cluster 4", selected=5)
    >>> gallery.total, gallery.page, gallery.selected
    (3, 1, 5)
    """

    _lets_go = ("_shown",)

    _esm = script("crops.js")
    _css = style("crops.css")

    title = traitlets.Unicode("").tag(sync=True)
    """Line above the thumbnails. Plain text."""

    total = traitlets.Int(0, read_only=True).tag(sync=True)
    """How many crops the whole list has, on all pages."""

    selected: traitlets.TraitType[int | None, Any] = _RegionId(None, allow_none=True).tag(sync=True)
    """Region id of the highlighted crop, or None. Setting it turns to its page, if it is in the list. Observers hear of
    every click on a crop."""

    opened = traitlets.Bool(False).tag(sync=True)
    """Whether the selected crop is open in its whole image."""

    page = traitlets.Int(0).tag(sync=True)
    """Page on show, from 0; kept within the list."""

    page_size = traitlets.Int(60, min=1, max=500).tag(sync=True)
    """Most thumbnails on one page."""

    thumbnail = traitlets.Int(96, min=24, max=384).tag(sync=True)
    """Side of a thumbnail in pixels of the screen."""

    _revision = traitlets.Int(0).tag(sync=True)  # grows with each new list: the browser then asks for its page anew

    def __init__(self, source: CropSource, *, page_size: int = 60, thumbnail: int = 96, **unknown: Any) -> None:
        if unknown:
            names = ", ".join(repr(name) for name in unknown)
            raise TypeError(f"CropGallery does not know {names}. Known are source, page_size and thumbnail.")
        self._state_lock = threading.Lock()  # guards the swap of _shown; never held while an observer may run
        self._source_lock = threading.Lock()  # one call of the source at a time
        self._shown = _Shown(_checked_source(source), np.zeros(0, np.int64))
        super().__init__(page_size=page_size, thumbnail=thumbnail, layout=ipywidgets.Layout(width="100%"))
        self.on_msg(self._on_message)

    @property
    def source(self) -> CropSource:
        """Where pixels and facts come from; setting another one empties the gallery."""
        return self._shown.source

    @source.setter
    def source(self, source: CropSource) -> None:
        self._replace(source=_checked_source(source), index=np.zeros(0, np.int64), title="", selected=None)

    def show(self, region_index: Sequence[int] | np.ndarray, title: str = "", selected: int | None = None) -> None:
        """Show these regions, in this order, from the first page or the one with ``selected``.

        Parameters
        ----------
        region_index : (n,) int
            Region ids, each once; none empties the gallery.
        title : str
            Line above the thumbnails, as plain text.
        selected : int, optional
            Which of them to highlight; without one, the opened image closes.

        Raises
        ------
        InputError
            For ids that are not whole numbers from 0 up, that come twice, or for a ``selected`` not among them.
        """
        index = _checked_index(region_index)
        if selected is not None:
            selected = operator.index(selected)
            if not (index == selected).any():
                raise InputError(
                    "selected to be one of the shown regions", f"{selected}", "Put it in region_index, or give None."
                )
        self._replace(index=index, title=str(title), selected=selected)

    def _replace(self, **changes: Any) -> None:
        """Swap the list, then tell the browser; safe against another thread that does the same."""
        with self._state_lock:
            self._shown = _Shown(
                **{"source": self._shown.source, **changes, "revision": self._shown.revision + 1},
            )
        while True:
            shown = self._shown
            self.set_trait("total", len(shown.index))
            self.title = shown.title
            self.page = shown.page_of(shown.selected, self.page_size) or 0
            if shown.selected is None:
                self.opened = False
            self.selected = shown.selected
            self._revision = shown.revision
            if shown is self._shown:  # else another thread, or an observer, has swapped it meanwhile
                return

    @traitlets.validate("page")
    def _keep_page_in_list(self, proposal: Any) -> int:
        return min(max(0, proposal.value), self._shown.n_pages(self.page_size) - 1)

    @traitlets.observe("selected")
    def _turn_to_selected(self, change: Any) -> None:
        page = self._shown.page_of(change.new, self.page_size)
        if page is not None:
            self.page = page

    @traitlets.observe("page_size", "thumbnail")
    def _lay_out_again(self, change: Any) -> None:
        shown, selected = self._shown, self.selected
        if len(shown.index):
            listed = shown.page_of(selected, self.page_size) is not None
            self._replace(index=shown.index, title=self.title, selected=selected if listed else None)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Answer the browser; whatever goes wrong is told there."""
        if not isinstance(content, Mapping) or content.get("kind") not in ("page", "detail", "select"):
            return
        answer: dict[str, Any] = {
            "kind": "page" if content["kind"] == "page" else "detail",
            "request": content.get("request"),
        }
        images: list[bytes] = []
        try:
            if content["kind"] == "page":
                answer |= self._answer_page(content, images)
            else:
                answer |= self._answer_detail(content, images)
        except Exception as error:  # the browser waits for this answer, and shows it
            answer["errors"] = [_told(error)]
            images = []
        self.send(answer, images)

    def _answer_page(self, content: Mapping[str, Any], images: list[bytes]) -> dict[str, Any]:
        shown, page_size = self._shown, self.page_size
        turned = content.get("page")  # None: the browser draws the kernel's page, the user has not turned it
        if turned is not None and content.get("revision") == shown.revision:  # else it was meant for another list
            self.page = int(turned)
        page = self.page
        scale = min(max(1.0, float(content.get("scale", 1.0))), 2.0)  # more than two pixels a pixel is not seen
        start = page * page_size
        items, errors = [], Counter()
        for region in shown.index[start : start + page_size].tolist():
            item = self._thumbnail(shown.source, region, round(self.thumbnail * scale), images)
            errors.update([item["error"]] if "error" in item else [])
            items.append(item)
        return {
            "page": page,
            "start": start,
            "total": len(shown.index),
            "items": items,
            "errors": _listed(errors),
        }

    def _thumbnail(self, source: CropSource, region: int, size: int, images: list[bytes]) -> dict[str, Any]:
        item: dict[str, Any] = {"region": region}
        with self._source_lock:
            try:
                facts = _checked_facts(source.describe(region), region)
                item |= {name: facts[name] for name in facts if name not in ("image", "scores")}
                image, item["type"] = _checked_image(source.crop(region, size), "crop")
            except Exception as error:  # shown in the crop's place and above the page; the others still show
                return item | {"error": _told(error)}
        item["buffer"] = len(images)
        images.append(image)
        return item

    def _answer_detail(self, content: Mapping[str, Any], images: list[bytes]) -> dict[str, Any]:
        region = content.get("region")
        if content["kind"] == "select":
            act(self, "selected", region)
            self.opened = bool(content.get("opened"))
        if region is None or not content.get("opened"):
            return {"region": None}
        source, answer = self._shown.source, {"region": operator.index(region), "errors": []}
        with self._source_lock:
            try:
                answer |= _checked_facts(source.describe(region), region)
            except Exception as error:
                answer["errors"].append(_told(error))
            try:
                data, box = source.image(region, _IMAGE_SIZE)
                image, answer["type"] = _checked_image(data, "image")
                answer["box"] = _checked_box(box)
                images.append(image)
            except Exception as error:
                answer["errors"].append(_told(error))
        answer["errors"] = list(dict.fromkeys(answer["errors"]))
        return answer


def _told(error: Exception) -> str:
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


def _checked_source(source: Any) -> CropSource:
    missing = [name for name in ("crop", "image", "describe") if not callable(getattr(source, name, None))]
    if missing:
        raise InputError(
            "a source with the methods crop, image and describe",
            f"{type(source).__name__} without {', '.join(missing)}",
            "See ravl_explore.widgets.findings.crops.CropSource.",
        )
    return source


def _checked_index(region_index: Sequence[int] | np.ndarray) -> np.ndarray:
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


def _checked_facts(facts: Mapping[str, Any], region: int) -> dict[str, Any]:
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


def _checked_score(score: Any) -> float | None:
    """Return a score for JSON, which knows no NaN."""
    return float(score) if score is not None and math.isfinite(score) else None


def _checked_image(data: Any, method: str) -> tuple[bytes, str]:
    """Return image bytes with their MIME type, or raise InputError."""
    signatures: dict[bytes, str] = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
    if isinstance(data, (bytes, bytearray, memoryview)):
        data = bytes(data)
        for signature, mime in signatures.items():
            if data.startswith(signature):
                return data, mime
    came = f"{len(data)} other bytes" if isinstance(data, bytes) else type(data).__name__
    raise InputError(f"JPEG or PNG bytes from {method}()", came, "Mend the source.")


def _checked_box(box: Any) -> list[float]:
    """Return a box within the image, or raise InputError."""
    x1, y1, x2, y2 = (float(value) for value in box)
    if not (x1 < x2 and y1 < y2 and math.isfinite(x2 - x1) and math.isfinite(y2 - y1)):
        raise InputError("a box x1, y1, x2, y2 with x1 < x2 and y1 < y2", f"{(x1, y1, x2, y2)}", "Mend the source.")
    return [min(max(0.0, value), 1.0) for value in (x1, y1, x2, y2)]
