"""CaptionCoverage: whether classes are to be read off captions, and what that gives, before training starts."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import traitlets

from ravl_explore.captions import CaptionLabeller, CaptionLabels, common_synonyms
from ravl_explore.captions.labeller import Ambiguity
from ravl_explore.captions.labels import Status
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.errors import DataError, InputError
from ravl_explore.support.progress import Progress
from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.job import Job
from ravl_explore.widgets.basics.message import Message

POLICIES: dict[str, Ambiguity] = {  # of captions that name several classes
    "give their image no class": "skip",
    "give it the class named first": "first",
    "give it the named class most like the image": "similar",
}
NO_CAPTIONS = "This dataset has no captions: its own labels are used."
NO_DATA = "Pick the images to fine-tune on first."
HINT = "Off: the dataset's own labels are used. On: each image's class is the one that its caption names."
MOST_CLASSES = 200  # rows of the table
EXAMPLES = 5  # captions of a kind
LONGEST = 160  # letters of a caption
WORDS = 10
KINDS: dict[Status, str] = {
    "several": "name several classes",
    "none": "name no class",
    "negated": "only deny classes",
}
STYLE = """<style>
.ravl-coverage { color: var(--jp-ui-font-color1, #222); line-height: 1.5; }
.ravl-coverage > div { max-height: 220px; overflow-y: auto; margin: 6px 0; }
.ravl-coverage table { border-collapse: collapse; font-size: 12px; color: inherit; }
.ravl-coverage th, .ravl-coverage td { padding: 1px 10px 1px 0; text-align: right; white-space: nowrap; }
.ravl-coverage th:first-child, .ravl-coverage td:first-child {
  text-align: left; white-space: normal; overflow-wrap: anywhere; max-width: 240px;
}
.ravl-coverage th { color: var(--jp-ui-font-color2, #666); font-weight: 600; position: sticky; top: 0;
  background: var(--jp-layout-color1, #fff); }
.ravl-coverage td.zero { font-weight: 700; color: var(--jp-error-color1, #d32f2f); }
.ravl-coverage summary { cursor: pointer; }
.ravl-coverage li, .ravl-coverage p { overflow-wrap: anywhere; margin: 0; }
</style>"""


class CaptionCoverage(Closing, widgets.VBox):
    """A box to tick, what to do with captions that name several classes, and a report on all captions.

    The report is made in a thread, and only once the box is ticked.

    Attributes
    ----------
    report : what the captions of the offered data say, or None
    changes : int, grows when the answer or the report changes; observe it
    """

    _lets_go = ("report", "_data", "_made", "_labeller", "_job")

    changes = traitlets.Int(0)

    def __init__(self) -> None:
        self.report: CaptionLabels | None = None
        self._data: Any = None
        self._made: tuple[Any, ImageTextDataset] | None = None  # what was offered -> the dataset that it gave
        self._labeller: CaptionLabeller | None = None
        self._error: BaseException | None = None
        self._job: Job | None = None
        self._swap = threading.RLock()
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

    def offer(self, data: ImageTextDataset | Callable[[], ImageTextDataset] | None) -> None:
        """Take other images, or a function that opens them when they are needed."""
        with self._swap:
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
        with self._swap:
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
        with self._swap:
            job = self._job
        return job is None or job.wait(timeout)

    def _start(self) -> None:
        with self._swap:
            if self._job is not None:
                self._job.cancel()
            self._job, self.report, self._labeller, self._error = None, None, None, None
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
                policy: Any = self.policy.value
                synonyms = self.synonyms.value
                self._job = Job(
                    lambda progress: self._read(data, policy, synonyms, progress),
                    on_end=self.message.told(self._on_end),
                )
                self._job.start()
        self.changes += 1

    def _read(self, data: Any, policy: Ambiguity, synonyms: bool, progress: Progress) -> tuple[Any, ...]:
        source = self._opened(data)
        opened: Any = source() if callable(source) else source
        with self._swap:
            if data is self._data:
                self._made = (data, opened)
        if opened.captions is None:
            raise DataError("a dataset with captions", "one without", "Untick “Classes from the captions”.")
        names = opened.class_names
        labeller = CaptionLabeller(names, synonyms=common_synonyms(names) if synonyms else None, ambiguity=policy)
        # which class is most like an image is known only once it is embedded
        sure = CaptionLabeller(names, synonyms=labeller.synonyms) if policy == "similar" else labeller
        found = sure(opened.captions)
        later = found.ambiguous if policy == "similar" else 0
        return labeller, found, later, _drawn(found, later)

    def _on_end(self, job: Job) -> None:
        with self._swap:
            if job is not self._job or job.cancelled:
                return
            if job.error is not None:
                self._error = job.error
                self.message.fail(job.error)
            else:
                labeller, found, later, drawn = job.result
                self.report, self._table.value = found, drawn
                try:
                    found.require(0 if later else 1)
                except DataError as error:
                    self._error = error
                    self.message.fail(error)
                else:
                    self._labeller = labeller
                    self.message.say(_summary(found, later), "fact")
        self.changes += 1

    def _opened(self, data: Any) -> Any:
        """What was offered, or what it gave if it was opened already."""
        with self._swap:
            return self._made[1] if self._made is not None and self._made[0] is data else data

    def _show_state(self) -> None:
        in_vain = self._data is None or _lacks_captions(self._opened(self._data))
        self.use.disabled = self._locked or (in_vain and not self.use.value)  # what is ticked can be unticked
        self.policy.disabled = self.synonyms.disabled = self.use.disabled or not self.use.value


def _lacks_captions(data: Any) -> bool:
    """Whether a dataset that is open already has none; of one that is yet to be opened nobody knows."""
    return not callable(data) and data.captions is None


def _summary(found: CaptionLabels, later: int) -> str:
    text = str(found)
    if later:
        text += f" The class of those that name several is chosen when training starts ({later:,} more labels)."
    missing = found.classes_without_label
    if missing and not later:
        some = ", ".join(map(one_line, missing[:5])) + (f" and {len(missing) - 5:,} more" if len(missing) > 5 else "")
        text += f" No caption gives the class {some}: fine-tuning cannot see it."
    return text


def _drawn(found: CaptionLabels, later: int) -> str:
    frame = found.frame()
    rows = []
    for name, labelled, named, ambiguous, negated in frame.head(MOST_CLASSES).itertuples(index=False):
        zero = ' class="zero"' if not labelled and not later else ""
        rows.append(
            f"<tr><td>{_escaped(name)}</td><td{zero}>{labelled:,}</td><td>{named:,}</td><td>{ambiguous:,}</td>"
            f"<td>{negated:,}</td></tr>"
        )
    if len(frame) > MOST_CLASSES:
        rows.append(f"<tr><td>and {len(frame) - MOST_CLASSES:,} more classes</td></tr>")
    head = "<tr><th>Class</th><th>Labelled</th><th>Named</th><th>Beside others</th><th>Denied</th></tr>"
    kinds = "".join(_examples(found, status, said) for status, said in KINDS.items())
    words = ", ".join(
        f"{_escaped(_cut(word, LONGEST // 4))} ({count:,})" for word, count in found.frequent_words(WORDS)
    )
    hint = f"<p>Frequent words where no class is named: {words}.</p>" if words else ""
    return f'{STYLE}<div class="ravl-coverage"><div><table>{head}{"".join(rows)}</table></div>{kinds}{hint}</div>'


def _examples(found: CaptionLabels, status: Status, said: str) -> str:
    n = found.count(status)
    if not n:
        return ""
    items = "".join(f"<li>image {row:,}: {_escaped(_cut(text))}</li>" for row, text in found.examples(status, EXAMPLES))
    which = (
        f"{n:,} captions {said}" if n > 1 else f"1 caption {said.replace('name ', 'names ').replace('deny', 'denies')}"
    )
    more = f", {EXAMPLES} of them" if n > EXAMPLES else ""
    return f"<details><summary>{which}{more}</summary><ul>{items}</ul></details>"


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else text[:longest] + " …"


def _escaped(text: object) -> str:
    return html.escape(one_line(text))
