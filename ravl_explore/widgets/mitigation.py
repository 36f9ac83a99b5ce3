"""MitigationPanel: choose what to suppress and how, start, pause, stop, and watch the curves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from ravl_explore import data as data_sources
from ravl_explore import objectives
from ravl_explore.assignment import assign_embeddings
from ravl_explore.comparison import Comparison, compare
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import Discovery, SpuriousFeature
from ravl_explore.embedding import Embeddings, embed
from ravl_explore.errors import InputError
from ravl_explore.evaluation import evaluate, evaluate_scores
from ravl_explore.mitigation import Mitigation, MitigationRun, mitigate
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.objectives.base import Objective
from ravl_explore.progress import Progress, report
from ravl_explore.regions.base import Proposer
from ravl_explore.scoring import zero_shot
from ravl_explore.training import TrainingSettings
from ravl_explore.widgets.curves import Curves
from ravl_explore.widgets.job import Job, ProgressLine
from ravl_explore.widgets.menus import PartMenu, choices
from ravl_explore.widgets.message import Message

logger = logging.getLogger(__name__)

FIELD = widgets.Layout(width="100%", margin="2px 0")
LABEL = {"description_width": "110px"}
PAUSE_LOOK_SECONDS = 0.2  # how often a paused run looks whether it was cancelled
NO_FEATURE = "Run discovery first, then choose which clusters to suppress."
TRAIN, TEST = "Demo: garments, train", "Demo: garments, test"
SEARCHED = "The images that were searched"
SAME_IMAGES = "Too optimistic: these are images that were searched or trained on. Pick others to compare on."
ADVICE = "Look at the crops first: suppressing what truly defines a class makes the model worse."


class MitigationPanel(widgets.VBox):
    """A form, buttons and live curves around :func:`ravl_explore.mitigate`.

    Parameters
    ----------
    on_result : called from the worker with (mitigation, comparison or None) when training has ended or was stopped
    train_data, test_data : first choices of the two menus, beside what ``ravl_explore.data`` offers

    Attributes
    ----------
    mitigation : the last result, or None
    comparison : before and after on the test data, or None
    """

    def __init__(
        self,
        on_result: Callable[[Mitigation, Comparison | None], None] | None = None,
        train_data: ImageTextDataset | None = None,
        test_data: ImageTextDataset | None = None,
    ) -> None:
        self._on_result = on_result or (lambda *_: None)
        self._context: tuple[VisionLanguageModel, ImageTextDataset, Proposer, Discovery] | None = None
        # what was embedded stays with its embeddings, so that no other object can get its id
        self._embedded: dict[tuple[int, ...], tuple[Embeddings, VisionLanguageModel, ImageTextDataset, Proposer]] = {}
        self.mitigation: Mitigation | None = None
        self.comparison: Comparison | None = None
        self._resume, self._stop = threading.Event(), threading.Event()
        self._running, self._refreshing = False, threading.RLock()

        defaults = TrainingSettings()
        self.features = widgets.SelectMultiple(
            description="Suppress", rows=5, tooltip="Ctrl-click for several", layout=FIELD, style=LABEL
        )
        self.confirmed = widgets.Checkbox(
            description="I looked at the crops: it is a shortcut",
            indent=False,
            layout=widgets.Layout(width="100%", margin="2px 0 6px 0"),
        )
        self.objective = PartMenu("Objective", choices(objectives))
        self.train_data = PartMenu("Fine-tune on", choices(data_sources), train_data, preferred=TRAIN)
        self.test_data = PartMenu("Compare on", choices(data_sources), test_data, preferred=TEST)
        self.note = Message()
        self.epochs = widgets.BoundedIntText(defaults.epochs, 1, 1000, description="Epochs", layout=FIELD, style=LABEL)
        self.learning_rate = widgets.FloatText(
            defaults.learning_rate, description="Learning rate", layout=FIELD, style=LABEL, step=None
        )
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
            self.learning_rate, self.batch_size, self.seed,
        ]  # fmt: skip
        form = widgets.VBox(
            [
                self.features, self.confirmed, self.objective, self.train_data, self.test_data, self.note,
                self.epochs, self.learning_rate, self.batch_size, self.seed,
            ],
            layout=widgets.Layout(flex="0 0 360px", min_width="300px", padding="0 16px 0 0"),
        )  # fmt: skip
        right = widgets.VBox(
            [buttons, self.message, self.progress, self.curves], layout=widgets.Layout(flex="1 1 480px", min_width="0")
        )
        super().__init__([widgets.HBox([form, right], layout=widgets.Layout(flex_flow="row wrap", width="100%"))])
        self.features.observe(lambda _: self.confirmed.set_trait("value", False), "value")
        for each in (self.confirmed, self.features):
            each.observe(lambda _: self._refresh(), "value")
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
        self._context = (model, data, proposer, discovery)
        found = discovery.scores.embeddings
        self._embedded = {(id(model), id(data), id(proposer)): (found, model, data, proposer)}  # need no second pass
        if not isinstance(data, data_sources.Demo):
            for menu, start in ((self.train_data, TRAIN), (self.test_data, TEST)):
                menu.offer(data, SEARCHED, pick=menu.menu.value in (start, SEARCHED))
        self.features.options = [(_feature_label(each), each.cluster) for each in discovery.features]
        self.features.value = tuple(each.cluster for each in discovery.features[:1])
        self.confirmed.value = False
        self.message.say(ADVICE if discovery.features else f"Nothing to suppress: {discovery.why_none()}.")
        self._refresh()

    def choose(self, cluster: int) -> None:
        """Preselect one cluster, as when its row is picked; a pruned one cannot be suppressed."""
        if self.running or cluster not in [value for _, value in self.features.options]:
            return
        self.features.value = (cluster,)

    @property
    def running(self) -> bool:
        """Whether training (or the comparison after it) is under way."""
        return self._running

    def start(self) -> Job:
        """Train with what the form says, in a thread; the result comes to ``mitigation`` and ``comparison``."""
        if self._context is None:
            raise InputError("a discovery", "none", NO_FEATURE)
        if self.running:
            raise InputError("one training at a time", "a second", "Stop the running one first.")
        model, data, proposer, discovery = self._context
        features = tuple(discovery.feature(cluster) for cluster in self.features.value)
        if not features:
            raise InputError("at least one cluster to suppress", "none", "Pick one in the list.")
        objective: Objective = self.objective.make()
        settings = TrainingSettings(self.epochs.value, self.learning_rate.value, self.batch_size.value, self.seed.value)
        self._stop.clear()
        self._resume.set()
        self.message.say("")

        def work(progress: Progress) -> tuple[Mitigation, Comparison | None]:
            train_data, test_data = self.train_data.make(), self.test_data.make()
            _check_usable(test_data, features)
            marking = _named(progress, "Marking the feature in the training images")
            run = mitigate(
                model,
                train_data,
                features,
                proposer,
                objective=objective,
                epochs=settings.epochs,
                learning_rate=settings.learning_rate,
                batch_size=settings.batch_size,
                seed=settings.seed,
                validation=data,
                assignment=assign_embeddings(self._embed(model, train_data, proposer, marking), features),
                stream=True,
            )
            mitigation = self._train(run, objective.name, progress)
            return mitigation, self._before_and_after(model, test_data, features, proposer, mitigation, progress)

        earlier, self._running = self.mitigation, True
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

    def _train(self, run: MitigationRun, title: str, progress: Progress) -> Mitigation:
        """Iterate to the end or to Stop; whatever ends it, what at least one step has trained is the new result."""
        started = False
        try:
            for record in run:
                if not started:
                    self.curves.start(record.n_steps, title)
                    started = True
                self.curves.append(record)
                report(progress, record.step, record.n_steps, "Fine-tuning")
                while not self._resume.wait(PAUSE_LOOK_SECONDS):
                    report(progress, record.step, record.n_steps, "Paused")
                if self._stop.is_set():
                    break
        finally:
            run.close()
            mitigation = run.result()
            if started:
                self.mitigation, self.comparison = mitigation, None
                self.curves.finish()
        return mitigation

    def _before_and_after(
        self,
        model: VisionLanguageModel,
        test_data: ImageTextDataset,
        features: tuple[SpuriousFeature, ...],
        proposer: Proposer,
        mitigation: Mitigation,
        progress: Progress,
    ) -> Comparison:
        old = self._embed(model, test_data, proposer, _named(progress, "Testing the old model"))
        assignment = assign_embeddings(old, features)
        before = evaluate_scores(zero_shot(old), test_data, assignment=assignment)
        testing = _named(progress, "Testing the new model")
        after = evaluate(mitigation.model, test_data, proposer, assignment=assignment, progress=testing)
        self.comparison = compare(before, after)
        return self.comparison

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
        searched = self.test_data.menu.value == SEARCHED
        self.note.say(SAME_IMAGES if searched or _same_pick(self.train_data, self.test_data) else "")

    def _on_end(self, job: Job, earlier: Mitigation | None) -> None:
        try:
            self._tell(job, earlier)
        except Exception as error:
            logger.exception("Showing the mitigation failed")
            self.message.fail(error)
        finally:
            self._running = False
            self._refresh()

    def _tell(self, job: Job, earlier: Mitigation | None) -> None:
        trained = self.mitigation is not None and self.mitigation is not earlier
        if trained and self.mitigation is not None:
            self._on_result(self.mitigation, self.comparison)
        if job.error is not None:
            self.message.fail(job.error)
        elif job.cancelled:
            self.message.say(
                "Cancelled. " + ("What was trained so far is kept." if trained else "Nothing was trained.")
            )
        else:
            mitigation, _ = job.result
            steps = len(mitigation.history.records)
            how = "Done" if mitigation.complete else "Stopped"
            self.message.say(
                f"{how} after {steps} step{'s' * (steps != 1)}. The new model is explorer.mitigation.model."
            )

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
