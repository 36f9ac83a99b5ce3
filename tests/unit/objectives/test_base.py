"""What an objective may have beside what it must: asked for in one place, with a default."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ravl_explore.errors import InputError
from ravl_explore.objectives import CounterfactualRegions, Standard, Upsampled, VlGdro
from ravl_explore.objectives.base import (
    REQUIRED,
    check_objective,
    equal_captions_of,
    restore_state,
    state_of,
)
from tests.unit.objectives.cases import embedded, random_batch, start_of


class Bare(SimpleNamespace):
    """An objective with what it must have and nothing else."""

    def __call__(self, *_: Any) -> dict[str, Tensor]:
        return {}


def bare(**more: Any) -> Any:
    return Bare(**dict.fromkeys(REQUIRED[:-1], None), **more)


def test_what_remembers_nothing_needs_not_say_so() -> None:
    assert state_of(bare()) == {} and state_of(Standard()) == {}
    restore_state(bare(), {"log_q": torch.zeros(1)})
    assert equal_captions_of(bare()) == "negatives"
    assert equal_captions_of(Upsampled("positives")) == "positives"


@pytest.mark.parametrize("objective", [VlGdro(rate=1.0), CounterfactualRegions(0.0, VlGdro(rate=1.0))])
def test_what_a_run_remembers_goes_into_another(objective: Any) -> None:
    batch = random_batch()
    run, other = objective.begin(start_of(batch)), objective.begin(start_of(batch))
    run(*embedded(batch), batch)
    kept = {name: value.clone() for name, value in state_of(run).items()}
    assert list(kept) == ["log_q"] and not torch.equal(kept["log_q"], state_of(other)["log_q"])
    restore_state(other, kept)
    assert torch.equal(state_of(other)["log_q"], kept["log_q"])


@pytest.mark.parametrize(("has", "lacks"), [("state", "restore"), ("restore", "state")])
def test_half_a_memory_is_refused(has: str, lacks: str) -> None:
    check_objective(bare())
    check_objective(bare(state=dict, restore=print))
    with pytest.raises(InputError, match=rf"objective with state\(\) and restore\(\), or neither.*Write {lacks}\(\)"):
        check_objective(bare(**{has: print}))
