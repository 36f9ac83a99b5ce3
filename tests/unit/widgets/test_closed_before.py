"""What an explorer leaves: one sentence for the next one, and of several trained models one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ravl_explore.widgets.closed_before import still_offered, told_ending


def panel(mitigation: Any = None, running: bool = False, folder: str | None = None) -> Any:
    return SimpleNamespace(mitigation=mitigation, running=running, folder=folder)


@pytest.mark.parametrize(
    ("left", "searching", "found", "said"),
    [
        (panel(), False, False, ""),
        (panel(), False, True, "closed with its results."),
        (panel(), True, True, "closed, its search stopped."),
        (panel("a model"), True, True, "closed; what it trained last is explorer.earlier.model."),
        (
            panel("a model", running=True),
            False,
            True,
            "closed, its training stopped: what was trained becomes explorer.earlier.model.",
        ),
        (
            panel(running=True, folder="runs/1"),
            False,
            True,
            "explorer.earlier.model. Started again with the run folder runs/1, it goes on.",
        ),
    ],
)
def test_the_most_that_was_done_is_told(left: Any, searching: bool, found: bool, said: str) -> None:
    told = told_ending(left, searching, found)
    assert told.endswith(said) and bool(told) == bool(said)


def test_of_several_models_the_newest_stays() -> None:
    old, older, none = panel("old"), panel("older"), panel()
    new = panel("new")
    assert still_offered(new, False, (old, older, none)) == (new,)
    assert (new.mitigation, old.mitigation, older.mitigation) == ("new", None, None)


def test_a_training_that_may_still_give_a_model_does_not_cost_the_one_before() -> None:
    old, new = panel("old"), panel()
    assert still_offered(new, True, (old,)) == (new, old) and old.mitigation == "old"
    assert still_offered(new, False, (old,)) == (old,)
    assert still_offered(new, False, ()) == ()
