"""The widgets' scripts and styles: modules of ``static/`` joined into the one module that a widget sends."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

STATIC = Path(__file__).parent.parent / "static"

# What a formatter makes of the forms that are allowed: at the start of a line, and nothing else there
_IMPORT = re.compile(r'^import \{[^}]*\} from "(\.[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const)\b)", re.MULTILINE)
_LEFT_OVER = re.compile(r"^(?:import|export)\b(?: default\b)?", re.MULTILINE)
_DECLARED = re.compile(r"^(?:async function|function|class|const|let) (\w+)", re.MULTILINE)


def script(name: str) -> str:
    """A module of ``static/`` with all that it imports, as one module: a widget sends one text, and nothing is fetched.

    The modules share one scope then, so a name is declared once in all of them. They import each other by
    ``import { name } from "./other.js";`` and no other form.

    Parameters
    ----------
    name : str
        The module's path within ``static/``; it alone exports a default, the widget's.

    Returns
    -------
    str
        What is imported first, each module once.

    Raises
    ------
    ValueError
        Where a module imports or exports in another form, or a name is declared twice.

    Examples
    --------
    >>> script("runs.js").count("function pickableRows(")
    1
    """
    modules: list[str] = []
    _join(name, modules, set())
    text = "\n".join(modules)
    if (left := _LEFT_OVER.findall(text)) != ["export default"]:
        raise ValueError(
            f"Expected named imports and exports in all that {name} needs and one default, got {left}. Write it so."
        )
    declared = _DECLARED.findall(text)
    if twice := sorted({word for word in declared if declared.count(word) > 1}):
        raise ValueError(f"Expected each name to be declared once in all that {name} needs, got {twice} twice. Rename.")
    return text


def style(name: str) -> str:
    """A style sheet of ``static/``.

    As text, not as a file: anywidget watches a file, and keeps every widget that was made of it.
    """
    return (STATIC / name).read_text(encoding="utf-8")


def _join(name: str, modules: list[str], seen: set[str]) -> None:
    """Add a module behind those that it imports, without its imports and exports."""
    if name in seen:
        return
    seen.add(name)
    source = (STATIC / name).read_text(encoding="utf-8")
    for other in _IMPORT.findall(source):
        _join(posixpath.normpath(posixpath.join(posixpath.dirname(name), other)), modules, seen)
    modules.append(_EXPORT.sub("", _IMPORT.sub("", source)))
