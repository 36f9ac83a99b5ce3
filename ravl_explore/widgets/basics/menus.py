"""Menus of replaceable parts, read from the ``__all__`` of their folders; a part that needs answers gets a form."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Generic, NoReturn, TypeVar

import ipywidgets as widgets
import traitlets

from ravl_explore.errors import InputError
from ravl_explore.support.fields import Field
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.form import Form

Part = TypeVar("Part")


@dataclass(frozen=True)
class Choice(Generic[Part]):
    """One menu entry.

    Attributes
    ----------
    label : str
        What the menu shows.
    make : callable
        ``make(**answers)`` builds the part from the answers to the form.
    form : tuple of Field
        What it asks, if anything.
    """

    label: str
    make: Callable[..., Part]
    form: tuple[Field, ...] = ()


def choices(folder: ModuleType) -> list[Choice[Any]]:
    """Every part in ``folder.__all__`` that offers ``menu()`` (label -> arguments) or a ``form``.

    Examples
    --------
    >>> from ravl_explore import regions
    >>> [choice.label for choice in choices(regions)][0]
    'Quadrants (2 x 2)'
    """
    offered = []
    for name in folder.__all__:
        part = getattr(folder, name)
        if hasattr(part, "menu"):
            offered += [Choice(label, _call(part, arguments)) for label, arguments in part.menu().items()]
        if getattr(part, "form", ()):
            offered.append(Choice(f"{part.form_label} …", part, tuple(part.form)))
    return offered


def _gone() -> NoReturn:
    raise InputError("a menu that is open", "a closed one", "Make a new explorer, or run its cell again.")


def _call(part: Callable[..., Part], arguments: tuple[object, ...]) -> Callable[[], Part]:
    return lambda: part(*arguments)


def heading(label: str) -> widgets.HTML:
    """The name above a menu; ``label`` is ours, not a user's."""
    return widgets.HTML(f'<span style="font-weight:600">{label}</span>', layout=widgets.Layout(height="22px"))


class PartMenu(Closing, widgets.VBox, Generic[Part]):
    """A labelled dropdown of choices; one with a form shows it below.

    Parameters
    ----------
    label : str
        Shown above the menu.
    options : list of Choice
        What can be picked.
    given : object, optional
        One of the caller's own, which then is the first choice.
    preferred : str
        Label of the choice to start with.
    flex : str, optional
        How it shares a row with others, as in CSS.
    """

    changes = traitlets.Int(0)
    """Grows whenever something else is picked or answered; observe it."""

    def __init__(
        self,
        label: str,
        options: list[Choice[Part]],
        given: Part | None = None,
        preferred: str = "",
        flex: str | None = None,
    ) -> None:
        if given is not None:
            own = _name_of(given)
            options = [Choice(own, lambda: given), *(each for each in options if each.label != own)]
        self._options = {choice.label: choice for choice in options}
        self._own: dict[str, Part] = {} if given is None else {_name_of(given): given}
        self._forms: dict[str, Form] = {}
        self._lock = threading.Lock()
        self._cache: tuple[tuple[object, ...], Part] | None = None
        start = preferred if preferred in self._options and given is None else next(iter(self._options))
        width = widgets.Layout(width="100%", margin="0")
        self.menu = widgets.Dropdown(options=list(self._options), value=start, layout=width, tooltip=label)
        self.menu.add_class("ravl-menu")
        self._below = widgets.VBox(layout=widgets.Layout(width="100%", margin="0"))
        self.menu.observe(self._on_pick, "value")
        super().__init__([heading(label), self.menu, self._below], layout=widgets.Layout(min_width="180px", flex=flex))
        self._on_pick(None)

    @property
    def choice(self) -> Choice[Part]:
        """What is picked."""
        return self._options[self.menu.value or ""]

    @property
    def form(self) -> Form | None:
        """The form of what is picked, or None; ``form.inputs`` are its widgets by name."""
        return self._forms.get(self.menu.value or "")

    def same_pick(self, other: PartMenu[Part]) -> bool:
        """Whether another menu has the same entry, answers and, where it is the caller's own object, object."""

        def picked(menu: PartMenu[Part]) -> list[object]:
            label = menu.menu.value or ""
            answers = menu.form.inputs.values() if menu.form is not None else ()
            return [label, id(menu._own.get(label)), *(each.value for each in answers)]

        return picked(self) == picked(other)

    def offer(self, part: Part, label: str, pick: bool = True) -> None:
        """Put an object of the caller's own first, instead of an earlier one of that label, and pick it.

        Parameters
        ----------
        part : Part
            The object.
        label : str
            What the menu shows.
        pick : bool
            False leaves the pick as it is.
        """
        picked = self.menu.value
        self._options = {label: Choice(label, lambda: part)} | {k: v for k, v in self._options.items() if k != label}
        self._own[label] = part
        if label in self._forms:
            self._forms.pop(label).close()
        self.menu.options = list(self._options)  # picks the first
        if not pick:
            self.menu.value = picked
        self._on_pick(None)

    def withdraw(self, label: str, instead: str) -> None:
        """Take back what was offered under ``label``; if it was picked, pick ``instead``."""
        if label not in self._options:
            return
        picked = self.menu.value
        self._options = {k: v for k, v in self._options.items() if k != label}
        self._own.pop(label, None)
        self.menu.options = list(self._options)  # picks the first
        self.menu.value = instead if picked == label else picked
        self.forget()
        self._on_pick(None)

    def make(self) -> Part:
        """Build what is picked, or return what was built for the same answers before, unless a file of it changed.

        Safe to call from several threads; what one builds, the others get.

        Raises
        ------
        InputError
            When an answer is missing or no number; and whatever the part raises.
        """
        choice, form = self.choice, self.form
        answers = form.answers() if form is not None else {}
        with self._lock:
            key = (choice, tuple(sorted(answers.items())), form.changed() if form is not None else ())
            if self._cache is not None and self._cache[0] == key:
                return self._cache[1]
            self._cache = None  # before the next one is built: two large models may not fit
            made = choice.make(**answers)
            self._cache = (key, made)
            if self.closed:  # meanwhile
                self._cache = None
            return made

    def close(self) -> None:
        """Free it, and let go of the caller's own objects and of what was built."""
        super().close()
        for label in getattr(self, "_own", ()):  # ipywidgets also closes what failed while it was made
            self._options[label] = Choice(label, _gone)
        self._own, self._cache = {}, None

    def forget(self) -> None:
        """Build anew next time: what was read before may have been mended since."""
        with self._lock:
            self._cache = None

    @property
    def disabled(self) -> bool:
        """Whether nothing can be picked or answered."""
        return self.menu.disabled

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        self.menu.disabled = disabled
        for form in self._forms.values():
            form.disabled = disabled

    def _on_pick(self, _: object) -> None:
        label, choice = self.menu.value or "", self.choice
        if choice.form and label not in self._forms:
            made = self._forms[label] = Form(choice.form)
            made.disabled = self.menu.disabled
            made.observe(self._on_answer, "changes")
        form = self.form
        self._below.children = () if form is None else (form,)
        self._on_answer(None)

    def _on_answer(self, _: object) -> None:
        self.changes += 1


def _name_of(given: object) -> str:
    return str(getattr(given, "name", "") or type(given).__name__)
