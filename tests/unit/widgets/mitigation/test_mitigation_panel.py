"""MitigationPanel: nothing starts unconfirmed, training obeys Pause and Stop at once, and what goes wrong is shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ravl_explore as rx
from ravl_explore.assignment.precheck import Precheck
from ravl_explore.data.subset import Subset
from ravl_explore.errors import InputError
from ravl_explore.experiments import embedded_once
from ravl_explore.experiments import experiment as experiment_module
from ravl_explore.experiments.grid import every_objective
from ravl_explore.objectives import Standard
from ravl_explore.objectives.training_free import TrainingFree
from ravl_explore.regions import Grid, Regions
from ravl_explore.training import TrainingSettings
from ravl_explore.widgets.mitigation import searched as searched_module
from ravl_explore.widgets.mitigation.panel import ADVICE, NO_FEATURE, UNCOMPARED, MitigationPanel

Make = Callable[..., Any]
SECONDS = 60.0  # far more than anything here takes


@pytest.fixture
def data(make_data: Make) -> Any:
    return make_data(24)


@pytest.fixture
def discovery(model: Any, data: Any, cluster: Make) -> Any:
    """Four clusters, the first image's quadrants, those with an error image kept."""
    embeddings = rx.embed(model, data)
    found = rx.discover(rx.zero_shot(embeddings), cluster(embeddings.region, [0, 1, 2, 3]), min_influence=0.0)
    assert len(found.features) >= 2
    return found


@dataclass
class Heard:
    """Every call of the panel's ``on_result``."""

    results: list[tuple[Any, Any]] = field(default_factory=list)

    def __call__(self, finished: Any) -> None:
        self.results.append((finished.mitigation, finished.comparison))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def panel(heard: Heard, make_data: Make, model: Any, data: Any, discovery: Any) -> MitigationPanel:
    """Three epochs of three steps, not confirmed yet."""
    made = MitigationPanel(heard, make_data(24, 1), make_data(30, 2))
    made.offer(model, data, Grid(2, 2), discovery)
    made.form.epochs.value, made.form.batch_size.value = 3, 8
    made.form.despite.value = True  # random weights may as well guess
    return made


@pytest.fixture
def long(panel: MitigationPanel) -> Iterator[MitigationPanel]:
    """The panel in the middle of a training that would take far too long."""
    panel.form.epochs.value = 1000
    panel.form.confirmed.value = True
    panel.buttons.start.click()
    until(lambda: n_steps(panel) >= 2)
    yield panel
    panel.stop()
    until(lambda: not panel.running)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def n_steps(panel: MitigationPanel) -> int:
    return len(panel.curves.history.records)


def start(panel: MitigationPanel) -> None:
    """Confirm, start and wait for the end."""
    panel.form.confirmed.value = panel.form.despite.value = True
    assert panel.start().wait(SECONDS)


def usable(panel: MitigationPanel) -> bool:
    """Whether Start can be pressed, nothing else, and the form can be filled."""
    return (
        not panel.running
        and not panel.buttons.start.disabled
        and panel.buttons.pause.disabled
        and panel.buttons.stop.disabled
        and panel.progress.layout.visibility == "hidden"
        and not any(each.disabled for each in panel.form.fields)
    )


