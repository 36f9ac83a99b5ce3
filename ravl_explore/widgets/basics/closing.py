"""Closing: a widget that is closed closes all it is made of; a cell that is run again closes what it made before."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import ipywidgets as widgets
from ipywidgets.widgets.widget import _instances

from ravl_explore.widgets.basics.job import Job
from ravl_explore.widgets.basics.latest import Latest

Run = tuple[str, str]  # a cell, and which run of it

_made_in: weakref.WeakKeyDictionary[Closing, Run] = weakref.WeakKeyDictionary()


class Closing(widgets.Widget):
    """Base of the widgets that are made by hand, beside ipywidgets' own.

    ipywidgets keeps every widget until it is closed, and with it all that its callbacks hold; closing a box leaves its
    children open. Here :meth:`close` closes every part, stops what works, and lets go of what was shown. In a notebook,
    the widgets that a cell made are closed when it is run again and makes new ones: nobody can see them any more.
    """

    _lets_go: ClassVar[tuple[str, ...]] = ()
    """Attributes that hold models, images or what was made of them; None once closed."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        # anywidget watches what is given as a file, and tells every widget of it that was ever made, which keeps them
        for name in ("_esm", "_css"):
            source = vars(cls).get(name)
            if isinstance(source, Path):
                setattr(cls, name, source.read_text(encoding="utf-8"))
        super().__init_subclass__(**kwargs)

    def __init__(self, *args: object, **kwargs: object) -> None:
        close_earlier()
        super().__init__(*args, **kwargs)
        run = this_run()
        if run is not None:
            _made_in[self] = run

    @property
    def closed(self) -> bool:
        """Whether it was closed; then it shows nothing and holds nothing any more."""
        return self.comm is None

    def close(self) -> None:
        """Free it: close all its parts, stop what works at its next step, let go of models, images and results."""
        parts, jobs = parts_of(self)
        for job in jobs:
            job.abandon()
        for name in self._lets_go:
            setattr(self, name, None)
        super().close()
        for part in parts:
            part.close()


def parts_of(widget: widgets.Widget) -> tuple[list[widgets.Widget], list[Job | Latest]]:
    """Every widget that one is made of, also those that are not on show, layouts and styles; and their jobs."""
    found: dict[int, widgets.Widget] = {id(widget): widget}
    jobs: dict[int, Job | Latest] = {}
    to_do = [widget]
    while to_do:
        for each in _held(vars(to_do.pop())):
            if isinstance(each, (Job, Latest)):
                jobs[id(each)] = each
            elif id(each) not in found:
                found[id(each)] = each
                to_do.append(each)
    return list(found.values())[1:], list(jobs.values())


def close_earlier() -> list[Closing]:
    """Close what an earlier run of the present cell made, and return it, what holds others first.

    Parts of widgets that another cell made stay: a cell may have filled them.
    """
    run = this_run()
    if run is None:
        return []
    earlier = [each for each, made in list(_made_in.items()) if made[0] == run[0] and made != run]
    if not earlier:
        return []
    going = {id(each) for each in earlier}
    others = [each for each in list(_instances.values()) if isinstance(each, Closing) and id(each) not in going]
    staying = {id(part) for other in others for part in parts_of(other)[0]}
    closed = [each for each in reversed(earlier) if id(each) not in staying]
    for each in closed:
        del _made_in[each]
        each.close()
    return closed


def this_run() -> Run | None:
    """The notebook's cell that is being run, and which run of it; None where nobody tells, as in a script."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return None
    parent = getattr(get_ipython(), "get_parent", dict)()
    cell = parent.get("metadata", {}).get("cellId")
    return None if cell is None else (str(cell), str(parent["header"]["msg_id"]))


def _held(values: Mapping[str, object]) -> Iterator[widgets.Widget | Job | Latest]:
    """Widgets and jobs among values, and in dicts, lists and tuples up to two deep: where traits and parts are kept."""
    level: list[object] = list(values.values())
    for _ in range(3):
        deeper: list[object] = []
        for each in level:
            if isinstance(each, (widgets.Widget, Job, Latest)):
                yield each
            elif isinstance(each, dict):
                deeper += each.values()
            elif isinstance(each, (list, tuple)):
                deeper += each
        level = deeper
