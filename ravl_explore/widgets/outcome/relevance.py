"""RelevanceWidget: where a model looks, before and after fine-tuning, over a few images, and how well it agrees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import ipywidgets as widgets
import numpy as np

from ravl_explore.concepts.base import ConceptMasks
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.errors import InputError
from ravl_explore.metrics import Alignment
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.relevance import RelevanceMaps
from ravl_explore.support.progress import Progress
from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.job import Job, ProgressLine
from ravl_explore.widgets.basics.latest import Latest
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.outcome.image_numbers import parsed_box, parsed_images, spelled_box, spelled_images
from ravl_explore.widgets.outcome.relevance_offer import MEASURED, Offer
from ravl_explore.widgets.outcome.relevance_pictures import described, drawn, measured, table

A_FEW = 6  # images shown unless some are picked
MOST_SHOWN = 24
LABEL, PREDICTION = "label", "prediction"

Result = TypeVar("Result")


class RelevanceWidget(Closing, widgets.VBox):
    """Relevance maps of picked images for a picked class, the model before and after side by side.

    Parameters
    ----------
    before, after : VisionLanguageModel, optional
        The searched model and the fine-tuned one.
    data : ImageTextDataset, optional
        Whose images are looked at; without it, or without ``before``, there is nothing to see until :meth:`offer`.
    concepts : ConceptMasks, optional
        Masks of ``data``, to measure alignment with.

    Attributes
    ----------
    maps : tuple of RelevanceMaps
        What is on show, one a model.
    alignments : tuple of Alignment
        One a model, once measured.
    """

    _lets_go = ("_offer",)

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
        self._latest = Latest()
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
        buttons = widgets.HBox(
            [self.look, self.measure_button, self._progress],
            layout=widgets.Layout(align_items="center", flex_flow="row wrap"),
        )
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
        before_model, after_model : VisionLanguageModel
            The searched model, and the fine-tuned one if there is one already.
        data : ImageTextDataset
            Whose images are looked at.
        concepts : ConceptMasks, optional
            Masks of ``data``; without them alignment cannot be measured.
        open_concepts : callable, optional
            Gives them instead, in the thread that measures, when opening them takes long.
        changed : sequence of int
            Images to propose instead of the first ones: those whose prediction changed sides.
        """
        if concepts is not None:
            open_concepts = lambda: concepts  # noqa: E731
        with self._latest.lock:
            other = self._offer is None or self._offer.data is not data
            models = (before_model,) if after_model is None else (before_model, after_model)
            self._replace(Offer(models, data, open_concepts))
            if other:
                names = [(one_line(name), number) for number, name in enumerate(data.class_names)]
                standing = [("each image's label", LABEL), ("each model's prediction", PREDICTION)]
                self.classes.options = [*standing, *names]
                self.classes.value = LABEL
                self.box.value = ""
            own = not other and self.images.value not in ("", self._proposed)
            self._proposed = spelled_images(np.asarray(changed, np.int64).tolist()) or f"0-{min(len(data), A_FEW) - 1}"
            if not own:
                self.images.value = self._proposed
            why = "; some whose prediction changed sides are proposed" if len(changed) and not own else ""
            self.message.say(f"Pick images of {data.name}{why}, and a class, then press Show.")

    def withdraw(self, said: str) -> None:
        """Take back what was offered, and say why."""
        with self._latest.lock:
            self._replace(None)
            self.message.say(said)

    def show(self, images: Sequence[int] | np.ndarray, boxes: np.ndarray | None = None) -> Job | None:
        """Show the maps of images, or of one box of each (x1, y1, x2, y2 in pixels), in a thread.

        At most 24 images are shown, the first ones.
        """
        images = np.asarray(images, np.int64).reshape(-1)
        self.images.value, self.box.value = spelled_images(images.tolist()[:MOST_SHOWN]), spelled_box(boxes)
        return self._start(images, boxes)

    def measure(self) -> Job | None:
        """Compare the maps of up to 256 images with the concept masks, in a thread."""
        with self._latest.lock:
            offer, classes = self._offer, self._picked_class()
            if offer is None or offer.open_concepts is None:
                self.message.say("There are no concept masks to compare with.")
                return None

            def show(result: tuple[str, tuple[Alignment, ...]]) -> None:
                if classes == self._picked_class():
                    self._show_numbers(offer, *result)
                else:
                    self.message.say("Another class was picked meanwhile: measure again.")

            return self._run(partial(offer.align, classes), "Measuring alignment", show)

    def _show_picked(self) -> Job | None:
        try:
            if self._offer is None:
                return None
            images = parsed_images(self.images.value, len(self._offer.data))
            box = parsed_box(self.box.value)
        except InputError as error:
            self.message.fail(error)
            return None
        return self._start(images, None if box is None else np.tile(box, (len(images), 1)))

    def _start(self, images: np.ndarray, boxes: np.ndarray | None) -> Job | None:
        with self._latest.lock:
            offer, classes = self._offer, self._picked_class()
            if offer is None:
                return None
            n_asked = len(images)
            images, boxes = images[:MOST_SHOWN], None if boxes is None else boxes[:MOST_SHOWN]

            def work(progress: Progress) -> tuple[tuple[RelevanceMaps, ...], str]:
                maps = offer.trace(images, classes, boxes, progress)
                return maps, drawn(offer.data, maps)

            def show(result: tuple[tuple[RelevanceMaps, ...], str]) -> None:
                self.maps, self._pictures.value = result
                self.message.say(described(self.maps[0], n_asked))

            return self._run(work, "Tracing relevance", show)

    def _picked_class(self) -> str | int:
        picked: str | int | None = self.classes.value
        assert picked is not None  # one is always picked
        return picked

    def _run(self, work: Callable[[Progress], Result], title: str, show: Callable[[Result], None]) -> Job:
        self.message.say("")
        return self._latest.start(
            work,
            show,
            self.message.fail,
            lambda: self.message.say("Cancelled."),
            partial(self._progress.run, title=title),
        )

    def _show_numbers(self, offer: Offer, against: str, alignments: tuple[Alignment, ...]) -> None:
        self.alignments = alignments
        self._numbers.value = table([model.name for model in offer.models], alignments)
        self.message.say(measured(against, alignments[0].n_images))

    def _replace(self, offer: Offer | None) -> None:
        """Take another offer, or none; nothing of the one before stays on show."""
        self._latest.cancel()
        self._offer = offer
        self.maps, self.alignments, self._numbers.value, self._pictures.value = (), (), "", ""
        self._set_enabled()

    def _forget_numbers(self) -> None:
        """Alignment is that of one choice of class; of another it is not known."""
        with self._latest.lock:
            self.alignments, self._numbers.value = (), ""

    def _set_enabled(self) -> None:
        self.look.disabled = self._offer is None
        self.measure_button.disabled = self._offer is None or self._offer.open_concepts is None