class TestBefore:
    def test_without_a_discovery_nothing_can_be_started(self) -> None:
        panel = MitigationPanel()
        assert panel.message.text == NO_FEATURE
        panel.form.confirmed.value = True
        assert panel.buttons.start.disabled and panel.buttons.pause.disabled and panel.buttons.stop.disabled
        with pytest.raises(InputError, match="a discovery"):
            panel.start()
        panel.buttons.start.click()
        assert "Expected a discovery" in panel.message.text

    def test_start_waits_for_the_confirmation(self, panel: MitigationPanel) -> None:
        assert panel.buttons.start.disabled and "confirm" in panel.buttons.start.tooltip
        panel.form.confirmed.value = True
        assert not panel.buttons.start.disabled and panel.buttons.start.tooltip == ""
        panel.form.confirmed.value = False
        assert panel.buttons.start.disabled

    def test_the_best_kept_cluster_is_offered_first_and_pruned_ones_are_not(
        self, panel: MitigationPanel, discovery: Any
    ) -> None:
        assert [value for _, value in panel.form.features.options] == [each.cluster for each in discovery.features]
        assert panel.form.features.value == (discovery.best.cluster,) and panel.message.text == ADVICE
        assert all(f"cluster {value} →" in label for label, value in panel.form.features.options)

    def test_another_cluster_must_be_confirmed_anew(self, panel: MitigationPanel, discovery: Any) -> None:
        second = discovery.features[1].cluster
        for choose in (panel.choose, lambda cluster: setattr(panel.form.features, "value", (cluster,))):
            panel.form.features.value = (discovery.best.cluster,)
            panel.form.confirmed.value = True
            choose(second)
            assert (
                panel.form.features.value == (second,)
                and not panel.form.confirmed.value
                and panel.buttons.start.disabled
            )

    def test_the_cluster_already_chosen_stays_confirmed(self, panel: MitigationPanel, discovery: Any) -> None:
        panel.form.confirmed.value = True
        panel.choose(discovery.best.cluster)
        assert panel.form.confirmed.value

    def test_a_pruned_cluster_is_not_chosen(
        self, panel: MitigationPanel, model: Any, data: Any, discovery: Any
    ) -> None:
        *others, last = discovery.features
        clusters = (*others, replace(last, kept=False, reason="influence 0.10 below 0.25"))
        panel.offer(model, data, Grid(2, 2), replace(discovery, clusters=clusters))
        before = panel.form.features.value
        panel.choose(last.cluster)
        assert panel.form.features.value == before

    def test_no_cluster_chosen(self, panel: MitigationPanel) -> None:
        panel.form.features.value = ()
        panel.form.confirmed.value = True
        assert panel.buttons.start.disabled
        panel.buttons.start.click()
        assert "at least one cluster" in panel.message.text

    def test_a_discovery_that_kept_nothing_says_why(
        self, panel: MitigationPanel, model: Any, data: Any, make_discovery: Make
    ) -> None:
        none = make_discovery(0, min_influence=1.0)
        assert not none.features
        panel.offer(model, data, Grid(2, 2), none)
        assert panel.form.features.options == () and panel.message.text == f"Nothing to suppress: {none.why_none()}."
        panel.form.confirmed.value = True
        assert panel.buttons.start.disabled

    @pytest.mark.parametrize("rate", [0.0, -1.0, 2.0, float("nan")])
    def test_settings_out_of_range_are_told_before_anything_runs(self, panel: MitigationPanel, rate: float) -> None:
        panel.form.learning_rate.value = rate
        panel.form.confirmed.value = True
        panel.buttons.start.click()
        assert "learning_rate between 0 and 1" in panel.message.text and usable(panel)


