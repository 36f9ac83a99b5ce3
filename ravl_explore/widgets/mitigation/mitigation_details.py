"""MitigationDetails: what can be looked at and set before training, folded away."""

from __future__ import annotations

from typing import TypedDict, cast

import ipywidgets as widgets

from ravl_explore.captions import CaptionLabeller
from ravl_explore.training import Monitor
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.mitigation.caption_coverage import CaptionCoverage
from ravl_explore.widgets.mitigation.concept_preview import ConceptPreview

TITLES = ("Where to look", "From captions", "Stopping and files")
CONCEPTS, CAPTIONS, FILES = range(3)
MONITORS: dict[str, Monitor] = {
    "accuracy of the worst group": "worst_group",  # of class x feature
    "accuracy of all images": "accuracy",
}


class Stopping(TypedDict, total=False):
    """Of :class:`~ravl_explore.training.TrainingSettings`, when to stop; empty for never early."""

    patience: int
    monitor: Monitor


LABEL = {"description_width": "110px"}


class MitigationDetails(Closing, widgets.Accordion):
    """Concept masks, classes from captions, and when to stop, folded away; nothing is read before it is asked for.

    Attributes
    ----------
    concepts, captions : ConceptPreview and CaptionCoverage
        What is in the panes.
    patience, monitor : BoundedIntText and Dropdown
        Validations without a better ``monitor`` before training stops, 0 for never.
    folder : Text
        Where the run is kept, empty for nowhere.
    """

    def __init__(self) -> None:
        self.concepts, self.captions = ConceptPreview(), CaptionCoverage()
        self.patience = widgets.BoundedIntText(
            0, 0, 1000, description="Patience", layout=widgets.Layout(width="190px"), style=LABEL,
            tooltip="So many validations in a row without a better value, and training stops; 0 never stops early",
        )  # fmt: skip
        self.monitor = widgets.Dropdown(
            options=list(MONITORS.items()), description="Better by", layout=widgets.Layout(width="380px"), style=LABEL,
            tooltip="Measured on the images that were searched",
        )  # fmt: skip
        self.folder = widgets.Text(
            "", description="Run folder", placeholder="none: only this notebook keeps the model",
            layout=widgets.Layout(width="420px", margin="2px 0"), style=LABEL, continuous_update=False,
            tooltip="Settings, checkpoints and the model go there; the same run started again goes on from there",
        )  # fmt: skip
        stop = widgets.HBox([self.patience, widgets.Label("validations without a better value (0: train on)")])
        files = widgets.VBox([stop, self.monitor, self.folder])
        self.tabs = widgets.Tab([self.concepts, self.captions, files], titles=TITLES)
        titles, layout = ("More: concept masks, captions, early stopping",), widgets.Layout(margin="8px 0 0 0")
        super().__init__([self.tabs], titles=titles, selected_index=None, layout=layout)

    @property
    def labeller(self) -> CaptionLabeller | None:
        """Reads classes off captions, or None to take the dataset's own."""
        return self.captions.labeller

    @property
    def settings(self) -> Stopping:
        """What differs from the trainer's defaults."""
        patience = self.patience.value
        return Stopping(patience=patience, monitor=cast(Monitor, self.monitor.value)) if patience else Stopping()

    @property
    def run_folder(self) -> str | None:
        """Where the run is kept, or None."""
        return self.folder.value.strip() or None

    def open_masks(self) -> None:
        """Unfold the pane of concept masks."""
        self.selected_index, self.tabs.selected_index = 0, CONCEPTS

    @property
    def disabled(self) -> bool:
        """Whether nothing can be set."""
        return self.patience.disabled

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        for part in (self.patience, self.monitor, self.folder, self.concepts, self.captions):
            part.disabled = disabled
