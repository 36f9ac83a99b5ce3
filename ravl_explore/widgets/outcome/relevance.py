"""RelevanceWidget: where a model looks, before and after fine-tuning, over a few images, and how well it agrees."""

from __future__ import annotations

import base64
import html
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np
from PIL import Image

from ravl_explore.concepts.base import ConceptMasks
from ravl_explore.data.base import ImageTextDataset, checked_image
from ravl_explore.errors import InputError
from ravl_explore.metrics import Alignment
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.plots.relevance import CIVIDIS, overlay
from ravl_explore.regions.covered_pixels import covered_pixels
from ravl_explore.relevance import RelevanceMaps, relevance_maps
from ravl_explore.support.progress import Progress
from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.job import Job, ProgressLine
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.findings.crop_source import png

A_FEW = 6  # images shown unless some are picked
MOST_SHOWN = 24
MEASURED = 256  # images of the alignment, spread over the dataset
HEIGHT = 150  # pixels of the screen
STORED = 2 * HEIGHT  # pixels sent per image: sharp on a screen of two pixels a pixel
LABEL, PREDICTION = "label", "prediction"
STYLE = f"""<style>
.ravl-relevance {{ color: var(--jp-ui-font-color1, #222); font-size: 12px; line-height: 1.5; }}
.ravl-relevance .row {{ display: flex; flex-wrap: wrap; gap: 12px; margin: 0 0 12px 0; }}
.ravl-relevance figure {{ margin: 0; width: min-content; min-width: 150px; }}
.ravl-relevance figcaption {{ white-space: normal; overflow-wrap: anywhere; }}
.ravl-relevance img {{ height: {HEIGHT}px; max-width: none; display: block; image-rendering: pixelated; }}
.ravl-relevance img.smooth {{ image-rendering: auto; }}
.ravl-relevance .key {{ display: flex; align-items: center; gap: 8px; margin: 0 0 8px 0; }}
.ravl-relevance .bar {{ width: 120px; height: 10px; background: linear-gradient(to right, {
    ", ".join(f"rgb{tuple(int(c) for c in color)}" for color in CIVIDIS)
}); }}
.ravl-relevance table {{ border-collapse: collapse; margin: 0 0 8px 0; }}
.ravl-relevance td, .ravl-relevance th {{ padding: 2px 12px 2px 0; text-align: right; font-weight: normal; }}
.ravl-relevance th {{ color: var(--jp-ui-font-color2, #666); }}
.ravl-relevance td:first-child, .ravl-relevance th:first-child {{ text-align: left; overflow-wrap: anywhere; }}
</style>"""


@dataclass(frozen=True, eq=False)
class Offer:
    """What can be looked at: one model or two, and what opens masks to compare with, if there are any."""

    models: tuple[VisionLanguageModel, ...]
    data: ImageTextDataset
    open_concepts: Callable[[], ConceptMasks] | None


