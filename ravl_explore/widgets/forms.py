"""Form: the fields of a part as inputs; later ones may offer what earlier answers make possible."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import traitlets

from ravl_explore.errors import InputError, RavlError
from ravl_explore.forms import Field
from ravl_explore.widgets.message import Message

NOTHING = ("(none)", "")  # label and value of a choice that cannot be made yet
DEFAULT = ("(default)", "")  # and of one that need not be made
LETTER = 7  # pixels, about the width of a letter in JupyterLab's 13-pixel font
MOST_FOLDERS = 10_000  # looked at for changes; somebody may type "/"
NUMBERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "integer": (int, "a whole number"),
    "number": (float, "a number"),
}


class Form(widgets.VBox):
    """One input a field; what the choices of a field raise is shown under the inputs.

    Attributes
    ----------
    inputs : field name -> its widget
    changes : int, grows with every answer; observe it
    """

    changes = traitlets.Int(0)

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self.fields = fields
        self.message = Message()
        width = f"{10 + LETTER * max(len(field.label) for field in fields)}px"  # one column, no wider than it must be
        self.inputs = {field.name: _input(field, width) for field in fields}
        self._refreshing = False
        for field, each in zip(fields, self.inputs.values(), strict=True):
            each.tooltip = f"{field.label}: {field.help}" if field.help else field.label
            each.observe(self._on_answer, "value")
        super().__init__([*self.inputs.values(), self.message], layout=widgets.Layout(width="100%", margin="2px 0 0 0"))
        self.add_class("ravl-form")
        self._refresh()

    def answers(self) -> dict[str, Any]:
        """Keyword -> answer; fields left empty are left out.

        Raises
        ------
        InputError
            When a required answer is missing, or one is no number.
        """
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
        typed = [self.inputs[field.name].value for field in self.fields if field.kind in ("path", "search")]
        return tuple(stamp for text in typed if text and text.strip() for stamp in last_changed(text.strip()))

    @property
    def disabled(self) -> bool:
        """Whether no input takes an answer."""
        return all(each.disabled for each in self.inputs.values())

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        for each in self.inputs.values():
            each.disabled = disabled

    def _on_answer(self, _: Any) -> None:
        if not self._refreshing:
            self._refresh()
            self.changes += 1

    def _refresh(self) -> None:
        """Ask every field with choices for those that the answers before it leave, and show what goes wrong."""
        self._refreshing = True  # what follows from an answer is the same change
        error: RavlError | None = None
        known: dict[str, Any] = {}
        complete = True
        try:
            for field in self.fields:
                each = self.inputs[field.name]
                if field.choices is not None:
                    offered: tuple[str, ...] = ()
                    if complete:
                        try:
                            offered = tuple(field.choices(dict(known)))
                        except RavlError as raised:
                            error = error or raised
                    _offer(each, field, offered)
                try:
                    answer = _answer(field, each.value)
                except InputError as raised:
                    answer, error = None, error or raised
                if answer is not None:
                    known[field.name] = answer
                complete = complete and (answer is not None or not field.required)
        finally:
            self._refreshing = False
        if error is None:
            self.message.say("")
        else:
            self.message.fail(error)


def _input(field: Field, label_width: str) -> Any:
    """The widget of a field; text counts once it is entered, not at every key."""
    layout = widgets.Layout(width="100%", margin="2px 0")
    common: dict[str, Any] = {
        "description": field.label,
        "layout": layout,
        "style": {"description_width": label_width},
    }
    if field.kind == "choice":
        return widgets.Dropdown(options=[NOTHING if field.required else DEFAULT], **common)
    if field.kind in NUMBERS and field.default is not None:
        kind = widgets.IntText if field.kind == "integer" else widgets.FloatText
        return kind(
            field.default, **common, continuous_update=False, **({} if field.kind == "integer" else {"step": None})
        )
    text: dict[str, Any] = {"placeholder": field.help, "continuous_update": False}
    if field.kind == "lines":
        lines = () if field.default is None else (field.default,) if isinstance(field.default, str) else field.default
        return widgets.Textarea("\n".join(lines), rows=max(2, len(lines)), **common, **text)
    start = "" if field.default is None else str(field.default)
    if field.kind == "search":
        return widgets.Combobox(value=start, ensure_option=False, **common, **text)
    return widgets.Text(start, **common, **text)


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
        root = Path(path).expanduser()
        folders = islice(root.rglob("*/"), MOST_FOLDERS)
        return tuple((str(each), each.stat().st_mtime_ns) for each in (root, *sorted(folders)))
    except (OSError, ValueError, RuntimeError):  # a name that is no path at all, such as one with a null
        return ()
