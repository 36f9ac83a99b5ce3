"""What an explorer leaves when its cell is run again: a sentence for the next one, and the models it trained."""

from __future__ import annotations

from collections.abc import Sequence

from ravl_explore.support.text import one_line
from ravl_explore.widgets.mitigation.panel import MitigationPanel


def told_ending(panel: MitigationPanel, searching: bool, found: bool) -> str:
    """What the next explorer says of the one that it closes; nothing where nothing was done.

    Parameters
    ----------
    panel : MitigationPanel
        Of the one that is closed, while it is still open.
    searching, found : bool
        Whether a search runs, and whether one has given a discovery.
    """
    kept = f" Started again with the run folder {one_line(panel.folder)}, it goes on." if panel.folder else ""
    if panel.running:
        did = f", its training stopped: what was trained becomes explorer.earlier.model.{kept}"
    elif panel.mitigation is not None:
        did = "; what it trained last is explorer.earlier.model."
    elif searching:
        did = ", its search stopped."
    elif found:
        did = " with its results."
    else:
        return ""
    return f"The explorer that this cell showed before was closed{did}"


def still_offered(
    panel: MitigationPanel, was_training: bool, earlier: Sequence[MitigationPanel]
) -> tuple[MitigationPanel, ...]:
    """Closed panels whose training the next explorer offers, newest first; of several models one stays.

    Parameters
    ----------
    panel : MitigationPanel
        Of the explorer that was closed last.
    was_training : bool
        Whether it trained when it was closed: then its model may still come.
    earlier : sequence of MitigationPanel
        What that explorer offered itself.
    """
    panels = [each for each in earlier if each.mitigation is not None]
    if was_training or panel.mitigation is not None:
        panels.insert(0, panel)
    if panels and panels[0].mitigation is not None:
        for each in panels[1:]:
            each.mitigation = None
        del panels[1:]
    return tuple(panels)