class RelevanceWidget(Closing, widgets.VBox):
    """Relevance maps of picked images for a picked class, the model before and after side by side.

    Parameters
    ----------
    before, data, after, concepts : as in :meth:`offer`; without them it is empty

    Attributes
    ----------
    maps : what is on show, one :class:`~ravl_explore.relevance.RelevanceMaps` a model
    alignments : one a model, once measured
    """

    _lets_go = ("_offer", "_job")

    def __init__(
        self,
        before: VisionLanguageModel | None = None,
        data: ImageTextDataset | None = None,
        after: VisionLanguageModel | None = None,
        concepts: ConceptMasks | None = None,
    ) -> None:
        self.maps: tuple[RelevanceMaps, ...] = ()
        self.alignments: tuple[Alignment, ...] = ()
        self._offer: Offer | None = None
        self._proposed = ""  # images, as spelled in the field
        self._job: Job | None = None
        self._swap = threading.RLock()  # of what was asked for last, and of what is on show
        self.message, self._progress = Message(), ProgressLine()
        label = {"style": {"description_width": "90px"}}
        self.images = widgets.Text(description="Images", placeholder="0-5, 17", continuous_update=False, **label)
        self.classes = widgets.Dropdown(description="Explain", options=[("each image's label", LABEL)], **label)
        self.box = widgets.Text(
            description="Crop",
            placeholder="x1, y1, x2, y2; the whole image unless given",
            continuous_update=False,
            layout=widgets.Layout(width="400px"),
            **label,
        )
        self.look = widgets.Button(description="Show", icon="eye", layout=widgets.Layout(width="90px"))
        self.measure_button = widgets.Button(
            description="Measure alignment",
            icon="bullseye",
            tooltip=f"Compare the maps of up to {MEASURED} images with the concept masks",
            layout=widgets.Layout(width="180px"),
        )
        self.look.on_click(self.message.told(lambda _: self._show_picked()))
        self.measure_button.on_click(self.message.told(lambda _: self.measure()))
        self._numbers = widgets.HTML(layout=widgets.Layout(width="100%"))
        self._pictures = widgets.HTML(layout=widgets.Layout(width="100%", margin="6px 0 0 0"))
        fields = widgets.HBox([self.images, self.classes, self.box], layout=widgets.Layout(flex_flow="row wrap"))
        buttons = widgets.HBox([self.look, self.measure_button, self._progress], layout=_centred())
        super().__init__(
            [fields, buttons, self.message, self._numbers, self._pictures], layout=widgets.Layout(width="100%")
        )
        self.classes.observe(self.message.told(lambda _: self._forget_numbers()), "value")
        self._set_enabled()
        self.message.say("Where a model looks is shown here, once there is one.")
        if before is not None and data is not None:
            self.offer(before, data, after, concepts)

    def offer(
        self,
        before_model: VisionLanguageModel,
        data: ImageTextDataset,
        after_model: VisionLanguageModel | None = None,
        concepts: ConceptMasks | None = None,
        open_concepts: Callable[[], ConceptMasks] | None = None,
        changed: Sequence[int] | np.ndarray = (),
    ) -> None:
        """Make models ready to be looked at; nothing is computed until :meth:`show` or a click.

        Parameters
        ----------
        before_model, after_model : the searched model, and the fine-tuned one if there is one already
        data : whose images are looked at
        concepts : masks of ``data``; without them alignment cannot be measured
        open_concepts : gives them instead, in the thread that measures, when opening them takes long
        changed : images to propose instead of the first ones: those whose prediction changed sides
        """
        if concepts is not None:
            open_concepts = lambda: concepts  # noqa: E731
        with self._swap:
            if self._job is not None:
                self._job.cancel()
            other = self._offer is None or self._offer.data is not data
            models = (before_model,) if after_model is None else (before_model, after_model)
            self._offer, self._job = Offer(models, data, open_concepts), None
            self.maps, self.alignments, self._numbers.value, self._pictures.value = (), (), "", ""
            if other:
                names = [(one_line(name), number) for number, name in enumerate(data.class_names)]
                standing = [("each image's label", LABEL), ("each model's prediction", PREDICTION)]
                self.classes.options = [*standing, *names]
                self.classes.value = LABEL
                self.box.value = ""
            own = not other and self.images.value not in ("", self._proposed)
            self._proposed = _spelled(np.asarray(changed, np.int64).tolist()) or f"0-{min(len(data), A_FEW) - 1}"
            if not own:
                self.images.value = self._proposed
            self._set_enabled()
            why = "; some whose prediction changed sides are proposed" if len(changed) and not own else ""
            self.message.say(f"Pick images of {data.name}{why}, and a class, then press Show.")

    def withdraw(self, said: str) -> None:
        """Take back what was offered, and say why."""
        with self._swap:
            if self._job is not None:
                self._job.cancel()
            self._offer, self._job = None, None
            self.maps, self.alignments, self._numbers.value, self._pictures.value = (), (), "", ""
            self._set_enabled()
            self.message.say(said)

    def show(self, images: Sequence[int] | np.ndarray, boxes: np.ndarray | None = None) -> Job | None:
        """Show the maps of images, or of one box of each (x1, y1, x2, y2 in pixels), in a thread.

        At most 24 images are shown, the first ones.
        """
        images = np.asarray(images, np.int64).reshape(-1)
        self.images.value = _spelled(images.tolist()[:MOST_SHOWN])
        one = boxes is not None and len(np.unique(boxes, axis=0)) == 1
        self.box.value = ", ".join(f"{value:g}" for value in np.asarray(boxes)[0].tolist()) if one else ""
        return self._start(images, boxes)

    def measure(self) -> Job | None:
        """Compare the maps of up to 256 images with the concept masks, in a thread."""
        with self._swap:
            offer, classes = self._offer, self._picked_class()
            if offer is None or offer.open_concepts is None:
                self.message.say("There are no concept masks to compare with.")
                return None
            open_concepts = offer.open_concepts

            def work(progress: Progress) -> tuple[str, tuple[Alignment, ...]]:
                concepts, n = open_concepts(), len(offer.data)
                images = np.unique(np.linspace(0, n - 1, min(n, MEASURED)).astype(np.int64))
                found = (relevance_maps(m, offer.data, images, classes, progress=progress) for m in offer.models)
                return concepts.name, tuple(each.align(concepts) for each in found)

            def end(result: tuple[str, tuple[Alignment, ...]]) -> None:
                if classes == self._picked_class():
                    self._show_numbers(offer, *result)
                else:
                    self.message.say("Another class was picked meanwhile: measure again.")

            return self._run(work, "Measuring alignment", end)

    def _show_picked(self) -> Job | None:
        try:
            if self._offer is None:
                return None
            images = _parsed(self.images.value, len(self._offer.data))
            box = _parsed_box(self.box.value)
        except InputError as error:
            self.message.fail(error)
            return None
        return self._start(images, None if box is None else np.tile(box, (len(images), 1)))

    def _start(self, images: np.ndarray, boxes: np.ndarray | None) -> Job | None:
        with self._swap:
            offer, classes = self._offer, self._picked_class()
            if offer is None:
                return None
            n_asked = len(images)
            images, boxes = images[:MOST_SHOWN], None if boxes is None else boxes[:MOST_SHOWN]

            def work(progress: Progress) -> tuple[tuple[RelevanceMaps, ...], str]:
                maps = tuple(
                    relevance_maps(m, offer.data, images, classes, boxes, progress=progress) for m in offer.models
                )
                return maps, _drawn(offer, maps)

            def end(result: tuple[tuple[RelevanceMaps, ...], str]) -> None:
                self.maps, self._pictures.value = result
                cut = f" The first {MOST_SHOWN} of {n_asked:,} are shown." if n_asked > MOST_SHOWN else ""
                what = f"{len(images)} {'image' if boxes is None else 'crop'}{'s' * (len(images) != 1)}"
                rows, columns = self.maps[0].maps.shape[1:]
                self.message.say(
                    f"Relevance of {what} of {offer.data.name}, {rows} by {columns} cells. Each map has its own scale, "
                    f"from its least to its most: compare where, not how much.{cut}"
                )

            return self._run(work, "Tracing relevance", end)

    def _picked_class(self) -> str | int:
        picked: Any = self.classes.value
        return picked

    def _run(self, work: Any, title: str, show: Any) -> Job:
        """Start the work in place of what runs; ``show`` its result if nothing else was asked for meanwhile."""
        if self._job is not None:
            self._job.cancel()

        def on_end(job: Job) -> None:
            with self._swap:
                if job is not self._job:
                    return
                if job.error is not None:
                    self.message.fail(job.error)
                elif job.cancelled:
                    self.message.say("Cancelled.")
                else:
                    show(job.result)

        self.message.say("")
        started = threading.Event()

        def guarded(progress: Progress) -> Any:
            started.wait()  # until the job is known to on_end
            return work(progress)

        self._job = self._progress.run(guarded, self.message.told(on_end), title)
        started.set()
        return self._job

    def _show_numbers(self, offer: Offer, against: str, alignments: tuple[Alignment, ...]) -> None:
        self.alignments = alignments
        self._numbers.value = _table(offer, alignments)
        n = alignments[0].n_images
        if n:
            self.message.say(
                f"Alignment with {against} over the {n:,} images with something to promote and to suppress."
            )
        else:
            self.message.say("None of the measured images has both something to promote and something to suppress.")

    def _forget_numbers(self) -> None:
        """Alignment is that of one choice of class; of another it is not known."""
        with self._swap:
            self.alignments, self._numbers.value = (), ""

    def _set_enabled(self) -> None:
        self.look.disabled = self._offer is None
        self.measure_button.disabled = self._offer is None or self._offer.open_concepts is None


