"""Outcome: every training so far in one table; of the picked one what it changed, and where both models look."""

from __future__ import annotations

import threading

import ipywidgets as widgets

from ravl_explore.comparison import Comparison
from ravl_explore.concepts import Discovered
from ravl_explore.objectives.training_free import TrainingFree
from ravl_explore.widgets.changes import ChangesGallery
from ravl_explore.widgets.comparison import ComparisonWidget
from ravl_explore.widgets.message import Message
from ravl_explore.widgets.mitigation import Finished
from ravl_explore.widgets.relevance import RelevanceWidget
from ravl_explore.widgets.runs import RunsWidget

TITLES = ("Before and after", "What changed", "Where they look")
MEASURES, CHANGES, RELEVANCE = range(3)


class Outcome(widgets.VBox):
    """A table of runs above three panes about the picked one; of those that are not open nothing is drawn.

    Attributes
    ----------
    runs, measures, changes, relevance : the widgets
    """

    def __init__(self) -> None:
        # the small anywidgets first: those that are made after a figure's bundle may time out on a busy machine
        self.measures, self.runs = ComparisonWidget(), RunsWidget()
        self.changes, self.relevance, self.message = ChangesGallery(), RelevanceWidget(), Message()
        self._all: list[Finished] = []
        self._shown: dict[int, Finished] = {}
        self._swap = threading.RLock()
        self.tabs = widgets.Tab([self.measures, self.changes, self.relevance], titles=TITLES)
        self.tabs.layout.margin = "12px 0 0 0"
        super().__init__([self.runs, self.message, self.tabs], layout=widgets.Layout(width="100%"))
        self.runs.observe(lambda _: self._refresh(), "selected")
        self.tabs.observe(lambda _: self._refresh(), "selected_index")

    @property
    def picked(self) -> Finished | None:
        """The run whose row is picked, or None."""
        with self._swap:
            number = self.runs.selected
            return None if number is None or number >= len(self._all) else self._all[number]

    def add(self, finished: Finished) -> None:
        """List one more run that was compared, and pick it; its models stay in memory."""
        if finished.comparison is None:
            raise ValueError("a run that was compared")
        self.runs.add(finished.mitigation, finished.comparison)  # picks it: nothing is drawn until it is known here
        with self._swap:
            self._all.append(finished)
        self._refresh()

    def _refresh(self) -> None:
        with self._swap:
            finished, pane = self.picked, self.tabs.selected_index
            if finished is None or finished.comparison is None or pane is None:
                return
            if self._shown.pop(pane, None) is not finished:
                self.message.say("")
                try:
                    self._show(finished, finished.comparison, pane)
                except Exception as error:
                    self.message.fail(error)
                    return
            self._shown[pane] = finished

    def _show(self, finished: Finished, comparison: Comparison, pane: int) -> None:
        if pane == MEASURES:
            self.measures.show(comparison, _how(finished))
        elif pane == CHANGES:
            self.changes.clear()
            self.changes.show(comparison, finished.test_data)
        elif pane == RELEVANCE:
            self._show_relevance(finished)

    def _show_relevance(self, finished: Finished) -> None:
        concepts = None
        if finished.assignment is not None:
            concepts = Discovered().open(finished.test_data, finished.assignment)
        self.relevance.offer(finished.model, finished.test_data, finished.mitigation.model, concepts)


def _how(finished: Finished) -> str:
    objective, seed = finished.mitigation.objective, finished.mitigation.settings.seed
    if isinstance(objective, TrainingFree):
        return f"{objective.name}, no training step. "
    records = finished.mitigation.history.records
    return f"{objective.name}, {len(records)} of {records[-1].n_steps} steps, seed {seed}. "
