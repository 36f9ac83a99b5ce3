"""Explorer: the whole of RaVL by hand, from model and dataset to before and after."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import numpy as np

from ravl_explore import clustering as clusterers
from ravl_explore import data as data_sources
from ravl_explore import models as model_sources
from ravl_explore import regions as proposers
from ravl_explore.clustering import default_sweep
from ravl_explore.comparison import Comparison
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import Discovery, discover
from ravl_explore.embedding import embed
from ravl_explore.errors import InputError
from ravl_explore.layout import cached_layout, pca_layout, store_layout, umap_layout
from ravl_explore.mitigation import Mitigation
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.plots.palette import cluster_colors
from ravl_explore.progress import Progress, report
from ravl_explore.regions.base import Proposer
from ravl_explore.scoring import zero_shot
from ravl_explore.widgets.cluster_table import ClusterTable
from ravl_explore.widgets.comparison import ComparisonWidget
from ravl_explore.widgets.crop_source import DiscoverySource
from ravl_explore.widgets.crops import CropGallery
from ravl_explore.widgets.job import Job, ProgressLine, wait_for_jobs
from ravl_explore.widgets.menus import Choice, PartMenu, choices
from ravl_explore.widgets.message import Message
from ravl_explore.widgets.mitigation import MitigationPanel
from ravl_explore.widgets.region_map import RegionMap


class Explorer(widgets.VBox):
    """Pick a model and a dataset, find its shortcuts, look at them, and fine-tune them away.

    Parameters
    ----------
    model, data, proposer : of your own, offered first in the menus
    train_data, test_data : for the mitigation, offered first in its menus

    Attributes
    ----------
    discovery, mitigation, comparison : the latest results, for the notebook's next cell; None before

    Examples
    --------
    In a notebook cell: ``explorer = widgets.Explorer(); explorer``
    """

    def __init__(
        self,
        model: VisionLanguageModel | None = None,
        data: ImageTextDataset | None = None,
        proposer: Proposer | None = None,
        train_data: ImageTextDataset | None = None,
        test_data: ImageTextDataset | None = None,
    ) -> None:
        self.discovery: Discovery | None = None
        self._picked: tuple[VisionLanguageModel, ImageTextDataset, Proposer] | None = None
        self._linking = threading.local()
        self._job: Job | None = None
        self._layout_job: Job | None = None

        self.model = PartMenu("Model", choices(model_sources), model)
        self.data = PartMenu("Images", choices(data_sources), data)
        self.proposer = PartMenu("Regions", choices(proposers), proposer)
        self.clusterer = PartMenu("Clustering", _clusterer_choices())
        self.run_button = widgets.Button(
            description="Find shortcuts", icon="search", button_style="primary", layout=widgets.Layout(width="160px")
        )
        self.run_button.on_click(self._on_run)
        self.message, self.progress = Message(), ProgressLine()
        self.message.say("Pick a model and images, then press “Find shortcuts”. The demo needs no download.")
        self.map, self.table = RegionMap(), ClusterTable()
        self.crops: CropGallery | None = None
        self._crops_box = widgets.VBox(layout=widgets.Layout(width="100%"))
        self.panel = MitigationPanel(self._on_mitigated, train_data, test_data)
        self.comparison_widget = ComparisonWidget()

        self._findings = _section(
            "1 · Which regions mislead the model?",
            self.table,
            widgets.HBox(
                [
                    widgets.Box([self.map], layout=widgets.Layout(flex="1 1 480px", min_width="0")),
                    widgets.Box([self._crops_box], layout=widgets.Layout(flex="1 1 420px", min_width="0")),
                ],
                layout=widgets.Layout(width="100%", flex_flow="row wrap", grid_gap="16px", margin="10px 0 0 0"),
            ),
        )
        self._mitigation = _section("2 · Remove the shortcut", self.panel)
        self._outcome = _section("3 · Before and after", self.comparison_widget)
        for each in (self._findings, self._mitigation, self._outcome):
            each.layout.display = "none"
        for menu in (self.model, self.data, self.proposer, self.clusterer):
            menu.layout.flex = "1 1 200px"
        menus = widgets.HBox(
            [self.model, self.data, self.proposer, self.clusterer],
            layout=widgets.Layout(width="100%", flex_flow="row wrap", grid_gap="12px"),
        )
        start = widgets.HBox(
            [self.run_button, self.progress], layout=widgets.Layout(margin="8px 0", align_items="center")
        )
        super().__init__(
            [menus, start, self.message, self._findings, self._mitigation, self._outcome],
            layout=widgets.Layout(width="100%"),
        )
        self.add_class("ravl-explorer")
        self.table.observe(lambda change: self._from_table(change["new"]), "selected")
        self.map.observe(lambda change: self._from_map(change["new"]), "selection")

    @property
    def mitigation(self) -> Mitigation | None:
        """The latest fine-tuned model with its history."""
        return self.panel.mitigation

    @property
    def comparison(self) -> Comparison | None:
        """Before and after of the latest mitigation."""
        return self.panel.comparison

    def run(self) -> Job:
        """Embed, cluster and discover in a thread, with what the menus say; the result comes to ``discovery``."""
        if self._job is not None and self._job.running:
            raise InputError("one discovery at a time", "a second", "Cancel the running one first.")
        self.message.say("")
        self.run_button.disabled = True
        self._job = self.progress.run(self._discover, self._on_discovered, "Loading")
        return self._job

    def wait(self) -> None:
        """Block until all work that was started has ended."""
        wait_for_jobs()

    def _on_run(self, _: Any) -> None:
        try:
            self.run()
        except Exception as error:
            self.message.fail(error)

    def _discover(self, progress: Progress) -> tuple[Any, ...]:
        report(progress, 0, 0, "Loading the model")
        model, data, proposer = self.model.make(), self.data.make(), self.proposer.make()
        embeddings = embed(model, data, proposer, progress=progress)
        clusterer = self.clusterer.choice.make(len(embeddings.class_names), len(embeddings.region))
        clustering = clusterer(embeddings.region, progress)
        discovery = discover(zero_shot(embeddings), clustering)
        layout = cached_layout(embeddings)
        name = "UMAP" if layout is not None else "PCA"
        return model, data, proposer, discovery, layout if layout is not None else pca_layout(embeddings.region), name

    def _on_discovered(self, job: Job) -> None:
        self.run_button.disabled = False
        if job.cancelled:
            self.message.say("Cancelled; what was there before is unchanged.")
            return
        if job.error is not None:
            self.message.fail(job.error)
            return
        model, data, proposer, discovery, layout, layout_name = job.result
        self.discovery, self._picked = discovery, (model, data, proposer)
        self._show_findings(discovery, data, layout, layout_name)
        self.panel.offer(model, data, proposer, discovery)
        self._mitigation.layout.display = "flex"
        self.message.say(_summary(discovery))
        if layout_name == "PCA":
            self._start_umap(discovery)

    def _show_findings(
        self, discovery: Discovery, data: ImageTextDataset, layout: np.ndarray, layout_name: str
    ) -> None:
        source = DiscoverySource(discovery, data)
        if self.crops is None:
            self.crops = CropGallery(source)
            self.crops.observe(lambda change: self._from_crops(change["new"]), "selected")
            self._crops_box.children = (self.crops,)
        else:
            with self._quietly():
                self.crops.source = source
                self.crops.show([])
        self._findings.layout.display = "flex"
        with self._quietly():
            self.map.show(discovery, layout, layout_name)
            self.table.show(discovery, cluster_colors(discovery))
        self.table.selected = discovery.clusters[0].cluster

    def _start_umap(self, discovery: Discovery) -> None:
        embeddings = discovery.scores.embeddings

        def work(progress: Progress) -> np.ndarray:
            return umap_layout(embeddings.region, progress=progress)

        def end(job: Job) -> None:
            if job.error is not None:
                self.message.fail(job.error)
            elif not job.cancelled and self.discovery is discovery:
                store_layout(embeddings, job.result)
                self.map.set_layout(job.result, "UMAP")

        self._layout_job = Job(work, on_end=end).start()

    def _from_table(self, cluster: int | None) -> None:
        if self._is_quiet() or cluster is None or self.discovery is None or self.crops is None:
            return
        feature = self.discovery.feature(cluster)
        with self._quietly():
            self.map.select(feature.region_index, source="table")
            pulls = f", pulls towards {feature.attribute}" if feature.kept and feature.attribute else ""
            self.crops.show(feature.region_index, f"Cluster {cluster}{pulls}: most typical regions first")
            self.panel.choose(cluster)

    def _from_map(self, selection: tuple[int, ...]) -> None:
        if self._is_quiet() or self.discovery is None or self.crops is None:
            return
        clusters = np.unique(self.discovery.clustering.labels[list(selection)]) if selection else []
        with self._quietly():
            self.table.selected = int(clusters[0]) if len(clusters) == 1 else None
            only = selection[0] if len(selection) == 1 else None
            self.crops.show(list(selection), "Selected in the map" if selection else "", selected=only)

    def _from_crops(self, region: int | None) -> None:
        if self._is_quiet() or region is None or self.discovery is None:
            return
        with self._quietly():
            self.map.mark(region)
            self.table.selected = int(self.discovery.clustering.labels[region])

    def _on_mitigated(self, mitigation: Mitigation, comparison: Comparison | None) -> None:
        if comparison is not None:
            self.comparison_widget.show(comparison)
            self._outcome.layout.display = "flex"

    def _is_quiet(self) -> bool:
        return getattr(self._linking, "depth", 0) > 0

    def _quietly(self) -> _Quiet:
        return _Quiet(self._linking)


class _Quiet:
    """While entered, this thread's changes to one view are not sent on to the others."""

    def __init__(self, state: threading.local) -> None:
        self._state = state

    def __enter__(self) -> None:
        self._state.depth = getattr(self._state, "depth", 0) + 1

    def __exit__(self, *_: Any) -> None:
        self._state.depth -= 1