def _table(offer: Offer, alignments: tuple[Alignment, ...]) -> str:
    head = "".join(f"<th>{each}</th>" for each in ("", "mIoU", "pixel accuracy", "relevance on promoted"))
    rows = []
    for title, model, each in zip(("Before", "After"), offer.models, alignments, strict=False):
        values = (each.miou, each.pixel_accuracy, each.share)
        cells = "".join(f"<td>{'' if np.isnan(value) else f'{100 * value:.1f}%'}</td>" for value in values)
        rows.append(f"<tr><td>{title}: {html.escape(one_line(model.name))}</td>{cells}</tr>")
    return f'{STYLE}<div class="ravl-relevance"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _drawn(offer: Offer, maps: tuple[RelevanceMaps, ...]) -> str:
    rows = []
    first = maps[0]
    for row, image in enumerate(first.images.tolist()):
        pixels = checked_image(offer.data, image)
        if first.boxes is not None:
            x1, y1, x2, y2 = covered_pixels(first.boxes[row], pixels.shape[1], pixels.shape[0])
            pixels = pixels[y1:y2, x1:x2]
        small = np.asarray(_fitted(pixels))
        smooth = pixels.shape[0] > HEIGHT
        names = [one_line(name) for name in first.class_names]
        figures = [_figure(small, f"image {image:,} · {names[first.labels[row]]}", smooth)]
        for title, each in zip(("before", "after"), maps, strict=False):
            best = each.predictions[row]
            said = f"{title} · for {names[each.shown[row]]} · says {names[best]} ({each.scores[row, best]:.2f})"
            said += "" if np.ptp(each.maps[row]) > 0 else " · no cell counts more than another"
            figures.append(_figure(overlay(small, each.maps[row]), said, smooth))
        rows.append(f'<div class="row">{"".join(figures)}</div>')
    key = '<div class="key"><span>least</span><span class="bar"></span><span>most relevant</span></div>'
    return f'{STYLE}<div class="ravl-relevance">{key if rows else ""}{"".join(rows)}</div>'