class TestTraining:
    def test_the_same_as_without_widgets(
        self, panel: MitigationPanel, heard: Heard, model: Any, data: Any, discovery: Any
    ) -> None:
        start(panel)
        train, test, grid = panel.form.train_data.make(), panel.form.test_data.make(), Grid(2, 2)
        feature, objective = discovery.choose(discovery.best), panel.form.objective.make()
        settings = TrainingSettings(epochs=3, batch_size=8, learning_rate=objective.usual_learning_rate)
        marked = rx.assign(rx.embed(model, train, grid), feature)
        plain = rx.mitigate(model, train, marked, objective, settings=settings, validation=data)
        before, after = (rx.zero_shot(rx.embed(each, test, grid)) for each in (model, plain.model))
        found = rx.assign(before.embeddings, feature)
        compared = rx.compare(rx.evaluate(before, found), rx.evaluate(after, found))
        assert panel.mitigation is not None and panel.comparison is not None
        shown, true = (each.history.frame().drop(columns="seconds") for each in (panel.mitigation, plain))
        pd.testing.assert_frame_equal(shown, true)
        pd.testing.assert_frame_equal(panel.comparison.frame(), compared.frame())
        pd.testing.assert_frame_equal(panel.comparison.groups(), compared.groups())
        assert np.isfinite(shown["loss"]).all()
        assert heard.results == [(panel.mitigation, panel.comparison)] and panel.mitigation.complete
        assert panel.message.text.startswith("Done after 9 steps.")

    @pytest.mark.parametrize("label", list(every_objective()))
    def test_every_objective_of_the_menu(self, panel: MitigationPanel, heard: Heard, label: str) -> None:
        panel.form.objective.menu.value = label
        objective = panel.form.objective.make()
        assert panel.form.learning_rate.value == objective.usual_learning_rate
        assert (panel.details.selected_index == 0) == objective.uses_relevance, "masks are shown before they are used"
        panel.form.epochs.value = 1
        start(panel)
        free = isinstance(objective, TrainingFree)
        assert panel.message.text.startswith("Done without a" if free else "Done after"), panel.message.text
        assert panel.form.epochs.disabled == panel.form.learning_rate.disabled == panel.form.seed.disabled == free
        assert panel.mitigation is not None and panel.mitigation.objective == objective
        assert len(heard.results) == 1 and panel.comparison is not None

    def test_a_typed_learning_rate_outlasts_another_objective(self, panel: MitigationPanel) -> None:
        panel.form.learning_rate.value = 1e-3
        panel.form.objective.menu.value = "CFT, concept-guided"
        assert panel.form.learning_rate.value == 1e-3
        panel.form.learning_rate.value = panel.form.objective.make().usual_learning_rate
        panel.form.objective.menu.value = "RaVL, region-aware"
        assert panel.form.learning_rate.value == panel.form.objective.make().usual_learning_rate

    def test_what_the_details_say_is_used(self, panel: MitigationPanel, tmp_path: Path) -> None:
        panel.details.patience.value = 1
        start(panel)
        assert "worst_group of the validation images" in panel.message.text, "they are too few in a group"
        assert n_steps(panel) == 0, "told before training"
        panel.details.monitor.value = "accuracy"
        start(panel)
        assert panel.mitigation is not None and panel.mitigation.settings.monitor == "accuracy"
        panel.details.patience.value, panel.details.folder.value = 0, str(tmp_path / "run")
        start(panel)
        assert panel.mitigation is not None, panel.message.text
        assert (tmp_path / "run" / "model.safetensors").is_file()
        n = len(panel.mitigation.history.records)
        panel.curves.clear()
        start(panel)  # the same run is there already: nothing is trained again, and its curves are shown
        assert len(panel.curves.history.records) == n and panel.comparison is not None

    def test_a_wrong_cluster_is_warned_of_before_training(
        self, panel: MitigationPanel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        warned = Precheck(("It may be <b>what those classes</b> look like.",), pd.DataFrame({"n": [1]}), pd.DataFrame())
        monkeypatch.setattr(searched_module, "check_features", lambda *_: warned)
        panel.form.features.value = ()
        assert panel.form.doubts.notes == ()
        panel.form.features.value = (panel.form.features.options[0][1],)
        until(lambda: panel.form.doubts.notes == (f"Among the images that were searched: {warned.warnings[0]}",))
        assert "<b>" not in panel.form.doubts.value

    def test_the_curves_hold_every_step(self, panel: MitigationPanel) -> None:
        start(panel)
        assert panel.mitigation is not None
        assert panel.curves.history.records == panel.mitigation.history.records
        names = [trace.name for trace in panel.curves.figure.data if trace.visible and trace.name]
        assert "total loss" in names

    def test_while_it_runs_the_form_cannot_be_changed_and_no_second_one_starts(self, long: MitigationPanel) -> None:
        assert long.running and long.buttons.start.disabled
        assert all(each.disabled for each in long.form.fields)
        assert not long.buttons.pause.disabled and not long.buttons.stop.disabled
        before = long.form.features.value
        long.choose(next(value for _, value in long.form.features.options if value not in before))
        assert long.form.features.value == before
        with pytest.raises(InputError, match="one training at a time"):
            long.start()
        long.buttons.start.click()
        assert "one training at a time" in long.message.text

    def test_paused_there_are_no_steps_and_resumed_they_go_on(self, long: MitigationPanel) -> None:
        long.buttons.pause.click()
        at_click = n_steps(long)
        assert long.buttons.pause.description == "Resume" and long.running
        until(lambda: long.progress._text.value.startswith("Paused"))
        held = n_steps(long)
        assert held <= at_click + 1, "the step it was in, and no other"
        time.sleep(0.5)
        assert n_steps(long) == held
        long.buttons.pause.click()
        assert long.buttons.pause.description == "Pause"
        until(lambda: n_steps(long) >= held + 2)

    def test_stop_acts_within_one_step_and_what_was_trained_is_compared(
        self, long: MitigationPanel, heard: Heard
    ) -> None:
        at_click: list[int] = []
        long.buttons.stop.on_click(lambda _: at_click.append(n_steps(long)))
        long.buttons.stop.click()
        assert long.buttons.stop.disabled and long.buttons.pause.disabled
        until(lambda: not long.running)
        assert long.mitigation is not None and not long.mitigation.complete
        assert len(long.mitigation.history.records) <= at_click[0] + 1
        assert heard.results == [(long.mitigation, long.comparison)] and long.comparison is not None
        assert long.message.text.startswith(f"Stopped after {len(long.mitigation.history.records)} steps.")
        assert usable(long)

    def test_stop_ends_a_pause(self, long: MitigationPanel) -> None:
        long.pause()
        until(lambda: long.progress._text.value.startswith("Paused"))
        held = n_steps(long)
        long.buttons.stop.click()
        until(lambda: not long.running)
        assert n_steps(long) == held and long.buttons.pause.description == "Pause" and usable(long)

    def test_cancel_ends_a_pause_too(self, long: MitigationPanel) -> None:
        long.pause()
        until(lambda: long.progress._text.value.startswith("Paused"))
        long.progress._cancel.click()
        until(lambda: not long.running)
        assert long.message.text == f"Cancelled. {UNCOMPARED}" and usable(long)

    def test_cancelled_training_is_kept_without_a_comparison(self, long: MitigationPanel, heard: Heard) -> None:
        long.progress._cancel.click()
        until(lambda: not long.running)
        assert long.mitigation is not None and len(long.mitigation.history.records) == n_steps(long)
        assert long.comparison is None and heard.results == [(long.mitigation, None)]
        assert long.buttons.compare.layout.display == "" and UNCOMPARED in long.message.text
        long.buttons.compare.click()
        until(lambda: not long.running)
        assert long.comparison is not None and heard.results[1:] == [(long.mitigation, long.comparison)]
        assert long.buttons.compare.layout.display == "none" and usable(long)
        assert long.message.text.startswith("Stopped after")
        long.buttons.compare.click()
        assert "a model that was not compared" in long.message.text

    def test_measuring_that_failed_can_be_done_again(
        self, panel: MitigationPanel, heard: Heard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any, **__: Any) -> None:
            assert panel.buttons.pause.disabled and panel.buttons.stop.disabled, "there is no step to hold"
            raise RuntimeError("no room")

        with monkeypatch.context() as patched:
            patched.setattr(experiment_module, "evaluate", broken)
            start(panel)
        assert "no room" in panel.message.text and panel.comparison is None
        assert panel.compare().wait(SECONDS)
        assert panel.comparison is not None and heard.results[1:] == [(panel.mitigation, panel.comparison)]

    def test_a_new_discovery_while_it_runs_does_not_disturb_it(
        self, long: MitigationPanel, model: Any, data: Any, discovery: Any
    ) -> None:
        steps = n_steps(long)
        long.offer(model, data, Grid(2, 2), discovery)
        assert long.running and long.buttons.start.disabled and not long.form.confirmed.value
        until(lambda: n_steps(long) > steps)
        long.stop()
        until(lambda: not long.running)
        assert long.comparison is not None and long.buttons.start.disabled, "the new one is not confirmed"

    def test_a_second_run_works_and_embeds_nothing_again(
        self, panel: MitigationPanel, heard: Heard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start(panel)
        first, embedded = panel.mitigation, []
        monkeypatch.setattr(embedded_once, "embed", lambda *_, **__: embedded.append(1))
        panel.form.seed.value = 1
        start(panel)
        assert embedded == [] and panel.mitigation is not first and len(heard.results) == 2
        before = [comparison.before.image.table for _, comparison in heard.results]
        pd.testing.assert_frame_equal(before[0], before[1])

    def test_images_that_were_seen_are_told_whatever_they_are_called(
        self, make_data: Make, model: Any, data: Any, discovery: Any
    ) -> None:
        for test, said in (
            (Subset(data, [3, 1]), "these images were searched"),
            (Subset(make_data(24, 1), range(24)), "these images were searched or trained on"),
            (make_data(30, 2), ""),
        ):
            panel = MitigationPanel(None, make_data(24, 1), test)
            panel.offer(model, data, Grid(2, 2), discovery)
            panel.form.epochs.value, panel.form.batch_size.value = 1, 8
            assert panel.form.note.text == "", "no image was opened yet"
            start(panel)
            assert said in panel.form.note.text and bool(panel.form.note.text) == bool(said)
            assert panel.finished is not None and panel.comparison is not None
            experiment = panel.finished.experiment
            assert ("seen" in [caution.code for caution in experiment.cautions]) == bool(said)
            assert panel.form.note.text == " ".join(caution.text for caution in experiment.cautions)
            assert panel.finished.cautions == experiment.cautions_on(panel.comparison.before)
            assert panel.finished.caution == " ".join(caution.text for caution in panel.finished.cautions)
            assert panel.comparison.before.doubt in panel.finished.caution

    def test_test_images_without_the_class_are_told_before_the_first_step(
        self, make_data: Make, model: Any, data: Any, discovery: Any
    ) -> None:
        whole, attribute = make_data(30, 2), discovery.best.attribute
        others = np.flatnonzero(whole.labels != whole.class_names.index(attribute))
        panel = MitigationPanel(None, make_data(24, 1), Subset(whole, others, "lacking"))
        panel.offer(model, data, Grid(2, 2), discovery)
        panel.form.epochs.value, panel.form.confirmed.value, panel.form.despite.value = 1000, True, True
        panel.start()
        until(lambda: n_steps(panel) > 0)
        told = f"lacking has no image of {attribute!r}, the class that the feature pulls to: ε1 is not known."
        assert panel.form.note.text == told
        panel.stop()
        until(lambda: not panel.running)
        assert panel.finished is not None and panel.finished.cautions[0].code == "class missing"

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            ("feature absent", "image of pictures holds the feature"),
            ("groups missing", "these groups are not known"),
            ("chance", "guess"),
        ],
    )
    def test_what_the_searched_model_tells_of_the_test_images_is_said_of_the_comparison(
        self, make_data: Make, model: Any, data: Any, discovery: Any, code: str, said: str
    ) -> None:
        whole, feature = make_data(60, 2), discovery.choose(discovery.best)
        before = rx.zero_shot(rx.embed(model, whole))
        found, labels = rx.assign(before.embeddings, feature).present, whole.labels
        other = next(y for y, name in enumerate(whole.class_names) if name != feature.attribute)
        right = before.predictions == labels
        rows = {
            "feature absent": found if found.any() else ~found,
            "groups missing": (labels != other) | found,
            "chance": ~right,
        }[code]
        assert (~found & (labels == other)).any() and (found & (labels == other)).any()
        panel = MitigationPanel(None, make_data(24, 1), Subset(whole, np.flatnonzero(rows)))
        panel.offer(model, data, Grid(2, 2), discovery)
        panel.form.epochs.value, panel.form.batch_size.value = 1, 8
        start(panel)
        assert panel.finished is not None and panel.comparison is not None
        told = {caution.code: caution.text for caution in panel.finished.cautions}
        assert said in told[code] and told[code] in panel.finished.caution
        assert ("chance" in told) == bool(panel.comparison.before.doubt)
        assert not ("feature absent" in told and "groups missing" in told)
        assert "seen" not in told and told[code] not in panel.form.note.text

    def test_masks_are_drawn_with_the_captions_classes(
        self, make_data: Make, model: Any, data: Any, discovery: Any
    ) -> None:
        train = make_data(24, 1)
        train.labels = np.roll(train.labels, 1)  # the captions know better
        panel = MitigationPanel(None, train, make_data(30, 2))
        panel.offer(model, data, Grid(2, 2), discovery)
        panel.form.objective.menu.value = "CFT, concept-guided"
        until(lambda: panel.details.concepts.page is not None)
        panel.details.captions.use.value = True
        assert panel.details.captions.wait(SECONDS)
        assert panel.details.concepts.page is None, "they may differ"
        job = panel.details.concepts.show()
        assert job is not None and job.wait(SECONDS)
        offer = panel.details.concepts._offer
        assert offer is not None and offer.opened is not None and job.error is None
        assert offer.opened.labels.tolist() == np.roll(train.labels, -1).tolist()

    def test_one_step_is_one_step(self, panel: MitigationPanel) -> None:
        panel.form.epochs.value, panel.form.batch_size.value = 1, 24
        start(panel)
        assert panel.message.text.startswith("Done after 1 step. ")

    def test_a_proposer_that_cannot_be_hashed(
        self, panel: MitigationPanel, model: Any, data: Any, discovery: Any
    ) -> None:
        @dataclass
        class Mine:
            name: str = "mine"

            def __call__(self, data: Any) -> Regions:
                return Grid(2, 2)(data)

        panel.offer(model, data, Mine(), discovery)
        start(panel)
        assert panel.comparison is not None


