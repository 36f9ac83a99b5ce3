"""MitigationPanel: choose what to suppress and how, start, pause, stop, and watch the curves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from ravl_explore import data as data_sources
from ravl_explore import objectives
from ravl_explore.assignment import assign
from ravl_explore.comparison import Comparison, compare
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import Discovery, SpuriousFeature
from ravl_explore.errors import InputError
from ravl_explore.evaluation import Evaluation, evaluate
from ravl_explore.mitigation import Mitigation, MitigationRun, mitigate
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.objectives.base import Objective
from ravl_explore.progress import Progress, report
from ravl_explore.regions.base import Proposer
from ravl_explore.training import TrainingSettings
from ravl_explore.widgets.curves import Curves
from ravl_explore.widgets.job import Job, ProgressLine
from ravl_explore.widgets.menus import PartMenu, choices
from ravl_explore.widgets.message import Message

FIELD = widgets.Layout(width="100%", margin="2px 0")
LABEL = {"description_width": "110px"}
NO_FEATURE = "Run discovery first, then choose which clusters to suppress."
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
        self._before: dict[tuple[Any, ...], Evaluation] = {}
        self.mitigation: Mitigation | None = None
        self.comparison: Comparison | None = None
        self._resume, self._stop = threading.Event(), threading.Event()
        self._job: Job | None = None

        defaults = TrainingSettings()
        self.features = widgets.SelectMultiple(description="Suppress", rows=5, layout=FIELD, style=LABEL)
        self.confirmed = widgets.Checkbox(
            description="I looked at the crops: this is a shortcut, not part of the class",
            indent=False,
            layout=widgets.Layout(width="100%", margin="2px 0 6px 0"),
        )
        self.objective = PartMenu("Objective", choices(objectives))
        self.train_data = PartMenu("Fine-tune on", choices(data_sources), train_data, preferred="Demo: garments, train")
        self.test_data = PartMenu("Compare on", choices(data_sources), test_data, preferred="Demo: garments, test")
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
        self.message, self.progress, self.curves = Message(), ProgressLine(), Curves()
        buttons = widgets.HBox([self.start_button, self.pause_button, self.stop_button])
        self._form = [
            self.features, self.objective.menu, self.train_data.menu, self.test_data.menu, self.epochs,
            self.learning_rate, self.batch_size, self.seed,
        ]  # fmt: skip
        form = widgets.VBox(
            [
                self.features, self.confirmed, self.objective, self.train_data, self.test_data,
                self.epochs, self.learning_rate, self.batch_size, self.seed,
            ],
            layout=widgets.Layout(flex="0 0 360px", min_width="300px", padding="0 16px 0 0"),
        )  # fmt: skip
        right = widgets.VBox(
            [buttons, self.message, self.progress, self.curves], layout=widgets.Layout(flex="1 1 480px", min_width="0")
        )
        super().__init__([widgets.HBox([form, right], layout=widgets.Layout(flex_flow="row wrap", width="100%"))])
        for each in (self.confirmed, self.features):
            each.observe(lambda _: self._refresh(), "value")
        self.message.say(NO_FEATURE)
        self._refresh()

    def offer(
        self, model: VisionLanguageModel, data: ImageTextDataset, proposer: Proposer, discovery: Discovery
    ) -> None:
        """Take a new discovery: its kept clusters are what can be suppressed; nothing is confirmed yet."""
        self._context = (model, data, proposer, discovery)
        self.features.options = [(_feature_label(each), each.cluster) for each in discovery.features]
        self.features.value = tuple(each.cluster for each in discovery.features[:1])
        self.confirmed.value = False
        self.message.say(ADVICE if discovery.features else f"Nothing to suppress: {discovery.why_none()}.")
        self._refresh()

    def choose(self, cluster: int) -> None:
        """Preselect one cluster, as when its row is picked; a pruned one cannot be suppressed."""
        if self.running or cluster not in [value for _, value in self.features.options]:
            return
        if self.features.value != (cluster,):
            self.features.value = (cluster,)
            self.confirmed.value = False

    @property
    def running(self) -> bool:
        """Whether training (or the comparison after it) is under way."""
        return self._job is not None and self._job.running

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
            train_data = self.train_data.make()
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
                stream=True,
                progress=progress,
            )
            self._train(run, objective.name, progress)
            self.mitigation = run.result()
            return self.mitigation, self._before_and_after(model, features, proposer, self.mitigation, progress)

        self._job = self.progress.run(work, self._on_end, "Preparing")
        self._refresh()
        return self._job

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

    def _train(self, run: MitigationRun, title: str, progress: Progress) -> None:
        started = False
        try:
            for record in run:
                if not started:
                    self.curves.start(record.n_steps, title)
                    started = True
                self.curves.append(record)
                report(progress, record.step, record.n_steps, "Fine-tuning")
                self._resume.wait()
                if self._stop.is_set():
                    break
        finally:
            run.close()
            self.mitigation = run.result()
            if started:
                self.curves.finish()

    def _before_and_after(
        self,
        model: VisionLanguageModel,
        features: tuple[SpuriousFeature, ...],
        proposer: Proposer,
        mitigation: Mitigation,
        progress: Progress,
    ) -> Comparison:
        test_data = self.test_data.make()
        key = (id(model), id(test_data), proposer, *(each.cluster for each in features), id(features[0].medoids))
        assignment = assign(model, test_data, features, proposer, progress=_named(progress, "Marking test images"))
        if key not in self._before:
            self._before[key] = evaluate(
                model, test_data, proposer, assignment=assignment, progress=_named(progress, "Testing the old model")
            )
        after = evaluate(
            mitigation.model,
            test_data,
            proposer,
            assignment=assignment,
            progress=_named(progress, "Testing the new model"),
        )
        self.comparison = compare(self._before[key], after)
        return self.comparison

    def _on_end(self, job: Job) -> None:
        self._job = None
        if job.error is not None:
            self.message.fail(job.error)
        elif job.cancelled:
            trained = self.mitigation is not None and bool(self.mitigation.history.records)
            self.message.say(
                "Cancelled. " + ("What was trained so far is kept." if trained else "Nothing was trained.")
            )
        else:
            mitigation, comparison = job.result
            steps = len(mitigation.history.records)
            how = "Done" if mitigation.complete else "Stopped"
            self.message.say(f"{how} after {steps} steps. The new model is explorer.mitigation.model.")
            self._on_result(mitigation, comparison)
        self._refresh()

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


def _feature_label(feature: SpuriousFeature) -> str:
    return f"cluster {feature.cluster} → {feature.attribute or 'no class'}  (gap {feature.performance_gap:.2f})"


def _button(text: str, icon: str, style: str, on_click: Callable[[Any], None]) -> widgets.Button:
    button = widgets.Button(description=text, icon=icon, button_style=style, layout=widgets.Layout(width="100px"))
    button.on_click(on_click)
    return button


def _named(progress: Progress, stage: str) -> Progress:
    return lambda done, total, _: progress(done, total, stage)
