"""What JupyterLab's dark theme leaves unreadable in ipywidgets, put right inside the explorer."""

from __future__ import annotations

import ipywidgets as widgets

CHEVRON = (
    "data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'>"
    "<path fill='%23ccc' d='M5.2 5.9 9 9.7l3.8-3.8 1.2 1.2-5 5-4.9-5z'/></svg>"
)
STYLE = (
    f'<style>[data-jp-theme-light="false"] .ravl-explorer {{ --jp-widgets-dropdown-arrow: url("{CHEVRON}"); }}</style>'
)


def dark_menus() -> widgets.HTML:
    """A widget without a picture: ipywidgets draws the arrows of menus black in every theme."""
    return widgets.HTML(STYLE, layout=widgets.Layout(display="none"))
