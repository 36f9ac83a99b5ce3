"""A line of plain text for hints and errors; what users wrote is shown as text, never as HTML."""

from __future__ import annotations

import html
import logging
import traceback
from collections.abc import Callable
from typing import Literal

import ipywidgets as widgets

from ravl_explore.errors import RavlError

logger = logging.getLogger(__name__)

REPORT = "This is a defect of ravl_explore; what was there before is still there. Please report it with these lines."
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
        """Show an error; unexpected ones with their type, and the lines that whoever mends it needs."""
        if isinstance(error, RavlError):
            self._show(str(error), "error", "alert")
            return
        lines = "".join(traceback.format_exception(error))
        text = f"Unexpected {type(error).__name__}: {error}. {REPORT}"
        self._show(text, "error", "alert", lines)

    def told(self, act: Callable[..., object]) -> Callable[..., object]:
        """The same function, but what it raises is shown here: what a widget's callback raises, nobody sees else."""

        def guarded(*args: object) -> object:
            try:
                return act(*args)
            except Exception as error:
                if not isinstance(error, RavlError):
                    logger.exception("A callback failed")
                self.fail(error)

        return guarded

    @property
    def text(self) -> str:
        """What is shown, as plain text."""
        return self._text

    _text = ""

    def _show(self, text: str, style: str, role: str, lines: str = "") -> None:
        self._text = text
        more = f"<details><summary>Lines</summary><pre>{html.escape(lines)}</pre></details>" if lines else ""
        self.value = (
            f'<div role="{role}" style="{_STYLES[style]};line-height:1.5">{html.escape(text)}{more}</div>'
            if text
            else ""
        )
