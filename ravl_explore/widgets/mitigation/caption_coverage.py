"""CaptionCoverage: whether classes are to be read off captions, and what that gives, before training starts."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets
import traitlets

from ravl_explore.captions import CaptionLabeller, CaptionLabels
from ravl_explore.captions.labeller import Ambiguity
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.errors import DataError, InputError
from ravl_explore.support.progress import Progress
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.job import Job
from ravl_explore.widgets.basics.latest import Latest, in_thread
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.mitigation.caption_report import CaptionReport, drawn, read_captions, summary

Offered = ImageTextDataset | Callable[[], ImageTextDataset]

POLICIES: dict[str, Ambiguity] = {  # of captions that name several classes
    "give their image no class": "skip",
    "give it the class named first": "first",
    "give it the named class most like the image": "similar",
}
NO_CAPTIONS = "This dataset has no captions: its own labels are used."
NO_DATA = "Pick the images to fine-tune on first."
HINT = "Off: the dataset's own labels are used. On: each image's class is the one that its caption names."


class CaptionCoverage(Closing, widgets.VBox):
    """A box to tick, what to do with captions that name several classes, and a report on all captions.

    The report is made in a thread, and only once the box is ticked.

    Attributes
    ----------
    report : CaptionLabels or None
        What the captions of the offered data say.
    """

    _lets_go = ("report", "_data", "_made", "_labeller")

    changes = traitlets.Int(0)
    """Grows when the answer or the report changes; observe it."""

    def __init__(self) -> None:
        self.report: CaptionLabels | None = None
        self._data: Offered | None = None
        self._made: tuple[Offered, ImageTextDataset] | None = None  # what was offered -> the dataset that it gave
        self._labeller: CaptionLabeller | None = None
        self._error: BaseException | None = None
        self._latest = Latest()
        self._locked = False
        full = widgets.Layout(width="auto", margin="2px 0")
        self.use = widgets.Checkbox(description="Classes from the captions", indent=False, layout=full)
        self.policy = widgets.Dropdown(
            options=list(POLICIES.items()),
            description="If several are named",
            tooltip="What captions that name several classes do",
            layout=widgets.Layout(width="420px", margin="2px 0"),
            style={"description_width": "130px"},
        )
        self.synonyms = widgets.Checkbox(
            description="Also common synonyms (sofa for couch, puppy for dog)",
            indent=False,
            layout=widgets.Layout(width="auto", margin="2px 0"),
        )
        self.message, self._table = Message(), widgets.HTML(layout=widgets.Layout(width="100%"))
        super().__init__(
            [self.use, self.policy, self.synonyms, self.message, self._table], layout=widgets.Layout(width="100%")
        )
        for each in (self.use, self.policy, self.synonyms):
            each.observe(self.message.told(lambda _: self._start()), "value")
        self._start()

    def offer(self, data: Offered | None) -> None:
        """Take other images, or a function that opens them when they are needed."""
        with self._latest.lock:
            if data is self._data:
                return
            self._data, self._made = data, None
        self._start()

    @property
    def labeller(self) -> CaptionLabeller | None:
        """What reads the classes off the captions, or None while the box is not ticked.

        Raises
        ------
        DataError
            When the captions give no class, or there are none.
        InputError
            While the captions are still being read.
        """
        with self._latest.lock:
            if not self.use.value:
                return None
            if self._error is not None:
                raise self._error
            if self._labeller is None:
                raise InputError("the report on the captions", "one that is still being made", "Wait a moment.")
            return self._labeller

    @property
    def disabled(self) -> bool:
        """Whether nothing can be answered."""
        return self._locked

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        self._locked = disabled
        self._show_state()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until no report is being made; whether that is so."""
        return self._latest.wait(timeout)

    def _start(self) -> None:
        with self._latest.lock:
            self._latest.cancel()
            self.report, self._labeller, self._error = None, None, None
            self._table.value = ""
            self._show_state()
            data = self._data
            if data is None:
                self.message.say(NO_DATA)
                self._error = InputError("images with captions", "none", NO_DATA)
            elif _lacks_captions(self._opened(data)):
                self.message.say(NO_CAPTIONS)
                self._error = DataError("a dataset with captions", "one without", "Untick “Classes from the captions”.")
            elif not self.use.value:
                self.message.say(HINT)
            else:
                self.message.say("Reading the captions …")
                policy, synonyms = self._policy, self.synonyms.value
                self._latest.start(
                    lambda _: self._read(data, policy, synonyms), self._show, self._fail, begin=self._begin
                )
        self.changes += 1

    @property
    def _policy(self) -> Ambiguity:
        policy: Ambiguity | None = self.policy.value
        assert policy is not None  # one is always picked
        return policy

    def _read(self, data: Offered, policy: Ambiguity, synonyms: bool) -> tuple[CaptionReport, str]:
        source = self._opened(data)
        opened = source() if callable(source) else source
        with self._latest.lock:
            if data is self._data:
                self._made = (data, opened)
        if opened.captions is None:
            raise DataError("a dataset with captions", "one without", "Untick “Classes from the captions”.")
        report = read_captions(opened.captions, opened.class_names, policy, synonyms)
        return report, drawn(report)

    def _show(self, result: tuple[CaptionReport, str]) -> None:
        report, self._table.value = result
        self.report = report.labels
        report.labels.require(0 if report.later else 1)  # raises, and says why there is nothing to train on
        self._labeller = report.labeller
        self.message.say(summary(report), "fact")

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self.message.fail(error)

    def _begin(self, work: Callable[[Progress], object], on_end: Callable[[Job], object]) -> Job:
        def end(job: Job) -> None:
            on_end(job)
            if job is self._latest.job:
                self.changes += 1  # without the lock: whoever observes it may ask for more

        return in_thread(work, self.message.told(end))

    def _opened(self, data: Offered) -> Offered:
        """What was offered, or what it gave if it was opened already."""
        with self._latest.lock:
            return self._made[1] if self._made is not None and self._made[0] is data else data

    def _show_state(self) -> None:
        in_vain = self._data is None or _lacks_captions(self._opened(self._data))
        self.use.disabled = self._locked or (in_vain and not self.use.value)  # what is ticked can be unticked
        self.policy.disabled = self.synonyms.disabled = self.use.disabled or not self.use.value


def _lacks_captions(data: Offered) -> bool:
    """Whether a dataset that is open already has none; of one that is yet to be opened nobody knows."""
    return not callable(data) and data.captions is None
