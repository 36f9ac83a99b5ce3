"""Form: the fields of a part as inputs; later ones may offer what earlier answers make possible."""

from __future__ import annotations

import html
import logging
import threading

import ipywidgets as widgets
import traitlets

from ravl_explore.errors import InputError
from ravl_explore.support.fields import Field
from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.inputs import SHORT, Answer, answer_of, input_of, offer, told_below
from ravl_explore.widgets.basics.job import Job
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.basics.offers import Offers, Stamps

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.3  # the page waits as long for the choices; those that take longer come when they are there
STYLE = """<style>
.ravl-form { align-items: flex-start; }
.ravl-form > .widget-inline-hbox { flex-direction: column; align-items: stretch; height: auto; }
.ravl-form > .widget-inline-hbox > .widget-label {
  width: auto; height: 18px; line-height: 18px; margin: 0; text-align: left; font-size: 12px;
  color: var(--jp-ui-font-color2, #555);
}
.ravl-form > .widget-inline-hbox > :not(.widget-label) { flex: 0 0 auto; width: 100%; box-sizing: border-box; }
.ravl-form > .widget-dropdown > select { height: var(--jp-widgets-inline-height, 28px); }
.ravl-form-note { font-size: 12px; line-height: 16px; color: var(--jp-ui-font-color2, #666); overflow-wrap: anywhere; }
</style>"""


class Form(Closing, widgets.VBox):
    """One input a field, its label above it; what the choices of a field raise is shown under the inputs.

    Choices may read files: they are asked for in a thread, and again only when an answer that they looked at, or a
    file that it names, has changed.

    Parameters
    ----------
    fields : tuple of Field
        What is asked, in this order.

    Attributes
    ----------
    fields : tuple of Field
        What is asked.
    inputs : dict of str to widget
        The widget of each field, by its name.
    """

    changes = traitlets.Int(0)
    """Grows with every answer, and when choices come late; observe it."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self.fields = fields
        self.message = Message(layout=widgets.Layout(width="100%", margin="0"))
        self.inputs = {field.name: input_of(field) for field in fields}
        self._notes = {
            field.name: widgets.HTML(layout=widgets.Layout(display="none", width="100%", margin="0"))
            for field in fields
            if field.kind not in SHORT
        }
        self._offers = Offers(fields, lambda name: str(self.inputs[name].value))
        self._lock = threading.RLock()
        self._turn, self._writer, self._settled = 0, 0, threading.Event()
        for asked in self.inputs.values():
            asked.observe(self.message.told(self._on_answer), "value")
        rows = [part for name, asked in self.inputs.items() for part in (asked, self._notes.get(name)) if part]
        style = widgets.HTML(STYLE, layout=widgets.Layout(display="none"))
        super().__init__(
            [style, *rows, self.message],
            layout=widgets.Layout(width="100%", margin="2px 0 0 0", flex_flow="row wrap", grid_gap="0 8px"),
        )
        self.add_class("ravl-form")
        self._refresh()

    def answers(self) -> dict[str, Answer]:
        """The answers by keyword; fields left empty are left out. Waits for choices that are still being looked for.

        Raises
        ------
        InputError
            When a required answer is missing, or one is no number.
        """
        self._settled.wait()
        answers: dict[str, Answer] = {}
        for field in self.fields:
            answer = answer_of(field, self.inputs[field.name].value)
            if answer is not None:
                answers[field.name] = answer
            elif field.required:
                picked = "Pick one in" if field.kind == "choice" else "Type it into"
                raise InputError(
                    f"{field.label.lower()}{f' ({field.help})' if field.help else ''}",
                    "none",
                    f"{picked} the field “{field.label}” under the menu.",
                )
        return answers

    def changed(self) -> Stamps:
        """When each file or folder that is named in an answer was last changed."""
        return self._offers.changed([field.name for field in self.fields])

    @property
    def disabled(self) -> bool:
        """Whether no input takes an answer."""
        return all(asked.disabled for asked in self.inputs.values())

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        for asked in self.inputs.values():
            asked.disabled = disabled

    def _on_answer(self, _: object) -> None:
        if threading.get_ident() != self._writer:  # what follows from an answer is the same change
            self._refresh()
            self.changes += 1

    def _refresh(self) -> None:
        """Offer what the answers make possible, and show what goes wrong; a moment later if that takes long."""
        self._tell()
        settled, gave_up = threading.Event(), False
        with self._lock:
            self._turn += 1
            turn, self._settled = self._turn, settled
        if all(field.choices is None for field in self.fields):
            self._ask(turn)
            settled.set()
            return

        def end(_: Job) -> None:
            with self._lock:
                settled.set()
                late = gave_up and turn == self._turn
            if late:
                self.changes += 1

        Job(lambda _: self._ask(turn), on_end=end).start()
        settled.wait(PATIENCE_SECONDS)
        with self._lock:
            gave_up = not settled.is_set()
            if gave_up and turn == self._turn:
                self.message.say("Looking …")

    def _ask(self, turn: int) -> None:
        """Ask every field with choices for those that the answers before it leave; ends early at a newer answer."""
        error: Exception | None = None
        known: dict[str, Answer] = {}
        complete = True
        for field in self.fields:
            asked = self.inputs[field.name]
            if field.choices is not None:
                offered: tuple[str, ...] = ()
                if complete:
                    try:
                        offered = self._offers.of(field, known)
                    except Exception as raised:  # of a part that may be anybody's: told, and the page goes on
                        logger.info("The choices of %r failed", field.label, exc_info=True)
                        error = error or raised
                with self._lock:
                    if turn != self._turn:
                        return
                    self._writer = threading.get_ident()
                    try:
                        offer(asked, field, offered)
                    finally:
                        self._writer = 0
            try:
                answer = answer_of(field, asked.value)
            except InputError as raised:
                answer, error = None, error or raised
            if answer is not None:
                known[field.name] = answer
            complete = complete and (answer is not None or not field.required)
        with self._lock:
            if turn == self._turn:
                self.message.say("") if error is None else self.message.fail(error)

    def _tell(self) -> None:
        """Say what an input is too narrow for: the end of a path, or the hint of an empty one."""
        for field in self.fields:
            asked = self.inputs[field.name]
            typed = str(asked.value).strip() if field.kind == "path" else ""
            question = f"{field.label}: {field.help}" if field.help else field.label
            asked.tooltip = f"{field.label}: {one_line(typed)}" if typed else question
            if field.name in self._notes:
                note, said = self._notes[field.name], told_below(field, typed, empty=not asked.value)
                note.value = f'<div class="ravl-form-note">{html.escape(one_line(said))}</div>' if said else ""
                note.layout.display = "" if said else "none"
