"""SearchDetails: what can be looked at and set before a search, folded away: regions, prompts, and the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import ipywidgets as widgets

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.regions.base import Proposer
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.latest import Latest
from ravl_explore.widgets.basics.menus import PartMenu
from ravl_explore.widgets.search.cache_panel import CachePanel
from ravl_explore.widgets.search.prompts import PromptEditor
from ravl_explore.widgets.search.region_preview import RegionPreview

One = TypeVar("One")  # of the two parts that a pane shows
Other = TypeVar("Other")
MAX_UNREADABLE = 100
TITLES = ("Preview regions", "Prompts", "Files and cache")
REGIONS, PROMPTS, CACHE = range(3)


class SearchDetails(Closing, widgets.Accordion):
    """Three folded-away panes that follow the explorer's menus; nothing is read before a pane is opened.

    Parameters
    ----------
    model, data, proposer : PartMenu
        The explorer's menus, which are followed.

    Attributes
    ----------
    preview, prompts, cache : RegionPreview, PromptEditor and CachePanel
        What is in the panes.
    max_unreadable : BoundedIntText
        How many unreadable images a search may skip.
    keep : Checkbox
        Whether embeddings are kept on disk.
    """

    def __init__(
        self, model: PartMenu[VisionLanguageModel], data: PartMenu[ImageTextDataset], proposer: PartMenu[Proposer]
    ) -> None:
        self._model, self._data, self._proposer = model, data, proposer
        self._latest = Latest()
        self.preview, self.prompts, self.cache = RegionPreview(), PromptEditor(), CachePanel()
        self.max_unreadable = widgets.BoundedIntText(
            MAX_UNREADABLE, 0, 2**31 - 1, description="Skip at most", layout=widgets.Layout(width="190px"),
            style={"description_width": "initial"}, tooltip="More unreadable images than this end the search",
        )  # fmt: skip
        self.keep = widgets.Checkbox(True, description="Keep the embeddings of files on disk", indent=False)
        skip = widgets.HBox([self.max_unreadable, widgets.Label("images that cannot be read")])
        settings = widgets.VBox([skip, self.keep, self.cache])
        self.tabs = widgets.Tab([self.preview, self.prompts, settings], titles=TITLES)
        titles, layout = ("More: preview regions, edit prompts, cache",), widgets.Layout(margin="8px 0 0 0")
        super().__init__([self.tabs], titles=titles, selected_index=None, layout=layout)
        self.observe(lambda _: self.refresh(), "selected_index")
        self.tabs.observe(lambda _: self.refresh(), "selected_index")
        for menu in (model, data, proposer):
            menu.observe(lambda _: self.refresh(), "changes")

    @property
    def templates(self) -> tuple[str, ...] | None:
        """The prompts to search with; None for the dataset's own.

        Raises
        ------
        InputError
            When what was typed is no valid prompt.
        """
        return self.prompts.chosen()

    def refresh(self) -> None:
        """Bring the open pane up to date with the menus."""
        pane = self.tabs.selected_index if self.selected_index == 0 else None
        with self._latest.lock:
            self._latest.cancel()
            if pane == REGIONS:
                self._load(lambda: (self._data.make(), self._proposer.make()), self.preview, self.preview.show)
            elif pane == PROMPTS:
                self._load(lambda: (self._model.make(), self._data.make()), self.prompts, self.prompts.show)
        if pane == CACHE:
            self.cache.refresh()

    def refresh_cache(self) -> None:
        """List what a search has added, if anybody looks."""
        if self.selected_index == 0 and self.tabs.selected_index == CACHE:
            self.cache.refresh()

    def _load(
        self,
        make: Callable[[], tuple[One, Other]],
        pane: RegionPreview | PromptEditor,
        show: Callable[[One, Other], object],
    ) -> None:
        """Build parts in a thread, since a model or a dataset may take its time, and hand them to the pane."""

        def taken(parts: tuple[One, Other]) -> None:
            show(*parts)

        pane.message.say("Loading …")
        self._latest.start(lambda _: make(), taken, pane.fail)
