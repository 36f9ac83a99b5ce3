"""Field: what a part asks of the user before it can be built, in plain data, so that any front end can draw a form.

A part (a model loader, a dataset, a proposer) that needs answers has ``form_label``, shown in the menu, and ``form``, a
tuple of fields; each field's ``name`` is a keyword of the part's constructor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["path", "text", "lines", "search", "choice", "integer", "number"]


@dataclass(frozen=True)
class Field:
    """One question.

    Attributes
    ----------
    name : keyword argument of the part
    label : shown beside the input
    kind : ``path`` (a file or folder), ``text``, ``lines`` (one entry a line -> tuple of str), ``search`` (text with
        suggestions; anything may be typed), ``choice`` (one of ``choices``), ``integer`` or ``number``
    default : what it starts with; None leaves it out, so that the part's own default holds
    help : shown in the empty input, or below it where it is long, and as its tooltip
    choices : for ``search`` and ``choice``: the answers so far, by name -> what can be picked, best first. Called again
        when an answer changes; it may raise RavlError, which the form shows
    required : whether the part cannot be built without it
    """

    name: str
    label: str
    kind: Kind = "text"
    default: Any = None
    help: str = ""
    choices: Callable[[Mapping[str, Any]], Sequence[str]] | None = None
    required: bool = True
