"""Form: the fields of a part as inputs; later ones may offer what earlier answers make possible."""

from __future__ import annotations

import html
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import ipywidgets as widgets
import traitlets

from ravl_explore.errors import InputError
from ravl_explore.support.fields import Field
from ravl_explore.support.files import user_path
from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.job import Job
from ravl_explore.widgets.basics.message import Message

logger = logging.getLogger(__name__)

NOTHING = ("(none)", "")  # label and value of a choice that cannot be made yet
DEFAULT = ("(default)", "")  # and of one that need not be made
LONGEST_LINE = 38  # letters that an input shows in a window of 1280 pixels; longer text is told below the input
PATIENCE_SECONDS = 0.3  # the page waits as long for the choices; those that take longer come when they are there
MOST_FOLDERS = 10_000  # looked at for changes; somebody may type "/"
NUMBERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "integer": (int, "a whole number"),
    "number": (float, "a number"),
}
SHORT = ("choice", *NUMBERS)  # kinds of which two share a row
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

    Attributes
    ----------
    inputs : field name -> its widget
    changes : int, grows with every answer, and when choices come late; observe it
    """

    changes = traitlets.Int(0)

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self.fields = fields
        self.message = Message(layout=widgets.Layout(width="100%", margin="0"))
        self.inputs = {field.name: _input(field) for field in fields}
        self._notes = {field.name: _note() for field in fields if field.kind not in SHORT}
        self._lock = threading.RLock()
        self._turn, self._writer, self._settled = 0, 0, threading.Event()
        self._known_choices: dict[str, tuple[Any, tuple[str, ...]]] = {}
        for each in self.inputs.values():
            each.observe(self.message.told(self._on_answer), "value")
        rows = [part for name, each in self.inputs.items() for part in (each, self._notes.get(name)) if part]
        style = widgets.HTML(STYLE, layout=widgets.Layout(display="none"))
        super().__init__(
            [style, *rows, self.message],
            layout=widgets.Layout(width="100%", margin="2px 0 0 0", flex_flow="row wrap", grid_gap="0 8px"),
        )
        self.add_class("ravl-form")
        self._refresh()

    def answers(self) -> dict[str, Any]:
        """Keyword -> answer; fields left empty are left out. Waits for choices that are still being looked for.

        Raises
        ------
        InputError
            When a required answer is missing, or one is no number.
        """
        self._settled.wait()
        found = {}
        for field in self.fields:
            answer = _answer(field, self.inputs[field.name].value)
            if answer is not None:
                found[field.name] = answer
            elif field.required:
                picked = "Pick one in" if field.kind == "choice" else "Type it into"
                raise InputError(
                    f"{field.label.lower()}{f' ({field.help})' if field.help else ''}",
                    "none",
                    f"{picked} the field “{field.label}” under the menu.",
                )
        return found

    def changed(self) -> tuple[tuple[str, int], ...]:
        """When each file or folder that is named in an answer was last changed."""
        return self._changed([field.name for field in self.fields])

    @property
    def disabled(self) -> bool:
        """Whether no input takes an answer."""
        return all(each.disabled for each in self.inputs.values())

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        for each in self.inputs.values():
            each.disabled = disabled

    def _on_answer(self, _: Any) -> None:
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
        known: dict[str, Any] = {}
        complete = True
        for field in self.fields:
            each = self.inputs[field.name]
            if field.choices is not None:
                offered: tuple[str, ...] = ()
                if complete:
                    try:
                        offered = self._choices(field, known)
                    except Exception as raised:  # of a part that may be anybody's: told, and the page goes on
                        logger.info("The choices of %r failed", field.label, exc_info=True)
                        error = error or raised
                with self._lock:
                    if turn != self._turn:
                        return
                    self._writer = threading.get_ident()
                    try:
                        _offer(each, field, offered)
                    finally:
                        self._writer = 0
            try:
                answer = _answer(field, each.value)
            except InputError as raised:
                answer, error = None, error or raised
            if answer is not None:
                known[field.name] = answer
            complete = complete and (answer is not None or not field.required)
        with self._lock:
            if turn == self._turn:
                self.message.say("") if error is None else self.message.fail(error)

    def _choices(self, field: Field, known: dict[str, Any]) -> tuple[str, ...]:
        """A field's choices; those of last time if nothing that they were made from has changed."""
        assert field.choices is not None
        last = self._known_choices.get(field.name)
        if last is not None and last[0] == self._made_from([name for name, _ in last[0][0]], known):
            return last[1]
        watched = _Watched(known)
        stamp = self._changed(list(known))  # before it is read: what changes meanwhile is read again next time
        offered = tuple(field.choices(watched))
        used = [each.name for each in self.fields if each.name in watched.used]
        stamp = tuple(each for each in stamp if each in self._changed(used))
        self._known_choices[field.name] = ((tuple((name, known.get(name)) for name in used), stamp), offered)
        return offered

    def _made_from(self, names: list[str], known: dict[str, Any]) -> Any:
        return tuple((name, known.get(name)) for name in names), self._changed(names)

    def _changed(self, names: list[str]) -> tuple[tuple[str, int], ...]:
        typed = [self.inputs[f.name].value for f in self.fields if f.name in names and f.kind in ("path", "search")]
        return tuple(stamp for text in typed if text and text.strip() for stamp in last_changed(text.strip()))

    def _tell(self) -> None:
        """Say what an input is too narrow for: the end of a path, or the hint of an empty one."""
        for field in self.fields:
            each = self.inputs[field.name]
            typed = each.value.strip() if isinstance(each.value, str) and field.kind == "path" else ""
            asked = f"{field.label}: {field.help}" if field.help else field.label
            each.tooltip = f"{field.label}: {one_line(typed)}" if typed else asked
            if field.name in self._notes:
                said = _end_of(typed) if typed else "" if each.value or not _is_long(field.help) else field.help
                note = self._notes[field.name]
                note.value = f'<div class="ravl-form-note">{html.escape(one_line(said))}</div>' if said else ""
                note.layout.display = "" if said else "none"


