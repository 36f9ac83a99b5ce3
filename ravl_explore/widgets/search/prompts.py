"""PromptEditor: the prompts of the classes, one a line, and how well the model classifies with them, as you type."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
import traitlets
from jaxtyping import Float

from ravl_explore.data.base import ImageTextDataset, check_templates, checked_image
from ravl_explore.errors import DataError, InputError
from ravl_explore.metrics import better_than_chance, chance_level
from ravl_explore.models.base import VisionLanguageModel, class_embeddings, resize
from ravl_explore.support.progress import Progress, report
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.job import Job, describe_progress
from ravl_explore.widgets.basics.latest import Latest
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.basics.throttle import Throttle

MOST_IMAGES = 500  # its accuracy is within about 4 points of the whole dataset's, 19 times in 20
BATCH_SIZE = 32
PAUSE_SECONDS = 0.4  # after a key, before the text tower is asked
MOST_NAMES = 20
HINT = "One prompt a line; {} stands for the class name."


class PromptEditor(Closing, widgets.VBox):
    """Prompt templates, each with one ``{}`` for the class name, and a live preview of the zero-shot accuracy.

    Parameters
    ----------
    model, data : what to preview with; without them only the templates' form is checked until :meth:`show`

    Attributes
    ----------
    templates : tuple of str, the templates as they are, if they are valid; None while they are not
    edited : whether they are other than the dataset's own
    accuracy : of the latest preview, 0 to 1; None before one
    """

    _lets_go = ("_sample",)

    templates = traitlets.Tuple(default_value=None, allow_none=True)

    def __init__(self, model: VisionLanguageModel | None = None, data: ImageTextDataset | None = None) -> None:
        self.accuracy: float | None = None
        self._own: tuple[str, ...] = ()
        self._sample: _Sample | None = None
        self._asked: tuple[Any, Any] = (None, None)
        self._latest, self._one_at_a_time = Latest(), threading.Lock()
        self._ask = Throttle(self._preview, delay=PAUSE_SECONDS)
        self._text = widgets.Textarea(
            placeholder="a photo of a {}", rows=4, layout=widgets.Layout(flex="1 1 320px", min_width="240px"),
            tooltip="Prompt templates, one a line; {} stands for the class name",
        )  # fmt: skip
        self._reset = widgets.Button(
            description="The dataset's own", icon="undo", disabled=True, layout=widgets.Layout(width="160px")
        )
        self.message, self.result, self._classes = Message(), Message(), Message()
        self.message.say(HINT)
        said = widgets.VBox(
            [self.message, self.result, self._classes, self._reset], layout=widgets.Layout(flex="1 1 320px")
        )
        super().__init__(
            [widgets.HBox([self._text, said], layout=widgets.Layout(flex_flow="row wrap", grid_gap="16px"))],
            layout=widgets.Layout(width="100%"),
        )
        self._text.observe(self.message.told(lambda _: self._on_text()), "value")
        self._reset.on_click(lambda _: self._text.set_trait("value", "\n".join(self._own)))
        if model is not None and data is not None:
            self.show(model, data)

    @property
    def edited(self) -> bool:
        """Whether the templates are other than the dataset's own."""
        return self.templates is not None and self.templates != self._own

    def show(self, model: VisionLanguageModel, data: ImageTextDataset) -> None:
        """Preview with another model or other images; templates that were edited stay, others become the dataset's."""
        keep = self.edited or (self.templates is None and bool(self._own))
        self._own = tuple(data.templates)
        self._classes.say(_names(data.class_names))
        with self._latest.lock:
            if self._asked[0] is not model or self._asked[1] is not data:
                self._asked, self._sample, self.accuracy = (model, data), None, None
                self._latest.start(
                    lambda progress: _Sample(model, data, progress), self._take, self.result.fail, begin=self._begin
                )
        if not keep:
            self._text.value = "\n".join(self._own)
        self._on_text()

    def fail(self, error: BaseException) -> None:
        """Show why there is no preview."""
        self._on_text()
        self.result.fail(error)

    def chosen(self) -> tuple[str, ...] | None:
        """The templates if they were edited, None for the dataset's own.

        Raises
        ------
        InputError
            When what is typed is not valid.
        """
        if not self._own:  # never shown anything: nothing can have been edited
            return None
        check_templates(self._typed())
        return self.templates if self.edited else None

    def flush(self) -> None:
        """Wait for the preview of what is typed now: for tests and scripts."""
        self._latest.wait()
        self._ask.cancel()
        self._preview()

    def close(self) -> None:
        """Stop previewing."""
        if hasattr(self, "_ask"):
            self._ask.cancel()
        super().close()

    def _on_text(self) -> None:
        found = self._typed()
        try:
            check_templates(found)
        except InputError as error:
            self.templates = None
            self.message.fail(error)
            self.result.say("")
        else:
            self.templates = found
            self.message.say(HINT)
            self._ask()
        self._reset.disabled = not self._own or self.templates == self._own

    def _typed(self) -> tuple[str, ...]:
        return tuple(line.strip() for line in self._text.value.splitlines() if line.strip())

    def _begin(self, work: Callable[[Progress], Any], on_end: Callable[[Job], None]) -> Job:
        def tell(done: int, total: int, stage: str) -> None:
            self.result.say(describe_progress(done, total, stage, 0.0))

        return Job(work, tell, on_end).start()

    def _take(self, sample: _Sample) -> None:
        self._sample = sample
        self._ask()

    def _preview(self) -> None:
        with self._one_at_a_time:
            sample, templates = self._sample, self.templates
            if sample is None or templates is None:
                return
            try:
                accuracy, said = sample.accuracy(templates)
            except Exception as error:  # of a model that may be anybody's; this is a timer's thread, which nobody hears
                self.result.fail(error)
                return
            if templates == self.templates and sample is self._sample:  # else another preview is already asked for
                self.accuracy = accuracy
                self.result.say(said, "fact")