def _clusterer_choices() -> list[Choice]:
    parts = [getattr(clusterers, name) for name in clusterers.__all__]
    return [Choice(part.name, _sweep(part)) for part in parts if isinstance(getattr(part, "name", None), str)]


def _sweep(part: Callable[..., Any]) -> Callable[[int, int], Any]:
    """The paper's range of cluster numbers, cut where there are fewer regions."""

    def make(n_classes: int, n_regions: int) -> Any:
        sweep = default_sweep(n_classes)
        return part(range(sweep.start, max(sweep.start + 1, min(sweep.stop, n_regions))))

    return make


def _summary(discovery: Discovery) -> str:
    scores = discovery.scores
    line = f"{len(scores.embeddings.labels):,} images, {100 * scores.accuracy:.1f}% right. "
    if not discovery.features:
        return line + f"No cluster looks like a shortcut: {discovery.why_none()}."
    best = discovery.best
    return line + (
        f"{len(discovery.features)} of {len(discovery.clusters)} clusters kept; the first, cluster {best.cluster}, "
        f"pulls towards {best.attribute}. Look at its crops: does it belong to the class?"
    )


def _section(title: str, *children: widgets.Widget) -> widgets.VBox:
    heading = widgets.HTML(f'<h3 style="margin:18px 0 6px;color:var(--jp-ui-font-color1)">{title}</h3>')
    return widgets.VBox([heading, *children], layout=widgets.Layout(width="100%"))
