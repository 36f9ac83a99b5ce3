"""The best validated weights are kept, and patience runs out after so many validations that were no better."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravl_explore.errors import InputError
from ravl_explore.training import TrainingSettings
from ravl_explore.training.best_weights import Patience


def test_patience_runs_out_and_the_best_weights_are_those_of_then() -> None:
    visual, patience = nn.Linear(1, 1, bias=False), Patience(TrainingSettings(patience=2, monitor="accuracy"))
    stops = []
    for step, accuracy in enumerate([0.5, 0.7, 0.7, None, 0.6], start=1):
        with torch.no_grad():
            visual.weight.fill_(step)
        stops.append(patience.runs_out(step, {} if accuracy is None else {"accuracy": accuracy}, visual))
    assert stops == [False, False, False, False, True] and patience.waited == 2
    assert patience.best is not None and (patience.best.step, patience.best.value) == (2, 0.7)
    assert patience.best.weights["weight"].item() == 2, "not those of a later step"


def test_without_patience_nothing_is_kept() -> None:
    patience = Patience(TrainingSettings())
    assert not patience.runs_out(1, {"worst_group": 0.5}, nn.Linear(1, 1)) and patience.best is None


def test_there_must_be_something_to_go_by() -> None:
    patience = Patience(TrainingSettings(patience=1))
    for measured in ({"accuracy": 1.0}, {"worst_group": float("nan")}):
        with pytest.raises(InputError, match="a worst_group of the validation images to go by"):
            patience.runs_out(1, measured, nn.Linear(1, 1))
