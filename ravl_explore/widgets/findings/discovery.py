"""DiscoveryWidget: a discovery as map, table and crops, linked every way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ipywidgets as widgets
import numpy as np
import traitlets

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import Discovery
from ravl_explore.plots.layout import cached_layout, pca_layout, store_layout, umap_layout
from ravl_explore.plots.palette import cluster_colors, cluster_symbols
from ravl_explore.support import checks
from ravl_explore.support.progress import Progress
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.latest import Latest
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.findings.cluster_table import ClusterTable
from ravl_explore.widgets.findings.crop_source import DiscoverySource
from ravl_explore.widgets.findings.crops import CropGallery
from ravl_explore.widgets.findings.region_map import RegionMap

PAGE_SIZE, THUMBNAIL = 24, 80  # about as high as the map, so that an opened image stays in sight


class DiscoveryWidget(Closing, widgets.VBox):
    """The clusters' table, the map of all regions, and the selected regions' crops.

    A row selects its cluster in the map and its crops, most typical first; points of the map fill the gallery; a crop
    rings its point and picks its cluster's row. No model is needed.

    Parameters
    ----------
    discovery : Discovery, optional
        What to show; without one the widget is empty until :meth:`show`.
    data : ImageTextDataset, optional
        The images it was made from; without them there are no crops.

    Attributes
    ----------
    map, table : RegionMap and ClusterTable
        ``map.selection`` holds the selected regions.
    crops : CropGallery or None
        None without ``data``.
    """

    _lets_go = ("discovery",)

    cluster = traitlets.Int(None, allow_none=True)
    """The cluster whose row is selected, or None."""

    def __init__(self, discovery: Discovery | None = None, data: ImageTextDataset | None = None) -> None:
        self.discovery: Discovery | None = None
        self.crops: CropGallery | None = None
        self.message = Message()
        self.table = ClusterTable()  # before the map, whose large bundle keeps a slow browser busy (see Explorer)
        self.map = RegionMap()
        self._linking = threading.local()
        self._umap = Latest()
        self._crops_box = widgets.Box(layout=widgets.Layout(flex="1 1 420px", min_width="0"))
        below = widgets.HBox(
            [widgets.Box([self.map], layout=widgets.Layout(flex="1 1 480px", min_width="0")), self._crops_box],
            layout=widgets.Layout(width="100%", flex_flow="row wrap", grid_gap="16px", margin="10px 0 0 0"),
        )
        super().__init__([self.table, below, self.message], layout=widgets.Layout(width="100%"))
        self.table.observe(lambda change: self._from_table(change["new"]), "selected")
        self.map.observe(lambda change: self._from_map(change["new"]), "selection")
        if discovery is not None:
            self.show(discovery, data)

    def show(self, discovery: Discovery, data: ImageTextDataset | None = None) -> None:
        """Show another discovery, its first cluster selected.

        The map is UMAP's where it was made before (the demo's ships ready); elsewhere PCA's, at once, until UMAP's is
        ready.

        Raises
        ------
        InputError
            When ``data`` are not the images that the discovery was made from.
        """
        checks.instance("discovery", discovery, Discovery, "Make one with rx.discover(...) or open it with rx.load.")
        embeddings = discovery.scores.embeddings
        if data is not None:
            data = embeddings.of(data)
        layout = cached_layout(embeddings)
        self._umap.cancel()  # it was of the one before
        with self._quietly():
            self.discovery = discovery
            self._show_crops(discovery, data)
            self.map.show(
                discovery,
                layout if layout is not None else pca_layout(embeddings.region),
                "PCA" if layout is None else "UMAP",
            )
            self.table.show(discovery, cluster_colors(discovery), cluster_symbols(discovery))
        self.table.selected = discovery.clusters[0].cluster
        self.map.figure.resync()  # now, not after some quiet: the page may be reloaded or the notebook saved
        if layout is None:
            self._start_umap(discovery)

    def _show_crops(self, discovery: Discovery, data: ImageTextDataset | None) -> None:
        if data is None:
            self.crops, self._crops_box.children = None, ()
        elif self.crops is None:
            self.crops = CropGallery(DiscoverySource(discovery, data), page_size=PAGE_SIZE, thumbnail=THUMBNAIL)
            self.crops.observe(lambda change: self._from_crops(change["new"]), "selected")
            self._crops_box.children = (self.crops,)
        else:
            self.crops.source = DiscoverySource(discovery, data)
            self.crops.show([])

    def _start_umap(self, discovery: Discovery) -> None:
        embeddings = discovery.scores.embeddings

        def work(progress: Progress) -> np.ndarray:
            return umap_layout(embeddings.region, labels=discovery.clustering.labels, progress=progress)

        def show(layout: np.ndarray) -> None:
            store_layout(embeddings, layout)
            self.map.set_layout(layout, "UMAP")
            self.map.figure.resync()  # now: a notebook that nobody watches is saved when this job ends

        self._umap.start(work, show, self.message.fail)

    def _from_table(self, cluster: int | None) -> None:
        self.cluster = cluster
        if self._is_quiet() or cluster is None or self.discovery is None:
            return
        feature = self.discovery.feature(cluster)
        pulls = f", pulls towards {feature.attribute}" if feature.kept and feature.attribute else ""
        with self._quietly():
            self.map.mark(None)
            self.map.select(feature.region_index, source="table")
            if self.crops is not None:
                self.crops.show(feature.region_index, f"Cluster {cluster}{pulls}: most typical regions first")

    def _from_map(self, selection: tuple[int, ...]) -> None:
        if self._is_quiet() or self.discovery is None:
            return
        rows = np.asarray(selection, dtype=np.int64)
        clusters = np.flatnonzero(np.bincount(self.discovery.clustering.labels[rows]))
        with self._quietly():
            self.map.mark(None)
            self.table.selected = int(clusters[0]) if len(clusters) == 1 else None
            if self.crops is not None:
                only = selection[0] if len(selection) == 1 else None
                self.crops.show(rows, "Selected in the map" if selection else "", selected=only)
                if only is not None:
                    self.crops.opened = True

    def _from_crops(self, region: int | None) -> None:
        if self._is_quiet() or region is None or self.discovery is None:
            return
        with self._quietly():
            self.map.mark(region)
            self.table.selected = int(self.discovery.clustering.labels[region])

    def _is_quiet(self) -> bool:
        return getattr(self._linking, "depth", 0) > 0

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Meanwhile, this thread's changes to one part are not sent on to the others."""
        self._linking.depth = getattr(self._linking, "depth", 0) + 1
        try:
            yield
        finally:
            self._linking.depth -= 1