class TestWhatGoesWrong:
    """It is shown, Start can be pressed again, and earlier results stay."""

    @pytest.fixture
    def earlier(self, panel: MitigationPanel) -> tuple[Any, Any]:
        panel.form.epochs.value = 1
        start(panel)
        assert panel.mitigation is not None and panel.comparison is not None
        return panel.mitigation, panel.comparison

    def kept(self, panel: MitigationPanel, earlier: tuple[Any, Any]) -> bool:
        return (panel.mitigation, panel.comparison) == earlier and usable(panel)

    def test_an_objective_that_fails_at_once(
        self, panel: MitigationPanel, earlier: tuple[Any, Any], heard: Heard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> None:
            raise RuntimeError("no <b>gradient</b>")

        with monkeypatch.context() as patched:
            patched.setattr(Standard, "__call__", broken)
            start(panel)
        assert "Unexpected RuntimeError: no <b>gradient</b>" in panel.message.text
        assert "<b>" not in panel.message.value
        assert self.kept(panel, earlier) and len(heard.results) == 1
        start(panel)
        assert panel.message.text.startswith("Done") and len(heard.results) == 2

    def test_an_objective_that_fails_later_leaves_what_was_trained(
        self, panel: MitigationPanel, earlier: tuple[Any, Any], heard: Heard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original, calls = Standard.__call__, []

        def late(self: Any, *arguments: Any) -> Any:
            calls.append(1)
            terms = original(self, *arguments)
            return terms if len(calls) < 3 else {"loss": terms["loss"] * float("nan")}

        monkeypatch.setattr(Standard, "__call__", late)
        start(panel)
        assert "Expected a finite loss, got nan at step 3" in panel.message.text and usable(panel)
        assert panel.mitigation is not earlier[0] and len(panel.mitigation.history.records) == 2
        assert panel.comparison is None, "the earlier one is not of this model"
        assert heard.results[1:] == [(panel.mitigation, None)]

    @pytest.mark.parametrize("menu", ["train_data", "test_data"])
    @pytest.mark.parametrize(("path", "said"), [("", "the field “Folder”"), ("/no/such/folder", "/no/such/folder")])
    def test_data_that_is_not_there_is_told_before_training(
        self, panel: MitigationPanel, earlier: tuple[Any, Any], menu: str, path: str, said: str
    ) -> None:
        steps, part = n_steps(panel), getattr(panel.form, menu)
        part.menu.value = next(label for label in part.menu.options if label.startswith("Folder"))
        part.form.inputs["path"].value = path
        for _ in range(5):  # it fails so soon that its end can overtake the return of start()
            start(panel)
            assert said in panel.message.text and self.kept(panel, earlier)
        assert n_steps(panel) == steps

    def test_training_data_without_captions_is_captioned_by_its_prompts(
        self, make_data: Make, model: Any, data: Any, discovery: Any
    ) -> None:
        panel = MitigationPanel(None, make_data(24, captions=None), make_data(30))
        panel.offer(model, data, Grid(2, 2), discovery)
        start(panel)
        assert panel.mitigation is not None and n_steps(panel) > 0

    def test_test_data_of_other_classes(self, make_data: Make, model: Any, data: Any, discovery: Any) -> None:
        panel = MitigationPanel(None, make_data(24), make_data(30, class_names=("x", "y", "<b>z</b>")))
        panel.offer(model, data, Grid(2, 2), discovery)
        start(panel)
        assert f"the class '{discovery.best.attribute}'" in panel.message.text and "<b>z</b>" in panel.message.text
        assert usable(panel) and n_steps(panel) == 0

    def test_a_listener_that_fails(self, panel: MitigationPanel) -> None:
        def broken(*_: Any) -> None:
            raise KeyError("listener")

        panel._on_result = broken
        start(panel)
        assert "Unexpected KeyError" in panel.message.text and usable(panel)
        assert panel.mitigation is not None and panel.comparison is not None

    def test_cancelled_before_the_first_step(
        self, panel: MitigationPanel, earlier: tuple[Any, Any], heard: Heard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, gate = threading.Event(), threading.Event()

        def slow(*arguments: Any, **more: Any) -> Any:
            begun.set()
            assert gate.wait(SECONDS)
            return rx.embed(*arguments, **more)

        panel._embedded.clear()
        monkeypatch.setattr(embedded_once, "embed", slow)
        panel.form.confirmed.value = True
        job = panel.start()
        assert begun.wait(SECONDS)
        panel.progress._cancel.click()
        gate.set()
        assert job.wait(SECONDS) and job.cancelled
        assert panel.message.text == "Cancelled. Nothing was trained."
        assert self.kept(panel, earlier) and len(heard.results) == 1
