"""The widget of a field: how it asks, what it offers, and the answer that it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import ipywidgets as widgets

from ravl_explore.errors import InputError
from ravl_explore.support.fields import Field

NOTHING = ("(none)", "")  # label and value of a choice that cannot be made yet
DEFAULT = ("(default)", "")  # and of one that need not be made
LONGEST_LINE = 38  # letters that an input shows in a window of 1280 pixels; longer text is told below the input
NUMBERS: dict[str, tuple[Callable[[str], int | float], str]] = {
    "integer": (int, "a whole number"),
    "number": (float, "a number"),
}
SHORT = ("choice", *NUMBERS)  # kinds of which two share a row

Answer = str | int | float | tuple[str, ...]
Input = widgets.Dropdown | widgets.IntText | widgets.FloatText | widgets.Textarea | widgets.Combobox | widgets.Text


def input_of(field: Field) -> Input:
    """The widget of a field, one that has a ``value``; text counts once it is entered, not at every key."""
    flex = "1 1 40%" if field.kind in SHORT else "1 1 100%"
    layout = widgets.Layout(width="auto", min_width="0", margin="1px 0", flex=flex)
    common: dict[str, object] = {"description": field.label, "layout": layout, "style": {"description_width": "auto"}}
    if field.kind == "choice":
        return widgets.Dropdown(options=[NOTHING if field.required else DEFAULT], **common)
    if field.kind in NUMBERS and field.default is not None:
        kind = widgets.IntText if field.kind == "integer" else widgets.FloatText
        return kind(
            field.default, **common, continuous_update=False, **({} if field.kind == "integer" else {"step": None})
        )
    hint = "" if field.kind not in SHORT and is_long(field.help) else field.help  # a long one is told below
    text: dict[str, object] = {"placeholder": hint, "continuous_update": False}
    if field.kind == "lines":
        given = field.default
        lines = given if isinstance(given, tuple) else () if given is None else (str(given),)
        return widgets.Textarea("\n".join(lines), rows=max(2, len(lines)), **common, **text)
    start = "" if field.default is None else str(field.default)
    if field.kind == "search":
        return widgets.Combobox(value=start, ensure_option=False, **common, **text)
    return widgets.Text(start, **common, **text)


def offer(asked: Input, field: Field, offered: Sequence[str]) -> None:
    """Let a field's widget offer these: suggestions, or all that can be picked; a pick stays where it still can.

    Parameters
    ----------
    asked : Input
        The field's widget.
    field : Field
        What it asks.
    offered : sequence of str
        Best first.
    """
    if isinstance(asked, widgets.Combobox):
        asked.options = offered
    if not isinstance(asked, widgets.Dropdown):
        return
    before = asked.value
    empty = [] if field.required and offered else [NOTHING if field.required else DEFAULT]
    options = [*empty, *((name, name) for name in offered)]
    if list(asked.options) == options:
        return
    if before in offered:
        value = before
    elif field.default in offered:
        value = field.default
    else:
        value = options[0][1]
    asked.options = options  # picks the first
    asked.value = value


def answer_of(field: Field, value: object) -> Answer | None:
    """What the value of a field's widget says; None for nothing.

    Raises
    ------
    InputError
        When a number is asked for and it is none.

    Examples
    --------
    >>> answer_of(Field("n", "N", "integer"), " 7 "), answer_of(Field("n", "N", "lines"), "a\\n\\nb")
    (7, ('a', 'b'))
    """
    if field.kind == "lines":
        return tuple(line.strip() for line in str(value).splitlines() if line.strip()) or None
    text = value.strip() if isinstance(value, str) else value
    if text is None or text == "":
        return None
    if field.kind not in NUMBERS:
        return str(text)
    parse, noun = NUMBERS[field.kind]
    try:
        return parse(str(text))
    except ValueError as error:
        raise InputError(f"{noun} for “{field.label}”", repr(text), field.help or "Mend it.") from error


def told_below(field: Field, typed: str, empty: bool) -> str:
    """What an input is too narrow for: the end of what is ``typed``, a path, or the hint of an empty input.

    Parameters
    ----------
    field : Field
        What is asked.
    typed : str
        A path, or nothing.
    empty : bool
        Whether the input holds nothing.
    """
    if typed:
        return _end_of(typed)
    return field.help if empty and is_long(field.help) else ""


def is_long(text: str) -> bool:
    """Whether an input is too narrow for it."""
    return len(text) > LONGEST_LINE


def _end_of(path: str) -> str:
    """The last part of a path that is longer than an input shows; nothing for a shorter one."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    return f"… / {parts[-1]}" if is_long(path) and parts else ""
