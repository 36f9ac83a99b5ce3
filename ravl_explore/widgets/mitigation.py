"""MitigationPanel: choose what to suppress and how, start, pause, stop, and watch the curves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets as widgets

from ravl_explore import data as data_sources
from ravl_explore import objectives
from ravl_explore.assignment import Assignment, assign_embeddings
from ravl_explore.captions import label as label_by_captions
from ravl_explore.comparison import Comparison, compare
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import Discovery, SpuriousFeature
from ravl_explore.embedding import Embeddings, embed
from ravl_explore.errors import InputError
from ravl_explore.evaluation import evaluate, evaluate_scores
from ravl_explore.mitigation import Mitigation, MitigationRun, mitigate
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.objectives.base import Objective
from ravl_explore.objectives.training_free import TrainingFree
from ravl_explore.precheck import check_features
from ravl_explore.progress import Progress, report
from ravl_explore.regions.base import Proposer
from ravl_explore.scoring import zero_shot
from ravl_explore.training import StepRecord, TrainingSettings
from ravl_explore.widgets.curves import Curves
from ravl_explore.widgets.job import Job, ProgressLine
from ravl_explore.widgets.menus import PartMenu, choices
from ravl_explore.widgets.message import Message
from ravl_explore.widgets.mitigation_details import MitigationDetails
from ravl_explore.widgets.notes import Notes

logger = logging.getLogger(__name__)

FIELD = widgets.Layout(width="100%", margin="2px 0")
LABEL = {"description_width": "110px"}
PAUSE_LOOK_SECONDS = 0.2  # how often a paused run looks whether it was cancelled
NO_FEATURE = "Run discovery first, then choose which clusters to suppress."
TRAIN, TEST = "Demo: garments, train", "Demo: garments, test"
SEARCHED = "The images that were searched"
SAME_IMAGES = "Too optimistic: these are images that were searched or trained on. Pick others to compare on."
UNCOMPARED = (
    "What was trained so far is kept as explorer.mitigation.model. It was not compared, so the table does not list it."
)
ADVICE = "Look at the crops first: suppressing what truly defines a class makes the model worse."


@dataclass(frozen=True, eq=False)
class Finished:
    """What a training left.

    Attributes
    ----------
    mitigation : the new model
    comparison : before and after on ``test_data``; None when training was cancelled
    model : that it started from
    test_data : what both were compared on
    assignment : of ``test_data``, None with ``comparison``
    """

    mitigation: Mitigation
    comparison: Comparison | None
    model: VisionLanguageModel
    test_data: ImageTextDataset
    assignment: Assignment | None


class MitigationPanel(widgets.VBox):
    """A form, buttons and live curves around :func:`ravl_explore.mitigate`.

    Parameters
    ----------
    on_result : called from the worker when training has ended or was stopped
    train_data, test_data : first choices of the two menus, beside what ``ravl_explore.data`` offers

    Attributes
    ----------
    finished : the last result, or None
    """

    def __init__(
        self,
        on_result: Callable[[Finished], None] | None = None,
        train_data: ImageTextDataset | None = None,
        test_data: ImageTextDataset | None = None,
    ) -> None:
        self._on_result = on_result or (lambda _: None)
        self._context: tuple[VisionLanguageModel, ImageTextDataset, Proposer, Discovery] | None = None
        # what was embedded stays with its embeddings, so that no other object can get its id
        self._embedded: dict[tuple[int, ...], tuple[Embeddings, VisionLanguageModel, ImageTextDataset, Proposer]] = {}
        self.finished: Finished | None = None
        self._checking: Job | None = None
        self._resume, self._stop = threading.Event(), threading.Event()
        self._running, self._refreshing = False, threading.RLock()

        defaults = TrainingSettings()
        self.features = widgets.SelectMultiple(
            description="Suppress", rows=5, tooltip="Ctrl- or ⌘-click for several", layout=FIELD, style=LABEL
        )
        self.confirmed = widgets.Checkbox(
            description="I looked at the crops: it is a shortcut",
            indent=False,
            layout=widgets.Layout(width="100%", margin="2px 0 6px 0"),
        )
        self.objective = PartMenu("Objective", choices(objectives))
        self.train_data = PartMenu("Fine-tune on", choices(data_sources), train_data, preferred=TRAIN)
        self.test_data = PartMenu("Compare on", choices(data_sources), test_data, preferred=TEST)
        self.note, self.doubts, self.details = Message(), Notes(), MitigationDetails()
        self.epochs = widgets.BoundedIntText(defaults.epochs, 1, 1000, description="Epochs", layout=FIELD, style=LABEL)
        self.learning_rate = widgets.FloatText(
            defaults.learning_rate, description="Learning rate", layout=FIELD, style=LABEL, step=None
        )
        self._usual_rate = defaults.learning_rate  # of the objective last picked
        self.batch_size = widgets.BoundedIntText(
            defaults.batch_size, 2, 4096, description="Batch size", layout=FIELD, style=LABEL
        )
        self.seed = widgets.BoundedIntText(defaults.seed, 0, 2**31 - 1, description="Seed", layout=FIELD, style=LABEL)
        self.start_button = _button("Start", "play", "primary", self._on_start)
        self.pause_button = _button("Pause", "pause", "", lambda _: self._on_pause())
        self.stop_button = _button("Stop", "stop", "", lambda _: self.stop())
        self.stop_button.tooltip = "End after this step; what was trained is kept and compared"
        self.message, self.progress, self.curves = Message(), ProgressLine(), Curves()
        buttons = widgets.HBox([self.start_button, self.pause_button, self.stop_button])
        self._form = [
            self.features, self.objective, self.train_data, self.test_data, self.epochs,
            self.learning_rate, self.batch_size, self.seed, self.details,
        ]  # fmt: skip
        form = widgets.VBox(
            [
                self.features, self.doubts, self.confirmed, self.objective, self.train_data, self.test_data, self.note,
                self.epochs, self.learning_rate, self.batch_size, self.seed,
            ],
            layout=widgets.Layout(flex="0 0 360px", min_width="300px", padding="0 16px 0 0"),
        )  # fmt: skip
        right = widgets.VBox(
            [buttons, self.message, self.progress, self.curves], layout=widgets.Layout(flex="1 1 480px", min_width="0")
        )
        both = widgets.HBox([form, right], layout=widgets.Layout(flex_flow="row wrap", width="100%"))
        super().__init__([both, self.details])
        self.features.observe(lambda _: self.confirmed.set_trait("value", False), "value")
        for look in (self._doubt, self._offer_masks):
            self.features.observe(lambda _, look=look: look(), "value")
        for each in (self.confirmed, self.features):
            each.observe(lambda _: self._refresh(), "value")
        self.train_data.observe(lambda _: self._on_train_data(), "changes")
        self.objective.observe(lambda _: self._on_objective(), "changes")
        for each in (self.train_data, self.test_data):
            each.observe(lambda _: self._say_whose(), "changes")
        self.message.say(NO_FEATURE)
        self._refresh()

    def offer(
        self, model: VisionLanguageModel, data: ImageTextDataset, proposer: Proposer, discovery: Discovery
    ) -> None:
        """Take a new discovery: its kept clusters are what can be suppressed; nothing is confirmed yet.

        Images of the user's own are offered for fine-tuning and comparing too, since the demo's classes will not fit.
        """
        self._context, self.features.value = None, ()  # the old numbers mean nothing now
        self.confirmed.value = False
        found = discovery.scores.embeddings
        self._embedded = {(id(model), id(data), id(proposer)): (found, model, data, proposer)}  # need no second pass
        for menu, start in ((self.train_data, TRAIN), (self.test_data, TEST)):
            if isinstance(data, data_sources.Demo):
                menu.withdraw(SEARCHED, start)  # images of an earlier search, which these classes will not fit
            else:
                menu.offer(data, SEARCHED, pick=menu.menu.value in (start, SEARCHED))
        self._context = (model, data, proposer, discovery)
        self._say_whose()
        self.features.options = [(_feature_label(each), each.cluster) for each in discovery.features]
        self.features.value = tuple(each.cluster for each in discovery.features[:1])
        self.details.captions.offer(self.train_data.make)
        self._offer_masks()
        self.message.say(ADVICE if discovery.features else f"Nothing to suppress: {discovery.why_none()}.")
        self._refresh()

    def choose(self, cluster: int) -> None:
        """Preselect one cluster, as when its row is picked; a pruned one cannot be suppressed.

        Where several are chosen, they stay: whoever looks at one more does not choose it.
        """
        if self.running or len(self.features.value) > 1:
            return
        if cluster not in [value for _, value in self.features.options]:
            return
        self.features.value = (cluster,)

    def _on_objective(self) -> None:
        """Set the usual learning rate unless another was typed; unfold the masks where they are used."""
        objective: Objective = self.objective.make()
        if self.learning_rate.value == self._usual_rate:
            self.learning_rate.value = objective.usual_learning_rate
        self._usual_rate = objective.usual_learning_rate
        if objective.uses_relevance:
            self.details.open_masks()
        self._refresh()

    def _offer_masks(self) -> None:
        """Show masks of the images to fine-tune on, once they are asked for."""
        if self._context is None:
            return
        model, _, proposer, discovery = self._context
        features = tuple(discovery.feature(cluster) for cluster in self.features.value)

        def shown(progress: Progress) -> Assignment:
            marking = _named(progress, "Marking the feature in the training images")
            return assign_embeddings(self._embed(model, self.train_data.make(), proposer, marking), features)

        self.details.concepts.offer(self.train_data.make, shown if features else None)

    def _on_train_data(self) -> None:
        self.details.captions.offer(self.train_data.make)
        self._offer_masks()

    def _doubt(self) -> None:
        """Say what speaks against the chosen clusters, by the images that were searched; found in a thread."""
        self.doubts.show(())
        self._checking = None
        if self._context is None or not self.features.value:
            return
        discovery = self._context[3]
        chosen = tuple(discovery.feature(cluster) for cluster in self.features.value)

        def end(job: Job) -> None:
            if job is self._checking and job.error is None and not self.running:
                self.doubts.show([f"Among the images that were searched: {each}" for each in job.result])

        self._checking = Job(lambda _: check_features(discovery.scores.embeddings, chosen).warnings, on_end=end)
        self._checking.start()

    @property
    def mitigation(self) -> Mitigation | None:
        """The last new model with its history, or None."""
        return None if self.finished is None else self.finished.mitigation

    @property
    def comparison(self) -> Comparison | None:
        """Before and after on the test data, or None."""
        return None if self.finished is None else self.finished.comparison

    @property
    def running(self) -> bool:
        """Whether training (or the comparison after it) is under way."""
        return self._running

    def start(self) -> Job:
        """Train with what the form says, in a thread; the result comes to ``finished``."""
        if self._context is None:
            raise InputError("a discovery", "none", NO_FEATURE)
        if self.running:
            raise InputError("one training at a time", "a second", "Stop the running one first.")
        model, data, proposer, discovery = self._context
        features = tuple(discovery.feature(cluster) for cluster in self.features.value)
        if not features:
            raise InputError("at least one cluster to suppress", "none", "Pick one in the list.")
        objective: Objective = self.objective.make()
        settings = TrainingSettings(
            self.epochs.value, self.learning_rate.value, self.batch_size.value, self.seed.value, **self.details.settings
        )
        labeller, folder = self.details.labeller, self.details.run_folder
        concepts = self.details.concepts.source if objective.uses_relevance else None
        self._stop.clear()
        self._resume.set()
        self.message.say("")

        def work(progress: Progress) -> Finished:
            train_data, test_data = self.train_data.make(), self.test_data.make()
            _check_usable(test_data, features)
            marking = _named(progress, "Marking the feature in the training images")
            embedded = self._embed(model, train_data, proposer, marking)
            labels = None
            if labeller is not None:
                labels = label_by_captions(train_data, labeller, similarity=embedded.image @ embedded.text.T).labels
            self.doubts.show(check_features(embedded, features, labels).warnings)
            run = mitigate(
                model,
                train_data,
                features,
                proposer,
                objective=objective,
                settings=settings,
                validation=data,
                assignment=assign_embeddings(embedded, features, labels),
                concepts=concepts,
                labels=labeller,
                folder=folder,
                stream=True,
                progress=progress,
            )
            self._train(run, model, test_data, progress)
            finished = Finished(run.result(), None, model, test_data, None)
            self.finished = self._measured(finished, features, proposer, progress)
            return self.finished

        earlier, self._running = self.finished, True
        self._refresh()
        return self.progress.run(work, lambda job: self._on_end(job, earlier), "Preparing")

    def pause(self) -> None:
        """Hold training before its next step."""
        self._resume.clear()
        self._refresh()

    def resume(self) -> None:
        """Go on after a pause."""
        self._resume.set()
        self._refresh()

    def stop(self) -> None:
        """End training after the step it is in; what was trained is kept and compared."""
        self._stop.set()
        self._resume.set()
        self._refresh()

    def _train(
        self, run: MitigationRun, model: VisionLanguageModel, test_data: ImageTextDataset, progress: Progress
    ) -> None:
        """Iterate to the end or to Stop; whatever ends it, what at least one step has trained is the new result."""
        started = False

        def begin(record: StepRecord) -> None:
            begun = run.result()
            self.curves.start(record.n_steps, f"{begun.objective.name}, seed {begun.settings.seed}")

        try:
            for record in run:
                if not started:
                    started = True
                    begin(record)
                    for each in run.result().history.records[:-1]:  # of a run folder that is gone on with
                        self.curves.append(each)
                self.curves.append(record)
                report(progress, record.step, record.n_steps, "Fine-tuning")
                while not self._resume.wait(PAUSE_LOOK_SECONDS):
                    report(progress, record.step, record.n_steps, "Paused")
                if self._stop.is_set():
                    break
        finally:
            run.close()
            records = run.result().history.records
            if not started and records:  # a folder whose run had ended
                begin(records[-1])
                for each in records:
                    self.curves.append(each)
            if records:
                self.finished = Finished(run.result(), None, model, test_data, None)
                self.curves.finish()

    def _measured(
        self, finished: Finished, features: tuple[SpuriousFeature, ...], proposer: Proposer, progress: Progress
    ) -> Finished:
        """With both models measured on the test data."""
        test_data = finished.test_data
        old = self._embed(finished.model, test_data, proposer, _named(progress, "Testing the old model"))
        assignment = assign_embeddings(old, features)
        before = evaluate_scores(zero_shot(old), test_data, assignment=assignment)
        testing = _named(progress, "Testing the new model")
        after = evaluate(finished.mitigation.model, test_data, proposer, assignment=assignment, progress=testing)
        return replace(finished, comparison=compare(before, after), assignment=assignment)

    def _embed(
        self, model: VisionLanguageModel, data: ImageTextDataset, proposer: Proposer, progress: Progress
    ) -> Embeddings:
        """Embeddings under the searched model, made once per dataset: later runs start at once."""
        key = (id(model), id(data), id(proposer))
        if key not in self._embedded:
            self._embedded[key] = (embed(model, data, proposer, progress=progress), model, data, proposer)
        return self._embedded[key][0]

    def _say_whose(self) -> None:
        """Say where the comparison cannot be trusted."""
        data = None if self._context is None else self._context[1]
        label = f"Demo: garments, {data.split}" if isinstance(data, data_sources.Demo) else SEARCHED
        searched = self.test_data.menu.value == label
        self.note.say(SAME_IMAGES if searched or _same_pick(self.train_data, self.test_data) else "")

    def _on_end(self, job: Job, earlier: Finished | None) -> None:
        try:
            self._tell(job, earlier)
        except Exception as error:
            logger.exception("Showing the mitigation failed")
            self.message.fail(error)
        finally:
            self._running = False
            self._refresh()

    def _tell(self, job: Job, earlier: Finished | None) -> None:
        trained = self.finished is not None and self.finished is not earlier
        if trained and self.finished is not None:
            self._on_result(self.finished)
        if job.error is not None:
            self.message.fail(job.error)
        elif job.cancelled:
            self.message.say("Cancelled. " + (UNCOMPARED if trained else "Nothing was trained."))
        else:
            self.message.say(_ending(job.result.mitigation))

    def _on_start(self, _: Any) -> None:
        try:
            self.start()
        except Exception as error:
            self.message.fail(error)

    def _on_pause(self) -> None:
        if self._resume.is_set():
            self.pause()
        else:
            self.resume()

    def _refresh(self) -> None:
        with self._refreshing:  # else two threads may each show half of what they see
            self._show_state()

    def _show_state(self) -> None:
        running, paused = self.running, not self._resume.is_set()
        ready = self._context is not None and bool(self.features.value) and self.confirmed.value
        self.start_button.disabled = running or not ready
        self.start_button.tooltip = "" if ready else "Choose a cluster and confirm that you looked at its crops"
        self.pause_button.disabled = not running or self._stop.is_set()
        self.stop_button.disabled = not running or self._stop.is_set()
        self.pause_button.description = "Resume" if running and paused else "Pause"
        self.pause_button.icon = "play" if running and paused else "pause"
        for each in self._form:
            each.disabled = running
        if isinstance(self.objective.make(), TrainingFree):
            for each in (self.epochs, self.learning_rate, self.seed):
                each.disabled = True  # it takes no step


def _ending(mitigation: Mitigation) -> str:
    steps, best = len(mitigation.history.records), mitigation.history.best_step
    line = f"{'Done' if mitigation.complete else 'Stopped'} after {steps} step{'s' * (steps != 1)}"
    if isinstance(mitigation.objective, TrainingFree):
        line = "Done without a training step"
    if best is not None and best != steps:
        line += f", the weights are those of step {best}"
    return " ".join([f"{line}. The new model is explorer.mitigation.model.", *mitigation.notes])


def _check_usable(test_data: ImageTextDataset, features: tuple[SpuriousFeature, ...]) -> None:
    """Raise at once what would else be raised when the images are embedded, or after the training."""
    attribute = features[0].attribute
    if attribute is not None and attribute not in test_data.class_names:
        raise InputError(
            f"a dataset to compare on that has the class {attribute!r}",
            f"{test_data.name!r} with {', '.join(test_data.class_names[:5])}",
            "Pick one with the classes that were searched.",
        )


def _same_pick(one: PartMenu, other: PartMenu) -> bool:
    def picked(menu: PartMenu) -> list[Any]:
        return [menu.menu.value, *(each.value for each in (menu.form.inputs.values() if menu.form else ()))]

    return picked(one) == picked(other)


def _feature_label(feature: SpuriousFeature) -> str:
    return f"cluster {feature.cluster} → {feature.attribute or 'no class'}  (gap {feature.performance_gap:.2f})"


def _button(text: str, icon: str, style: str, on_click: Callable[[Any], None]) -> widgets.Button:
    button = widgets.Button(description=text, icon=icon, button_style=style, layout=widgets.Layout(width="100px"))
    button.on_click(on_click)
    return button


def _named(progress: Progress, stage: str) -> Progress:
    return lambda done, total, _: progress(done, total, stage)
