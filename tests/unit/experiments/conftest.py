"""A small experiment, and what it trains and embeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ravl_explore.experiments import Experiment, Runs, embedded_once
from ravl_explore.experiments import experiment as experiment_module
from ravl_explore.regions import Grid
from tests.unit.experiments.cases import BEFORE, run

Make = Callable[..., Any]


@pytest.fixture
def runs() -> Runs:
    """Five runs of three objectives, made by hand."""
    return Runs(
        BEFORE,
        (
            run("one", 0, (10, 6, 4, 9)),
            run("two", 0, (9, 9, 8, 9)),
            run("one", 1, (10, 7, 7, 9)),
            run("free", None, (5, 5, 5, 5), complete=False),
            run("one", 2, (9, 6, 1, 10)),
        ),
    )


@pytest.fixture
def work(model: Any, make_data: Make, find_discovery: Make) -> tuple[Any, Any, Any, Any]:
    """Model, fine-tuning data, the last feature and test data; regions and groups are known."""
    test = make_data(42, seed=1)
    test.regions = Grid(2, 2)(test)
    test.region_labels = np.where(np.arange(4)[None] == 0, test.labels[:, None], -1).ravel()
    train = make_data(24)
    discovery = find_discovery(train)
    return model, train, discovery.choose(discovery.clusters[-1]), test


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(objective, seed) of every training of any experiment."""
    found: list[tuple[str, int]] = []
    begin = Experiment.begin

    def count(self: Experiment, objective: Any, settings: Any, **more: Any) -> Any:
        found.append((objective.name, settings.seed))
        return begin(self, objective, settings, **more)

    monkeypatch.setattr(Experiment, "begin", count)
    return found


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """(model, dataset) of every embedding of any experiment."""
    found: list[tuple[Any, Any]] = []
    embed = embedded_once.embed

    def count(model: Any, data: Any, *rest: Any, **more: Any) -> Any:
        found.append((model, data))
        return embed(model, data, *rest, **more)

    for module in (embedded_once, experiment_module):
        monkeypatch.setattr(module, "embed", count)
    return found
