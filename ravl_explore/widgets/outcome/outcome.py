"""Outcome: every training so far in one table; of the picked one what it changed, and where both models look."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import ipywidgets as widgets

from ravl_explore.comparison import Comparison
from ravl_explore.concepts import Discovered
from ravl_explore.concepts.base import ConceptMasks
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.errors import RavlError
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.mitigation.finished import Finished
from ravl_explore.widgets.outcome.changes import ChangesGallery
from ravl_explore.widgets.outcome.comparison import ComparisonWidget
from ravl_explore.widgets.outcome.relevance import RelevanceWidget
from ravl_explore.widgets.outcome.runs import RunsWidget

TITLES = ("Before and after", "What changed", "Where they look")
MEASURES, CHANGES, RELEVANCE = range(3)

A_FEW = 3  # fixed and broken images each, to look at first
MOST_BYTES = 4 * 2**30  # of fine-tuned models that are kept
LET_GO = (
    "This run's model was let go to make room for later ones; its numbers stay. "
    "To look at it, run it again, or load it from its run folder: rx.load(...)."
)


@dataclass(frozen=True, eq=False)
class _Listed:
    """A run in the table; ``finished`` is None once its model was let go."""

    comparison: Comparison
    test_data: ImageTextDataset
    how: str
    caution: str
    finished: Finished | None


class Outcome(Closing, widgets.VBox):
    """A table of runs above three panes about the picked one; of those that are not open nothing is drawn.

    Attributes
    ----------
    runs : RunsWidget
        The table.
    measures, changes, relevance : ComparisonWidget, ChangesGallery and RelevanceWidget
        The panes about the picked run.
    """

    def __init__(self) -> None:
        # the small anywidgets first: those that are made after a figure's bundle start late on a busy machine
        self.measures, self.runs = ComparisonWidget(), RunsWidget()
        self.changes, self.relevance, self.message = ChangesGallery(), RelevanceWidget(), Message()
        self._all: list[_Listed] = []
        self._shown: dict[int, int] = {}  # pane -> number of the run in it
        self._swap = threading.RLock()
        self.tabs = widgets.Tab([self.measures, self.changes, self.relevance], titles=TITLES)
        self.tabs.layout.margin = "12px 0 0 0"
        super().__init__([self.runs, self.message, self.tabs], layout=widgets.Layout(width="100%"))
        self.runs.observe(self.message.told(lambda _: self._refresh()), "selected")
        self.tabs.observe(self.message.told(lambda _: self._refresh()), "selected_index")

    def close(self) -> None:
        """Free it, and let go of every run's models."""
        super().close()
        self._all = []

    def add(self, finished: Finished) -> None:
        """List one more run that was compared, and pick it; its models stay in memory as long as there is room."""
        if finished.comparison is None:
            raise ValueError("a run that was compared")
        # this picks it, and nothing is drawn until it is known here
        self.runs.add(finished.mitigation, finished.comparison, finished.caution)
        with self._swap:
            listed = _Listed(
                finished.comparison, finished.experiment.test_data, _how(finished), finished.caution, finished
            )
            self._all = let_go([*self._all, listed], MOST_BYTES)
        self._refresh()

    @property
    def finished(self) -> Finished | None:
        """The picked run with its models; None when none is picked, or its model was let go."""
        with self._swap:
            number = self.runs.selected
            return self._all[number].finished if number is not None and number < len(self._all) else None

    def _refresh(self) -> None:
        with self._swap:
            number, pane = self.runs.selected, self.tabs.selected_index
            if number is None or number >= len(self._all) or pane is None:
                return
            if self._shown.pop(pane, None) != number:
                self.message.say("")
                try:
                    self._show(self._all[number], pane)
                except Exception as error:
                    self.message.fail(error)
                    return
            self._shown[pane] = number

    def _show(self, listed: _Listed, pane: int) -> None:
        if pane == MEASURES:
            self.measures.show(listed.comparison, listed.how, listed.caution)
        elif pane == CHANGES:
            self.changes.clear()
            self.changes.show(listed.comparison, listed.test_data)
        elif listed.finished is None:
            self.relevance.withdraw(LET_GO)
        else:
            finished, experiment = listed.finished, listed.finished.experiment
            self.relevance.offer(
                experiment.model,
                experiment.test_data,
                finished.mitigation.model,
                open_concepts=lambda: masks_of(finished),
                changed=[*listed.comparison.fixed[:A_FEW].tolist(), *listed.comparison.broken[:A_FEW].tolist()],
            )


def let_go(listed: list[_Listed], most: int) -> list[_Listed]:
    """The same without the oldest models beyond ``most`` bytes; the newest one always stays."""
    total, kept = 0, []
    for each in reversed(listed):
        total += 0 if each.finished is None else n_bytes(each.finished.mitigation.model)
        kept.append(each if total <= most or not kept else replace(each, finished=None))
    return kept[::-1]


def n_bytes(model: VisionLanguageModel) -> int:
    """Memory of a model's image tower; text towers stay as they were and are shared."""
    tensors = [*model.visual.parameters(), *model.visual.buffers()]
    return sum(each.numel() * each.element_size() for each in tensors)


def masks_of(finished: Finished) -> ConceptMasks:
    """Masks of the images compared on, of the run's own source; if they do not fit, discovered ones that say so."""
    experiment = finished.experiment
    test_data, assignment = experiment.test_data, experiment.found()
    source = experiment.concepts or Discovered()
    try:
        return source.open(test_data, assignment)
    except RavlError as error:
        if source.uses_regions:
            raise
        masks = Discovered().open(test_data, assignment)
        masks.name += f" (those of the run, {source.name}, do not fit these images: {error})"
        return masks


def _how(finished: Finished) -> str:
    objective, seed = finished.mitigation.objective, finished.mitigation.settings.seed
    if not objective.takes_steps:
        return f"{objective.name}, no training step. "
    records = finished.mitigation.history.records
    return f"{objective.name}, {len(records)} of {records[-1].n_steps} steps, seed {seed}. "
