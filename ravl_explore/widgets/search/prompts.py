"""PromptEditor: the prompts of the classes, one a line, and how well the model classifies with them, as you type."""

from __future__ import annotations

import threading
from collections.abc import Callable

import ipywidgets as widgets
import traitlets

from ravl_explore.data.base import ImageTextDataset, check_templates
from ravl_explore.errors import InputError
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.support.progress import Progress
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.job import Job, describe_progress
from ravl_explore.widgets.basics.latest import Latest
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.basics.throttle import Throttle
from ravl_explore.widgets.search.prompt_sample import Sample

PAUSE_SECONDS = 0.4  # after a key, before the text tower is asked
MOST_NAMES = 20
HINT = "One prompt a line; {} stands for the class name."


class PromptEditor(Closing, widgets.VBox):
    """Prompt templates, each with one ``{}`` for the class name, and a live preview of the zero-shot accuracy.

    Parameters
    ----------
    model, data : VisionLanguageModel and ImageTextDataset, optional
        What to preview with; without them only the templates' form is checked until :meth:`show`.

    Attributes
    ----------
    accuracy : float or None
        Of the latest preview, 0 to 1; None before one.
    """

    _lets_go = ("_sample",)

    templates = traitlets.Tuple(default_value=None, allow_none=True)
    """The templates as they are, if they are valid; None while they are not."""

    def __init__(self, model: VisionLanguageModel | None = None, data: ImageTextDataset | None = None) -> None:
        self.accuracy: float | None = None
        self._own: tuple[str, ...] = ()
        self._sample: Sample | None = None
        self._asked: tuple[VisionLanguageModel | None, ImageTextDataset | None] = (None, None)
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
                    lambda progress: Sample(model, data, progress), self._take, self.result.fail, begin=self._begin
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
        typed = self._typed()
        try:
            check_templates(typed)
        except InputError as error:
            self.templates = None
            self.message.fail(error)
            self.result.say("")
        else:
            self.templates = typed
            self.message.say(HINT)
            self._ask()
        self._reset.disabled = not self._own or self.templates == self._own

    def _typed(self) -> tuple[str, ...]:
        return tuple(line.strip() for line in self._text.value.splitlines() if line.strip())

    def _begin(self, work: Callable[[Progress], object], on_end: Callable[[Job], object]) -> Job:
        def tell(done: int, total: int, stage: str) -> None:
            self.result.say(describe_progress(done, total, stage, 0.0))

        return Job(work, tell, on_end).start()

    def _take(self, sample: Sample) -> None:
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


def _names(class_names: tuple[str, ...]) -> str:
    listed = ", ".join(class_names[:MOST_NAMES])
    more = f" and {len(class_names) - MOST_NAMES:,} more" if class_names[MOST_NAMES:] else ""
    return f"{len(class_names):,} classes: {listed}{more}."
