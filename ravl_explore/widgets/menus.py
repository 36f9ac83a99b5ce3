"""Menus of replaceable parts, read from the ``__all__`` of their folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import ipywidgets as widgets

from ravl_explore.errors import InputError


@dataclass(frozen=True)
class Choice:
    """One menu entry: ``make()`` builds the part; ``make(path)`` where ``path_hint`` says what path it takes."""

    label: str
    make: Callable[..., Any]
    path_hint: str = ""


def choices(folder: ModuleType) -> list[Choice]:
    """Every part in ``folder.__all__`` that offers ``menu()`` (label -> arguments) or a ``path_hint``.

    Examples
    --------
    >>> from ravl_explore import regions
    >>> [choice.label for choice in choices(regions)][0]
    'Quadrants (2 x 2)'
    """
    found = []
    for name in folder.__all__:
        part = getattr(folder, name)
        if hasattr(part, "menu"):
            found += [Choice(label, _call(part, arguments)) for label, arguments in part.menu().items()]
        if getattr(part, "path_hint", ""):
            found.append(Choice(f"{part.path_label} …", part, part.path_hint))
    return found


def _call(part: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[[], Any]:
    return lambda: part(*arguments)


class PartMenu(widgets.VBox):
    """A labelled dropdown of choices; one that needs a path shows a text field for it.

    Parameters
    ----------
    label : shown before the menu
    options : what can be picked
    given : an object of the caller's own, which then is the first choice
    preferred : label of the choice to start with
    """

    def __init__(self, label: str, options: list[Choice], given: Any = None, preferred: str = "") -> None:
        if given is not None:
            own = str(getattr(given, "name", "") or type(given).__name__)
            options = [Choice(own, lambda: given), *(each for each in options if each.label != own)]
        self._options = {choice.label: choice for choice in options}
        start = preferred if preferred in self._options and given is None else next(iter(self._options))
        title = widgets.HTML(f'<span style="font-weight:600">{label}</span>', layout=widgets.Layout(height="22px"))
        width = widgets.Layout(width="100%", margin="0")
        self.menu = widgets.Dropdown(options=list(self._options), value=start, layout=width, tooltip=label)
        self.menu.add_class("ravl-menu")
        self.path = widgets.Text(layout=widgets.Layout(width="100%", margin="4px 0 0 0", display="none"))
        self.menu.observe(self._on_pick, "value")
        super().__init__([title, self.menu, self.path], layout=widgets.Layout(min_width="180px"))
        self._cache: tuple[tuple[Any, ...], Any] | None = None
        self._on_pick(None)

    @property
    def choice(self) -> Choice:
        """What is picked."""
        return self._options[self.menu.value or ""]

    def make(self) -> Any:
        """Build what is picked, or return what was built for the same pick before, unless its file or folder changed.

        Raises
        ------
        InputError
            When a path is needed and none was typed; and whatever the part raises.
        """
        choice, path = self.choice, self.path.value.strip()
        if not choice.path_hint:
            path = ""
        elif not path:
            raise InputError(f"a path ({choice.path_hint})", "none", "Type it into the field under the menu.")
        key = (choice.label, path, _changed(path) if path else None)
        if self._cache is not None and self._cache[0] == key:
            return self._cache[1]
        made = choice.make(path) if path else choice.make()
        self._cache = (key, made)
        return made

    def _on_pick(self, _: Any) -> None:
        hint = self.choice.path_hint
        self.path.placeholder = hint
        self.path.layout.display = "flex" if hint else "none"


def _changed(path: str) -> tuple[tuple[str, int], ...]:
    """When a file, or a folder and each folder in it, was last changed; nothing for what is not there."""
    root = Path(path).expanduser()
    try:
        return tuple((str(each), each.stat().st_mtime_ns) for each in (root, *sorted(root.rglob("*/"))))
    except OSError:
        return ()
