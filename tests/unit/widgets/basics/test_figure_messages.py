"""MessageFigure: what it takes for granted of plotly's private side is there; what it does is in test_figure.py."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import anywidget
import plotly.graph_objects as go
import pytest

from ravl_explore.widgets.basics import figure, figure_messages
from ravl_explore.widgets.basics.figure import LiveFigure
from ravl_explore.widgets.basics.figure_messages import PLOTLY_METHODS, PLOTLY_SCRIPT, PLOTLY_VALUES, MessageFigure
from ravl_explore.widgets.basics.static import script

SOURCES = tuple(Path(module.__file__ or "").read_text(encoding="utf-8") for module in (figure, figure_messages))


def bare_signature(method: object) -> str:
    """Without annotations, of which newer versions may have more."""
    signature = inspect.signature(method)  # type: ignore[arg-type]
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


@pytest.fixture
def plain() -> go.FigureWidget:
    return go.FigureWidget()


def private_names() -> set[str]:
    """All that the two classes define or ask of themselves with a leading underscore."""
    names = {name for of in (LiveFigure, MessageFigure) for name in vars(of)}
    for source in SOURCES:
        asked = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute))
        names |= {node.attr for node in asked if ast.unparse(node.value) in ("self", "super()")}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def test_plotly_is_as_it_is_taken_for(plain: go.FigureWidget) -> None:
    """In Python methods, values and traits, and in the browser the names that ``static/figure`` uses."""
    assert {name: bare_signature(getattr(go.FigureWidget, name)) for name in PLOTLY_METHODS} == PLOTLY_METHODS
    assert isinstance(plain._data, list) and isinstance(plain._layout, dict) and isinstance(plain._config, dict)
    traits = {name for source in SOURCES for name in re.findall(r'"(_(?:py2js|js2py|widget)_\w+)"', source)}
    assert len(traits) == 10 and traits <= set(go.FigureWidget.class_traits())
    bundle = str(go.FigureWidget._esm)
    assert [name for name in PLOTLY_SCRIPT if not re.search(rf"\b{name}\b", bundle)] == []


def test_nothing_else_of_plotlys_private_side_is_used(plain: go.FigureWidget) -> None:
    """Nor overridden by chance, by a name of our own."""
    of_widgets = anywidget.AnyWidget()
    used = {name for name in private_names() if hasattr(plain, name) and not hasattr(of_widgets, name)}
    assert used == {*PLOTLY_METHODS, *PLOTLY_VALUES}


def test_the_script_uses_what_is_listed() -> None:
    sent = script("figure.js")
    assert [name for name in PLOTLY_SCRIPT if name not in sent] == []
    assert set(re.findall(r"\b(?:handle_plotly|_send)\w+", sent)) <= set(PLOTLY_SCRIPT)
