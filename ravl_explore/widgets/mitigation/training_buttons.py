"""TrainingButtons: Start, Pause or Resume, Stop and Compare, each of which can be pressed only where it makes sense."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from ravl_explore.widgets.basics.closing import Closing

CONFIRM = "Choose a cluster and confirm that you looked at its crops"
GUESSING = " and that you train a model that may as well guess"


class TrainingButtons(Closing, widgets.HBox):
    """A row of buttons; what they do is up to whoever asks by ``on_click``.

    Attributes
    ----------
    start, pause, stop, compare : Button
        Compare is there only while a trained model was not measured.
    """

    def __init__(self) -> None:
        self.start = _button("Start", "play", "")
        self.start.button_style = "primary"
        self.pause = _button("Pause", "pause", "")
        self.stop = _button("Stop", "stop", "End after this step; what was trained is kept and compared")
        self.compare = _button(
            "Compare", "balance-scale", "Measure the model before and after, and list it in the table"
        )
        super().__init__([self.start, self.pause, self.stop, self.compare])

    def on_click(
        self,
        start: Callable[[widgets.Button], object],
        pause: Callable[[widgets.Button], object],
        stop: Callable[[widgets.Button], object],
        compare: Callable[[widgets.Button], object],
    ) -> None:
        """Call these when the button of that name is pressed.

        Parameters
        ----------
        start, pause, stop, compare : callable
            Called with the button.
        """
        self.start.on_click(start)
        self.pause.on_click(pause)
        self.stop.on_click(stop)
        self.compare.on_click(compare)

    def show_state(
        self, *, running: bool, ready: bool, guesses: bool, steerable: bool, paused: bool, uncompared: bool
    ) -> None:
        """Show what can be done now.

        Parameters
        ----------
        running : bool
            Whether a training, or a comparison, is under way.
        ready : bool
            Whether all that a training needs was chosen and confirmed.
        guesses : bool
            Whether the searched model is no better than guessing, which has to be confirmed, too.
        steerable : bool
            Whether the training takes steps, so that it can be paused and stopped.
        paused : bool
            Whether it holds.
        uncompared : bool
            Whether there is a new model that was not measured.
        """
        self.start.disabled = running or not ready
        self.start.tooltip = "" if ready else f"{CONFIRM}{GUESSING if guesses else ''}"
        self.pause.disabled = self.stop.disabled = not (running and steerable)
        self.pause.description = "Resume" if running and paused else "Pause"
        self.pause.icon = "play" if running and paused else "pause"
        self.compare.layout.display = "" if uncompared and not running else "none"


def _button(text: str, icon: str, tooltip: str) -> widgets.Button:
    return widgets.Button(description=text, icon=icon, tooltip=tooltip, layout=widgets.Layout(width="100px"))
