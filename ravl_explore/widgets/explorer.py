"""Explorer: the whole of RaVL by hand, from model and dataset to before and after."""

from __future__ import annotations

import ipywidgets as widgets
import traitlets
from traitlets import Bunch

from ravl_explore import data as data_sources
from ravl_explore import models as model_sources
from ravl_explore import regions as proposers
from ravl_explore.comparison import Comparison
from ravl_explore.data import ArrayDataset
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.optional_members import has_fingerprint, notes_of
from ravl_explore.data.views import whole
from ravl_explore.discovery import Discovery
from ravl_explore.discovery.search import Search, search
from ravl_explore.errors import InputError
from ravl_explore.experiments.runs import Runs
from ravl_explore.mitigation import Mitigation
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.models.optional import assumptions
from ravl_explore.regions.base import Proposer
from ravl_explore.support.progress import Progress, report
from ravl_explore.widgets.basics.closing import Closing, close_earlier
from ravl_explore.widgets.basics.frozen import Frozen
from ravl_explore.widgets.basics.job import Job, ProgressLine, wait_for_jobs
from ravl_explore.widgets.basics.keys import KeyGuard
from ravl_explore.widgets.basics.menus import PartMenu, choices
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.basics.notes import Notes
from ravl_explore.widgets.basics.theme import dark_menus
from ravl_explore.widgets.closed_before import still_offered, told_ending
from ravl_explore.widgets.findings.cluster_table import ClusterTable
from ravl_explore.widgets.findings.crops import CropGallery
from ravl_explore.widgets.findings.discovery import DiscoveryWidget
from ravl_explore.widgets.findings.region_map import RegionMap
from ravl_explore.widgets.mitigation.finished import Finished
from ravl_explore.widgets.mitigation.panel import MitigationPanel
from ravl_explore.widgets.outcome.outcome import Outcome
from ravl_explore.widgets.search.clusterer_menu import Sized, clusterer_choices
from ravl_explore.widgets.search.search_details import SearchDetails
from ravl_explore.widgets.search.skipped import Skipped
from ravl_explore.widgets.search.summary import summary

START = "Pick a model and images, then press “Find shortcuts”. The demo needs no download."
SHARE = "1 1 200px"  # of the row of menus
Searched = tuple[VisionLanguageModel, Proposer, Search]