class _Sample:
    """Embeddings of at most 500 images of a dataset, drawn evenly; those that cannot be read are left out."""

    def __init__(self, model: VisionLanguageModel, data: ImageTextDataset, progress: Progress | None = None) -> None:
        self._model, self._data = model, data
        drawn = np.random.default_rng(0).permutation(len(data))[:MOST_IMAGES]
        rows: list[int] = []
        found: list[np.ndarray] = []
        for start in range(0, len(drawn), BATCH_SIZE):
            report(progress, start, len(drawn), "Embedding images")
            images = []
            for index in drawn[start : start + BATCH_SIZE].tolist():
                try:
                    images.append(checked_image(data, index))
                except DataError:
                    continue
                rows.append(index)
            if images:
                with torch.inference_mode():
                    image, _ = model.encode(resize(images, model.image_size), None)
                found.append(image.float().cpu().numpy())
        if not rows:
            raise DataError("an image that can be read", f"none among {len(drawn)}", "Check the files.")
        self._image: Float[np.ndarray, "n dim"] = np.concatenate(found)
        self._labels = np.asarray(data.labels)[rows]

    def accuracy(self, templates: tuple[str, ...]) -> tuple[float, str]:
        """How many are right, 0 to 1, and a sentence about it."""
        names = self._data.class_names
        text = class_embeddings(self._model, names, templates).cpu().numpy()
        predictions = (self._image @ text.T).argmax(1)
        right = predictions == self._labels
        counts = np.bincount(self._labels, minlength=len(names))
        per_class = np.bincount(self._labels, right, len(names)) / np.maximum(counts, 1)
        worst = int(np.where(counts > 0, per_class, np.inf).argmin())
        n, all_ = len(right), len(self._data)
        better = better_than_chance(predictions, self._labels, len(names))
        guessing = "No better than guessing, which gives" if better is False else "Guessing gives"
        of = f"all {n:,} images" if n == all_ else f"{n:,} of {all_:,} images"
        return float(right.mean()), (
            f"{100 * right.mean():.1f}% right on {of}. {guessing} {100 * chance_level(counts):.1f}%. "
            f"Worst class: {names[worst]}, {100 * per_class[worst]:.0f}% of its {_images(int(counts[worst]))}."
        )


def _images(n: int) -> str:
    return f"{n:,} image{'s' * (n != 1)}"


def _names(class_names: tuple[str, ...]) -> str:
    listed = ", ".join(class_names[:MOST_NAMES])
    more = f" and {len(class_names) - MOST_NAMES:,} more" if class_names[MOST_NAMES:] else ""
    return f"{len(class_names):,} classes: {listed}{more}."