class _Watched(Mapping[str, Any]):
    """Answers that remember which of them were looked at."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = dict(answers)
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.used.add(name)
        return self._answers[name]

    def __iter__(self) -> Iterator[str]:
        self.used.update(self._answers)
        return iter(self._answers)

    def __len__(self) -> int:
        self.used.update(self._answers)
        return len(self._answers)


def _input(field: Field) -> Any:
    """The widget of a field; text counts once it is entered, not at every key."""
    flex = "1 1 40%" if field.kind in SHORT else "1 1 100%"
    layout = widgets.Layout(width="auto", min_width="0", margin="1px 0", flex=flex)
    common: dict[str, Any] = {"description": field.label, "layout": layout, "style": {"description_width": "auto"}}
    if field.kind == "choice":
        return widgets.Dropdown(options=[NOTHING if field.required else DEFAULT], **common)
    if field.kind in NUMBERS and field.default is not None:
        kind = widgets.IntText if field.kind == "integer" else widgets.FloatText
        return kind(
            field.default, **common, continuous_update=False, **({} if field.kind == "integer" else {"step": None})
        )
    hint = "" if field.kind not in SHORT and _is_long(field.help) else field.help  # a long one is told below
    text: dict[str, Any] = {"placeholder": hint, "continuous_update": False}
    if field.kind == "lines":
        lines = () if field.default is None else (field.default,) if isinstance(field.default, str) else field.default
        return widgets.Textarea("\n".join(lines), rows=max(2, len(lines)), **common, **text)
    start = "" if field.default is None else str(field.default)
    if field.kind == "search":
        return widgets.Combobox(value=start, ensure_option=False, **common, **text)
    return widgets.Text(start, **common, **text)


def _note() -> widgets.HTML:
    return widgets.HTML(layout=widgets.Layout(display="none", width="100%", margin="0"))


def _is_long(text: str) -> bool:
    return len(text) > LONGEST_LINE


def _end_of(path: str) -> str:
    """The last part of a path that is longer than an input shows; nothing for a shorter one."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    return f"… / {parts[-1]}" if _is_long(path) and parts else ""


def _offer(each: Any, field: Field, offered: tuple[str, ...]) -> None:
    if field.kind != "choice":
        each.options = offered
        return
    before = each.value
    empty = [] if field.required and offered else [NOTHING if field.required else DEFAULT]
    options = [*empty, *((name, name) for name in offered)]
    if list(each.options) == options:
        return
    if before in offered:
        value = before
    elif field.default in offered:
        value = field.default
    else:
        value = options[0][1]
    each.options = options  # picks the first
    each.value = value


def _answer(field: Field, value: Any) -> Any:
    """What a widget's value says; None for nothing."""
    if field.kind == "lines":
        return tuple(line.strip() for line in value.splitlines() if line.strip()) or None
    text = value.strip() if isinstance(value, str) else value
    if text in ("", None):
        return None
    if field.kind not in NUMBERS:
        return text
    parse, noun = NUMBERS[field.kind]
    try:
        return parse(text)
    except ValueError as error:
        raise InputError(f"{noun} for “{field.label}”", repr(text), field.help or "Mend it.") from error


def last_changed(path: str) -> tuple[tuple[str, int], ...]:
    """When a file, or a folder and each folder in it, was last changed; nothing for what is not there."""
    try:
        root = user_path(path)
        folders = islice(root.rglob("*/"), MOST_FOLDERS)
        return tuple((str(each), each.stat().st_mtime_ns) for each in (root, *sorted(folders)))
    except (OSError, ValueError, RuntimeError):  # a name that is no path at all, such as one with a null
        return ()