class Explorer(Closing, widgets.VBox):
    """Pick a model and a dataset, find its shortcuts, look at them, and fine-tune them away.

    Parameters
    ----------
    model, data, proposer : VisionLanguageModel, ImageTextDataset and Proposer, optional
        Of your own, offered first in the menus.
    train_data, test_data : ImageTextDataset, optional
        For the mitigation, offered first in its menus.

    Attributes
    ----------
    discovery, mitigation, comparison, runs : Discovery, Mitigation, Comparison and Runs, or None
        The results, for the notebook's next cell; None before.
    earlier : Mitigation or None
        What the explorer that this cell made when it was run before had trained last.

    Examples
    --------
    In a notebook cell: ``explorer = widgets.Explorer(); explorer``

    Notes
    -----
    Running the cell again closes the explorer that it made before. A closed one has freed its model, images, results
    and widgets; only ``mitigation`` stays, if something was trained.
    """

    _lets_go = ("_job",)

    def __init__(
        self,
        model: VisionLanguageModel | None = None,
        data: ImageTextDataset | None = None,
        proposer: Proposer | None = None,
        train_data: ImageTextDataset | None = None,
        test_data: ImageTextDataset | None = None,
    ) -> None:
        before = next((each for each in close_earlier() if isinstance(each, Explorer)), None)
        self._before: tuple[MitigationPanel, ...] = ()
        if before is not None:
            self._before = still_offered(before.panel, before._was_training, before._before)
            before._before = ()  # else each would keep the one before it, and so all of them
        self._was_training, self._ending = False, ""
        self._job: Job[Searched] | None = None
        # anywidget gives each of its widgets two seconds to begin. On a busy machine, those that are made after a
        # figure wait longer than that for its bundle of 5 MB (see static/shared/late.js): the small ones come first.
        self.outcome, keys, self.frozen = Outcome(), KeyGuard(), Frozen()

        self.model: PartMenu[VisionLanguageModel] = PartMenu("Model", choices(model_sources), model, flex=SHARE)
        self.data: PartMenu[ImageTextDataset] = PartMenu("Images", choices(data_sources), data, flex=SHARE)
        self.proposer: PartMenu[Proposer] = PartMenu("Regions", choices(proposers), proposer, flex=SHARE)
        self.clusterer = PartMenu("Clustering", clusterer_choices(), flex=SHARE)
        self.details = SearchDetails(self.model, self.data, self.proposer)
        self.run_button = widgets.Button(
            description="Find shortcuts", icon="search", button_style="primary", layout=widgets.Layout(flex="0 0 160px")
        )
        self.message, self.notes, self.skipped, self.progress = Message(), Notes(), Skipped(), ProgressLine()
        self.run_button.on_click(self.message.told(lambda _: self.run()))
        start_hint = START if model is None and data is None else "Press “Find shortcuts” to begin."
        if before is not None and before._ending:
            self.message.say(f"{before._ending} {start_hint}", "fact")
        else:
            self.message.say(start_hint)
        self.findings = DiscoveryWidget()
        self.panel = MitigationPanel(self._on_mitigated, train_data, test_data)

        self._findings = _section("1 · Which regions mislead the model?", self.findings)
        self._mitigation = _section("2 · Remove the shortcut", self.panel)
        self._outcome = _section("3 · What came of it", self.outcome)
        menus = widgets.HBox(
            [self.model, self.data, self.proposer, self.clusterer],
            layout=widgets.Layout(width="100%", flex_flow="row wrap", grid_gap="12px"),
        )
        start = widgets.HBox(
            [self.run_button, self.progress], layout=widgets.Layout(margin="8px 0", align_items="center")
        )
        super().__init__(
            [
                self.frozen, menus, self.details, start, self.message, self.notes, self.skipped,
                self._findings, self._mitigation, self._outcome, keys, dark_menus(),
            ],
            layout=widgets.Layout(width="100%"),
            _dom_classes=("ravl-explorer", "ravl-freezes"),
        )  # fmt: skip
        traitlets.dlink((self.panel.frozen, "kept"), (self.frozen, "kept"))
        self.findings.observe(self.message.told(self._on_cluster), "cluster")
        for menu in (self.model, self.data):
            menu.observe(self.message.told(lambda _: self._on_part()), "changes")

    @property
    def discovery(self) -> Discovery | None:
        """The latest discovery."""
        return self.findings.discovery

    @property
    def map(self) -> RegionMap:
        """The map; its ``selection`` holds the selected regions."""
        return self.findings.map

    @property
    def table(self) -> ClusterTable:
        """The table; its ``selected`` is the cluster of the selected row."""
        return self.findings.table

    @property
    def crops(self) -> CropGallery | None:
        """The gallery; None before the first discovery."""
        return self.findings.crops

    @property
    def mitigation(self) -> Mitigation | None:
        """The fine-tuned model of the picked run, with its history; the newest run is picked when it ends.

        A run that was not compared is in no row; it counts as picked until the next run. None without a run,
        or where the picked one's model was let go. Of a closed explorer it is the last one trained.
        """
        if self.closed:
            return self.panel.mitigation
        picked = self.panel.finished if self._uncompared else self.outcome.finished
        return None if picked is None else picked.mitigation

    @property
    def comparison(self) -> Comparison | None:
        """Before and after of the picked run, or None."""
        return None if self._uncompared else self.outcome.runs.comparison

    @property
    def _uncompared(self) -> bool:
        newest = self.panel.finished
        return newest is not None and newest.comparison is None

    @property
    def runs(self) -> Runs | None:
        """Every mitigation so far with its numbers, or None: ``explorer.runs.summary()``."""
        return self.outcome.runs.runs

    @property
    def earlier(self) -> Mitigation | None:
        """What the explorer that this cell made when it was run before had trained last, or None."""
        return next((panel.mitigation for panel in self._before if panel.mitigation is not None), None)

    def close(self) -> None:
        """Free the model, the images, the results and all widgets; what works stops at its next step.

        What was trained last stays as ``mitigation``; a training with a run folder can be gone on with.
        """
        if not self.closed and hasattr(self, "panel"):  # ipywidgets also closes what failed while it was made
            searching = self._job is not None and self._job.running
            self._was_training = self.panel.running
            self._ending = told_ending(self.panel, searching, self.discovery is not None)
        super().close()

    def run(self) -> Job[Searched]:
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

    def _on_part(self) -> None:
        demo = all("demo" in menu.choice.label.lower() for menu in (self.model, self.data))
        if self.message.text == START and not demo:
            self.message.say("")

    def _discover(self, progress: Progress) -> Searched:
        report(progress, 0, 0, "Loading the model")
        model = self.model.make()
        report(progress, 0, 0, "Loading the images")
        data, proposer = self.data.make(), self.proposer.make()
        found = search(
            model,
            data,
            proposer,
            clusterer=Sized(self.clusterer.make(), len(data.class_names)),
            templates=self.details.templates,
            cache=self.details.keep.value and _in_files(data),
            max_unreadable=self.details.max_unreadable.value,
            progress=progress,
        )
        return model, proposer, found

    def _on_discovered(self, job: Job[Searched]) -> None:
        self.message.told(self._take)(job)
        self.run_button.disabled = False

    def _take(self, job: Job[Searched]) -> None:
        if job.cancelled:
            self.message.say("Cancelled; what was there before is unchanged.")
            return
        if job.error is not None:
            for menu in (self.model, self.data, self.proposer):
                menu.forget()  # the file may be mended before the next search
            self.message.fail(job.error)
            return
        assert job.result is not None
        model, proposer, found = job.result
        discovery = found.discovery
        self._findings.layout.display = "flex"
        self.findings.show(discovery, found.data)
        self.panel.offer(model, found.data, proposer, discovery)
        self._mitigation.layout.display = "flex"
        self.notes.show([*assumptions(model), *notes_of(found.data)])
        self.skipped.show(discovery.scores.embeddings.unreadable, found.data)
        self.message.say(summary(found), "warning" if discovery.scores.doubt else "hint")
        self.details.refresh_cache()

    def _on_cluster(self, change: Bunch) -> None:
        if change.new is not None:
            self.panel.choose(change.new)

    def _on_mitigated(self, finished: Finished) -> None:
        if finished.comparison is not None:
            self.outcome.add(finished)
            self._outcome.layout.display = "flex"


def _in_files(data: ImageTextDataset) -> bool:
    """Whether embeddings of the images are worth keeping: reading files takes long, arrays are mostly small."""
    return not isinstance(whole(data), ArrayDataset) and has_fingerprint(data)


def _section(title: str, *children: widgets.Widget) -> widgets.VBox:
    """Hidden until there is something in it."""
    heading = widgets.HTML(f'<h3 style="margin:18px 0 6px;color:var(--jp-ui-font-color1)">{title}</h3>')
    return widgets.VBox([heading, *children], layout=widgets.Layout(width="100%", display="none"))
