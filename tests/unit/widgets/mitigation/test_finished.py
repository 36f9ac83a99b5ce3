"""What is said when a training has ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ravl_explore.widgets.mitigation.finished import Finished

KEPT = "The new model is explorer.mitigation.model."


@pytest.mark.parametrize(
    ("n_steps", "complete", "best", "takes_steps", "notes", "said"),
    [
        (4, True, None, True, (), f"Done after 4 steps. {KEPT}"),
        (1, False, None, True, (), f"Stopped after 1 step. {KEPT}"),
        (4, True, 4, True, (), f"Done after 4 steps. {KEPT}"),
        (4, True, 2, True, ("Mind this.",), f"Done after 4 steps, the weights are those of step 2. {KEPT} Mind this."),
        (0, True, None, False, (), f"Done without a training step. {KEPT}"),
    ],
)
def test_the_ending_says_how_far_it_came_and_which_weights_it_has(
    n_steps: int, complete: bool, best: int | None, takes_steps: bool, notes: tuple[str, ...], said: str
) -> None:
    mitigation: Any = SimpleNamespace(
        history=SimpleNamespace(records=[None] * n_steps, best_step=best),
        complete=complete,
        objective=SimpleNamespace(takes_steps=takes_steps),
        notes=notes,
    )
    experiment: Any = None
    assert Finished(mitigation, experiment).ending == said
