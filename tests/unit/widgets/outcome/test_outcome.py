"""Outcome: old models are let go when memory is short, and alignment is measured with the run's own masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ravl_explore as rx
from ravl_explore.concepts import Discovered
from ravl_explore.errors import DataError
from ravl_explore.objectives import Standard
from ravl_explore.regions import Grid
from ravl_explore.widgets.mitigation.work import EmbeddedOnce, Finished, measured
from ravl_explore.widgets.outcome import outcome as outcome_module
from ravl_explore.widgets.outcome.outcome import LET_GO, RELEVANCE, Outcome, masks_of, n_bytes

Make = Callable[..., Any]


@pytest.fixture
def finished(model: Any, make_data: Make, find_features: Make) -> Make:
    """seed, concepts -> a Finished of one epoch."""
    train, test = make_data(24), make_data(42, seed=1)
    features, embedded = find_features(train)[-1:], EmbeddedOnce()

    def make(seed: int = 0, concepts: Any = None) -> Finished:
        mitigation = rx.mitigate(model, train, features, objective=Standard(), epochs=1, batch_size=8, seed=seed)
        found = Finished(mitigation, None, model, test, Grid(2, 2), concepts=concepts)
        return measured(found, embedded, lambda *_: None)

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
