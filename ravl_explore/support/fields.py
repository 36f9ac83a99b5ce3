"""Field: what a part asks of the user before it can be built, in plain data, so that any front end can draw a form.

A part (a model loader, a dataset, a proposer) that needs answers has ``form_label``, shown in the menu, and ``form``, a
tuple of fields; each field's ``name`` is a keyword of the part's constructor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["path", "text", "lines", "search", "choice", "integer", "number"]


@dataclass(frozen=True)
class Field:
    """One question.

    Attributes
    ----------
    name : str
        Keyword argument of the part.
    label : str
        Shown beside the input.
    kind : {"path", "text", "lines", "search", "choice", "integer", "number"}
        A file or folder; a text; one entry a line, which gives a tuple of str; text with suggestions, where anything
        may be typed; one of ``choices``; or a number.
    default : str, int, float, tuple of str, or None
        What it starts with; None leaves it out, so that the part's own default holds.
    help : str
        Shown in the empty input, or below it where it is long, and as its tooltip.
    choices : function of the answers so far, or None
        For ``search`` and ``choice``: from the answers by name, what can be picked, best first. Called again when an
        answer changes; it may raise RavlError, which the form shows.
    required : bool
        Whether the part cannot be built without it.
    """

    name: str
    label: str
    kind: Kind = "text"
    default: str | float | tuple[str, ...] | None = None
    help: str = ""
    choices: Callable[[Mapping[str, object]], Sequence[str]] | None = None
    required: bool = True
