"""Curves: loss terms and validation accuracies of a running training, a few redraws a second."""

from __future__ import annotations

import threading

import ipywidgets
import plotly.graph_objects as go

from ravl_explore.plots.curves import ACCURACY, curves
from ravl_explore.training import History, StepRecord
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.figure import LOOKING, LiveFigure

KEPT_RUNS = 8  # as many as the legend has room for


class Curves(Closing, ipywidgets.VBox):
    """The curves of one run, over faint ones of the eight runs before; each of those can be switched off in the legend.

    Every method may be called from any thread. ``append`` only stores the record; a timer draws what has come, at most
    5 times a second, so the picture is at most 0.2 s behind, plus drawing.

    Parameters
    ----------
    height : int
        Pixels of the screen.

    Examples
    --------
    >>> view = Curves()
    >>> view.start(n_steps=2, title="RaVL")
    >>> view.append(StepRecord(1, 2, 0, {"loss": 1.5}, 0.1))
    >>> view.append(StepRecord(2, 2, 0, {"loss": 1.0}, 0.2, {"accuracy": 0.8, "worst_group": 0.4}))
    >>> view.finish()
    >>> len(view.history.records)
    2
    >>> view.close()
    """

    def __init__(self, *, height: int = 420) -> None:
        self._guard = threading.Lock()
        self._records: list[StepRecord] = []
        self._title, self._n_steps, self._measured = "", 1, ACCURACY
        self._previous: list[tuple[str, History]] = []
        self.figure = LiveFigure(curves(History()), height=height, tools=LOOKING)
        super().__init__([self.figure], layout=ipywidgets.Layout(width="100%"))

    @property
    def history(self) -> History:
        """The records of the present run so far."""
        with self._guard:
            return History(tuple(self._records))

    def start(self, n_steps: int, title: str = "", measured: str = ACCURACY) -> None:
        """Begin a run of ``n_steps``; the one before, if it has any step, stays as a faint line.

        A ``title`` that a kept run has already gets a number; ``measured`` names the axis of the validation accuracies.

        Parameters
        ----------
        n_steps : int
            Where the step axis ends.
        title : str
            What the run is called.
        measured : str
            Title of the validation accuracies' axis.
        """
        with self._guard:
            self._keep()
            taken = {name for name, _ in self._previous}
            self._records, self._title, self._n_steps = [], _free(title, taken), n_steps
            self._measured = measured
        self.figure.draw(self._figure, reset=("zoom", "legend"))

    def append(self, record: StepRecord) -> None:
        """Take one step; it is drawn soon."""
        with self._guard:
            self._records.append(record)
        self.figure.draw(self._figure)

    def finish(self) -> None:
        """Draw everything now and send the whole state: reloads and saved notebooks then show these curves."""
        self.figure.draw(self._figure)
        self.figure.resync()

    def show(self, history: History, title: str = "") -> None:
        """Show a finished run at once; the one before stays as a faint line."""
        self.start(history.records[-1].n_steps if history.records else 1, title)
        with self._guard:
            self._records = list(history.records)
        self.finish()

    def clear(self) -> None:
        """Forget every run."""
        with self._guard:
            self._records, self._previous, self._title, self._n_steps = [], [], "", 1
        self.finish()

    def _keep(self) -> None:
        """The present run becomes the latest of the earlier ones."""
        if self._records:
            self._previous.append((self._title or "earlier run", History(tuple(self._records))))
            del self._previous[:-KEPT_RUNS]

    def _figure(self) -> go.Figure:
        with self._guard:
            history, previous = History(tuple(self._records)), tuple(self._previous)
            n_steps, title, measured = self._n_steps, self._title, self._measured
        return curves(history, previous, n_steps=n_steps, title=title, measured=measured)


def _free(title: str, taken: set[str]) -> str:
    """The title, with the first number from 2 that makes it new."""
    number, free = 1, title
    while free and free in taken:
        number += 1
        free = f"{title} ({number})"
    return free
