"""A line of plain text for hints and errors; what users wrote is shown as text, never as HTML."""

from __future__ import annotations

import html
from typing import Literal

import ipywidgets as widgets

from ravl_explore.errors import RavlError

_STYLES = {
    "hint": "color:var(--jp-ui-font-color2,#666)",
    "fact": "color:var(--jp-ui-font-color1,#222)",
    "warning": "color:var(--jp-ui-font-color1,#222);border-left:4px solid var(--jp-warn-color1,#f57c00);"
    "background:var(--jp-layout-color2,#eee);padding:6px 10px",
    "error": "color:var(--jp-ui-font-color1,#222);border-left:4px solid var(--jp-error-color1,#d32f2f);"
    "background:var(--jp-layout-color2,#eee);padding:6px 10px",
}


class Message(widgets.HTML):
    """Says one thing at a time: a hint, or an error that stays until the next thing is said."""

    def say(self, text: str, style: Literal["hint", "fact", "warning"] = "hint") -> None:
        """Show a hint, a fact, which is less pale, or a warning; empty text shows nothing."""
        self._show(text, style, "status")

    def fail(self, error: BaseException) -> None:
        """Show an error; unexpected ones with their type and where to look further."""
        text = str(error)
        if not isinstance(error, RavlError):
            text = f"Unexpected {type(error).__name__}: {error}. Nothing was lost; the kernel's log has the details."
        self._show(text, "error", "alert")

    @property
    def text(self) -> str:
        """What is shown, as plain text."""
        return self._text

    _text = ""

    def _show(self, text: str, style: str, role: str) -> None:
        self._text = text
        self.value = (
            f'<div role="{role}" style="{_STYLES[style]};line-height:1.5">{html.escape(text)}</div>' if text else ""
        )
