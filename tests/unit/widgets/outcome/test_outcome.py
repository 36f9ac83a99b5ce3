"""Outcome: old models are let go when memory is short, and alignment is measured with the run's own masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import ravl_explore as rx
from ravl_explore.concepts import Discovered
from ravl_explore.errors import DataError
from ravl_explore.experiments import Caution, Experiment
from ravl_explore.experiments.embedded_once import EmbeddedOnce
from ravl_explore.objectives import Standard
from ravl_explore.regions import Grid
from ravl_explore.training import TrainingSettings
from ravl_explore.widgets.mitigation.finished import Finished
from ravl_explore.widgets.outcome import outcome as outcome_module
from ravl_explore.widgets.outcome.outcome import LET_GO, RELEVANCE, Outcome, masks_of, n_bytes

Make = Callable[..., Any]


@pytest.fixture
def finished(model: Any, make_data: Make, find_discovery: Make, mark: Make) -> Make:
    """seed, concepts -> a Finished of one epoch."""
    train, test = make_data(24), make_data(42, seed=1)
    discovery, embedded = find_discovery(train), EmbeddedOnce()
    feature = discovery.choose(discovery.clusters[-1])
    marked, settings = mark(train, feature), TrainingSettings(epochs=1, batch_size=8)

    def make(seed: int = 0, concepts: Any = None) -> Finished:
        mitigation = rx.mitigate(model, train, marked, Standard(), settings=settings, seed=seed)
        experiment = Experiment(
            model, train, feature, test, Grid(2, 2), searched=train, concepts=concepts, embedded=embedded
        )
        return Finished(mitigation, experiment).measured(lambda *_: None)

    return make


def test_the_oldest_models_are_let_go_and_their_numbers_stay(finished: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [finished(seed) for seed in range(3)]
    monkeypatch.setattr(outcome_module, "MOST_BYTES", 2 * n_bytes(made[0].mitigation.model))
    outcome = Outcome()
    outcome.tabs.selected_index = RELEVANCE
    for each in made:
        outcome.add(each)
    assert len(outcome.runs.rows) == 3 and outcome.relevance.message.text != LET_GO
    for number, gone in ((0, True), (1, False), (2, False), (0, True)):
        outcome.runs.selected = number
        assert (outcome.relevance.message.text == LET_GO) == outcome.relevance.look.disabled == gone
    outcome.tabs.selected_index = 0
    assert outcome.measures.layout is not None and outcome.runs.comparison is made[0].comparison


def test_what_to_beware_of_stands_beside_the_numbers(finished: Make) -> None:
    outcome, made = Outcome(), finished()
    outcome.add(made)
    experiment = made.experiment
    assert made.cautions == experiment.cautions_on(experiment.before())
    assert made.caution == " ".join(caution.text for caution in made.cautions)
    assert outcome.measures.caution == made.caution
    assert made.caution and f"pictures: {made.caution}" in outcome.runs.notes
    beware = Caution("seen", "Too optimistic: <b>these</b> images.")
    outcome.add(replace(made, cautions=(beware, *made.cautions)))
    assert outcome.measures.caution.startswith(beware.text) and made.caution in outcome.measures.caution


def test_a_run_that_was_not_compared_cannot_be_listed(finished: Make) -> None:
    outcome = Outcome()
    with pytest.raises(ValueError, match="a run that was compared"):
        outcome.add(replace(finished(), comparison=None))
    assert outcome.finished is None and len(outcome.runs.rows) == 0


def test_alignment_is_with_the_runs_own_masks(finished: Make) -> None:
    assert masks_of(finished()).name == Discovered().name
    assert masks_of(finished(concepts=Discovered("clean"))).name == Discovered("clean").name


def test_masks_that_do_not_fit_the_images_are_told_of(finished: Make) -> None:
    class OfOthers:
        name, uses_regions = "masks of <b>others</b>", False

        def open(self, data: Any, shown: Any = None) -> Any:
            raise DataError("a mask for each image", "none", "Add them.")

    made = finished(concepts=OfOthers())
    name = masks_of(made).name
    assert name.startswith(f"{Discovered().name} (those of the run, masks of <b>others</b>, do not fit these images")
    assert "a mask for each image" in name
    outcome = Outcome()
    outcome.tabs.selected_index = RELEVANCE
    outcome.add(made)
    job = outcome.relevance.measure()
    assert job is not None and job.wait(60)
    assert "do not fit these images" in outcome.relevance.message.text
    assert "<b>" not in outcome.relevance.message.value
