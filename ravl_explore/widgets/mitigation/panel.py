"""MitigationPanel: choose what to suppress and how, start, pause, stop, and watch the curves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

import ipywidgets as widgets

from ravl_explore.assignment.features import Feature
from ravl_explore.comparison import Comparison
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import Discovery
from ravl_explore.errors import InputError
from ravl_explore.experiments.embedded_once import EmbeddedOnce
from ravl_explore.mitigation import Mitigation
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.regions.base import Proposer
from ravl_explore.support.progress import Progress
from ravl_explore.training import TrainingSettings
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.frozen import Frozen
from ravl_explore.widgets.basics.job import Job, ProgressLine
from ravl_explore.widgets.basics.latest import Latest
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.mitigation.curves import Curves
from ravl_explore.widgets.mitigation.finished import Finished
from ravl_explore.widgets.mitigation.mitigation_details import MitigationDetails
from ravl_explore.widgets.mitigation.mitigation_form import MitigationForm
from ravl_explore.widgets.mitigation.searched import Searched
from ravl_explore.widgets.mitigation.training_buttons import TrainingButtons
from ravl_explore.widgets.mitigation.training_loop import TrainingLoop

NO_FEATURE = "Run discovery first, then choose which clusters to suppress."
UNCOMPARED = (
    "What was trained so far is kept as explorer.mitigation.model. It was not compared: "
    "press Compare to measure it and list it in the table."
)
ADVICE = "Look at the crops first: suppressing what truly defines a class makes the model worse."


class MitigationPanel(Closing, widgets.VBox):
    """A form, buttons and live curves around an :class:`~ravl_explore.experiments.experiment.Experiment`.

    Parameters
    ----------
    on_result : callable, optional
        ``on_result(finished)``, called from the worker when training has ended or was stopped.
    train_data, test_data : ImageTextDataset, optional
        First choices of the two menus, beside what ``ravl_explore.data`` offers.

    Attributes
    ----------
    form, details : MitigationForm and MitigationDetails
        Inputs, the common ones and those that are folded away.
    buttons : TrainingButtons
        Start, Pause, Stop and Compare.
    searched : Searched or None
        The search whose clusters can be suppressed; None before the first.
    finished : Finished or None
        The last result.
    folder : str or None
        Run folder of the training that runs or ended last.
    mitigation : Mitigation or None
        The last new model with its history; it outlives :meth:`close`.
    """

    _lets_go = ("searched", "finished", "_on_result")

    def __init__(
        self,
        on_result: Callable[[Finished], None] | None = None,
        train_data: ImageTextDataset | None = None,
        test_data: ImageTextDataset | None = None,
    ) -> None:
        self._on_result = on_result
        self.searched: Searched | None = None
        self._embedded = EmbeddedOnce()
        self.finished: Finished | None = None
        self.mitigation: Mitigation | None = None
        self.folder: str | None = None
        self._checking, self._running, self._refreshing = Latest(), False, threading.RLock()

        self.form, self.details = MitigationForm(train_data, test_data), MitigationDetails()
        self.message, self.buttons, self.curves, self.frozen = Message(), TrainingButtons(), Curves(), Frozen()
        self.loop = TrainingLoop(self.curves, self._refresh)
        told = self.message.told
        self.buttons.on_click(
            told(lambda _: self.start()),
            told(lambda _: self.resume() if self.loop.paused else self.pause()),
            told(lambda _: self.stop()),
            told(lambda _: self.compare()),
        )
        self.progress = ProgressLine(cancel="End at once, without comparing; what was trained is kept")
        layout = widgets.Layout(flex="1 1 480px", min_width="0")
        right = widgets.VBox([self.buttons, self.message, self.progress, self.curves], layout=layout)
        both = widgets.HBox([self.form, right], layout=widgets.Layout(flex_flow="row wrap", width="100%"))
        super().__init__([self.frozen, both, self.details], _dom_classes=("ravl-freezes",))
        form = self.form
        for look in (self._doubt, self._offer_masks):
            form.features.observe(told(lambda _, look=look: look()), "value")
        for each in (form.confirmed, form.despite, form.features):
            each.observe(told(lambda _: self._refresh()), "value")
        form.train_data.observe(told(lambda _: self._on_train_data()), "changes")
        form.objective.observe(told(lambda _: self._on_objective()), "changes")
        self.details.captions.observe(told(lambda _: self._offer_masks()), "changes")
        self.message.say(NO_FEATURE)
        self._refresh()

    def offer(
        self, model: VisionLanguageModel, data: ImageTextDataset, proposer: Proposer, discovery: Discovery
    ) -> None:
        """Take a new discovery: its kept clusters are what can be suppressed; nothing is confirmed yet."""
        self.searched = None
        self.form.clear()
        self._embedded.keep_only(discovery.scores.embeddings, model, data, proposer)
        self.form.offer_data(data)
        self.searched = Searched(model, data, proposer, discovery, self._embedded)
        self.form.offer_features(discovery)
        self._on_train_data()
        self.message.say(ADVICE if discovery.features else f"Nothing to suppress: {discovery.why_none()}.")
        self._refresh()

    def close(self) -> None:
        """Free it; a training stops at its next step, and what it trained stays in ``mitigation``."""
        super().close()
        if hasattr(self, "_embedded"):  # ipywidgets also closes what failed while it was made
            self._embedded.clear()

    def _keep(self, finished: Finished) -> Finished:
        """Take the newest result; what a closed panel still trained is kept, but not what it was made from."""
        self.mitigation, self.finished = finished.mitigation, finished
        if self.closed:
            self.finished = None
        return finished

    def choose(self, cluster: int) -> None:
        """Preselect one cluster, as when its row is picked; a pruned one cannot be suppressed.

        Where several are chosen, they stay: whoever looks at one more does not choose it.
        """
        features = self.form.features
        if not self.running and len(features.value) <= 1 and cluster in [value for _, value in features.options]:
            features.value = (cluster,)

    def _on_objective(self) -> None:
        """Unfold the masks where they are used, and show them: nobody should train on masks unseen."""
        if self.form.objective.make().uses_relevance:
            self.details.open_masks()
            if self.searched is not None and self.form.features.value and not self.running:
                self.details.concepts.show()
        self._refresh()

    def _offer_masks(self) -> None:
        """Show masks of the images to fine-tune on, once they are asked for."""
        if self.searched is None:
            return
        searched, feature = self.searched, self._feature()

        def data(progress: Progress) -> ImageTextDataset:
            return searched.labelled(self.form.train_data.make(), self.details.labeller, progress)

        self.details.concepts.offer(data, None if feature is None else partial(searched.marked, feature=feature))

    def _feature(self) -> Feature | None:
        """The chosen clusters, as one feature."""
        return None if self.searched is None else self.searched.feature(self.form.features.value)

    def _on_train_data(self) -> None:
        self.details.captions.offer(self.form.train_data.make)
        self._offer_masks()

    def _doubt(self) -> None:
        """Say what speaks against the chosen clusters, by the images that were searched; found in a thread."""
        self.form.doubts.show(())
        self._checking.cancel()
        searched, feature = self.searched, self._feature()
        if searched is None or feature is None:
            return

        def show(warnings: Sequence[str]) -> None:
            if not self.running:  # else the training's own say more
                self.form.doubts.show([f"Among the images that were searched: {each}" for each in warnings])

        def fail(error: BaseException) -> None:
            if not self.running:
                self.message.fail(error)

        self._checking.start(lambda _: searched.doubts(feature), show, fail)

    @property
    def comparison(self) -> Comparison | None:
        """Before and after on the test data, or None."""
        return None if self.finished is None else self.finished.comparison

    @property
    def running(self) -> bool:
        """Whether training (or the comparison after it) is under way."""
        return self._running

    def start(self) -> Job[Finished]:
        """Train with what the form says, in a thread; the result comes to ``finished``."""
        searched = self.searched
        if searched is None:
            raise InputError("a discovery", "none", NO_FEATURE)
        self._check_idle()
        feature = self._feature()
        if feature is None:
            raise InputError("at least one cluster to suppress", "none", "Pick one in the list.")
        objective = self.form.objective.make()
        settings = TrainingSettings(**self.form.settings, **self.details.settings)
        labels, folder = self.details.labeller, self.details.run_folder
        concepts = self.details.concepts.source if objective.uses_relevance else None
        self.folder = folder
        self.loop.ready()

        def work(progress: Progress) -> Finished:
            train_data, test_data = self.form.train_data.make(), self.form.test_data.make()
            experiment = searched.experiment(train_data, test_data, feature, labels, concepts)
            self.form.note.say(" ".join(caution.text for caution in experiment.cautions))
            self.form.doubts.show(experiment.check(progress).warnings)
            run = experiment.begin(objective, settings, folder=folder, progress=progress)

            def finished() -> Finished:
                return Finished(run.result(), experiment, cautions=experiment.cautions, folder=folder)

            self.loop.run(run, progress, lambda: self._keep(finished()))
            return self._keep(finished().measured(progress))

        self.frozen.training(folder)
        return self._run(work, "Preparing")

    def compare(self) -> Job[Finished]:
        """Measure the last model, which was not: its training failed, or was cancelled."""
        self._check_idle()
        finished = self.finished
        if finished is None or finished.comparison is not None:
            raise InputError("a model that was not compared", "none", "Start a training.")

        def work(progress: Progress) -> Finished:
            return self._keep(finished.measured(progress))

        return self._run(work, "Testing")

    def _check_idle(self) -> None:
        if self.running:
            raise InputError("one training at a time", "a second", "Stop the running one first.")

    def _run(self, work: Callable[[Progress], Finished], title: str) -> Job[Finished]:
        self.message.say("")
        earlier, self._running = self.finished, True
        self._refresh()
        return self.progress.run(work, lambda job: self._on_end(job, earlier), title)

    def pause(self) -> None:
        """Hold training before its next step."""
        self.loop.pause()
        self._refresh()

    def resume(self) -> None:
        """Go on after a pause."""
        self.loop.resume()
        self._refresh()

    def stop(self) -> None:
        """End training after the step it is in; what was trained is kept and compared."""
        self.loop.stop()
        self._refresh()

    def _on_end(self, job: Job[Finished], earlier: Finished | None) -> None:
        self.message.told(self._tell)(job, earlier)
        self._running = False
        self.frozen.trained(self.finished is not None, self.finished.folder if self.finished else None)
        self._refresh()

    def _tell(self, job: Job[Finished], earlier: Finished | None) -> None:
        trained = self.finished is not None and self.finished is not earlier
        if trained and self.finished is not None and self._on_result is not None:
            self._on_result(self.finished)
        if job.error is not None:
            self.message.fail(job.error)
        elif job.cancelled:
            self.message.say("Cancelled. " + (UNCOMPARED if trained else "Nothing was trained."))
        elif job.result is not None:
            self.message.say(job.result.ending)

    def _refresh(self) -> None:
        with self._refreshing:  # else two threads may each show half of what they see
            running, finished = self.running, self.finished
            self.buttons.show_state(
                running=running,
                ready=self.searched is not None and self.form.ready,
                guesses=self.form.guesses,
                steerable=self.loop.steerable,
                paused=self.loop.paused,
                uncompared=finished is not None and finished.comparison is None,
            )
            self.form.disabled = self.details.disabled = running
