"""RegionPreview: the boxes of a proposer on a few images of a dataset, before anything is embedded."""

from __future__ import annotations

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.regions.base import Proposer
from ravl_explore.support.progress import Progress
from ravl_explore.widgets.basics.job import Job
from ravl_explore.widgets.basics.paged_preview import Drawn, PagedPreview
from ravl_explore.widgets.search.region_page import MOST_IMAGES, RegionPage, drawn, read_page, summary


class RegionPreview(PagedPreview[RegionPage]):
    """Images with boxes, a page at a time; only the images on show are read.

    Parameters
    ----------
    data, proposer : ImageTextDataset and Proposer, optional
        What to show; without them it is empty until :meth:`show`.

    Attributes
    ----------
    page : RegionPage or None
        What is on show.
    """

    _lets_go = ("page", "_shown")
    _most = MOST_IMAGES
    _margin = "6px 0 0 0"

    def __init__(self, data: ImageTextDataset | None = None, proposer: Proposer | None = None) -> None:
        self._shown: tuple[ImageTextDataset, Proposer] | None = None
        super().__init__()
        self.message.say("The boxes of the picked regions are shown here, on a few images.")
        if data is not None and proposer is not None:
            self.show(data, proposer)

    def show(self, data: ImageTextDataset, proposer: Proposer) -> Job:
        """Show the first page, in a thread."""
        with self._latest.lock:
            self._shown, self._n_images, self._number = (data, proposer), len(data), 0
            return self._start()

    def _start(self) -> Job:
        assert self._shown is not None
        (data, proposer), number = self._shown, self._number

        def work(progress: Progress) -> Drawn[RegionPage]:
            page = read_page(data, proposer, number, progress)
            return Drawn(page, drawn(page), summary(page, number, len(data)), len(data))

        return self._draw(work)

    def _clear(self, said: str) -> None:
        self._shown = None
        super()._clear(said)