def _fitted(pixels: np.ndarray) -> Image.Image:
    """No side longer than what is sent, and none much shorter: cells of a map must be seen on tiny images too."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if max(image.size) > STORED:
        image.thumbnail((STORED, STORED))
    elif max(image.size) * 2 <= STORED:
        times = STORED // max(image.size)
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    return image


def _figure(pixels: np.ndarray, said: str, smooth: bool) -> str:
    source = base64.b64encode(png(Image.fromarray(pixels), STORED)).decode()
    said = html.escape(said)
    return (
        f'<figure><img class="{"smooth" * smooth}" src="data:image/png;base64,{source}" alt="{said}">'
        f"<figcaption>{said}</figcaption></figure>"
    )


def _parsed(text: str, n_images: int) -> np.ndarray:
    """Image numbers of "0-5, 17".

    >>> _parsed("0-2, 7", 10).tolist()
    [0, 1, 2, 7]
    """
    found: list[int] = []
    for part in text.replace(";", ",").split(","):
        low, dash, high = (each.strip() for each in part.strip().partition("-"))
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise InputError("image numbers such as 0-5, 17", repr(text), "Separate numbers and ranges by commas.")
        first, last = int(low), int(high) if dash else int(low)
        if not first <= last < n_images:
            raise InputError(f"images from 0 to {n_images - 1}", repr(part.strip()), "Pick some of these.")
        found += range(first, last + 1)
    return np.array(found, np.int64)


def _parsed_box(text: str) -> np.ndarray | None:
    """Four numbers, or None for nothing."""
    if not text.strip():
        return None
    try:
        box = np.array([float(each) for each in text.replace(";", ",").split(",")])
    except ValueError:
        box = np.zeros(0)
    if box.shape != (4,) or not np.isfinite(box).all():
        raise InputError("four numbers x1, y1, x2, y2", repr(text), "Leave it empty for whole images.")
    return box


def _spelled(images: list[int]) -> str:
    """The other way round, runs as ranges.

    >>> _spelled([0, 1, 2, 7])
    '0-2, 7'
    """
    runs: list[list[int]] = []
    for image in images:
        if runs and image == runs[-1][-1] + 1:
            runs[-1].append(image)
        else:
            runs.append([image])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _centred() -> widgets.Layout:
    return widgets.Layout(align_items="center", flex_flow="row wrap")
