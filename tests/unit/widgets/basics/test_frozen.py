"""Frozen: what the page will say once the kernel is gone is true whenever that happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ravl_explore.experiments import experiment as experiment_module
from ravl_explore.plots.layout import pca_layout
from ravl_explore.widgets import Explorer
from ravl_explore.widgets.basics.frozen import Frozen
from ravl_explore.widgets.findings import discovery as findings_module
from ravl_explore.widgets.mitigation import training_loop as loop_module

SECONDS = 60.0


@pytest.fixture
def searched(model: Any, make_data: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Explorer:
    monkeypatch.setenv("RAVL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(findings_module, "umap_layout", lambda region, **_: pca_layout(region))
    explorer = Explorer(model=model, data=make_data(24), train_data=make_data(24, 1), test_data=make_data(30, 2))
    explorer.panel.form.epochs.value, explorer.panel.form.batch_size.value = 1, 8
    explorer.run()
    explorer.wait()
    return explorer


@pytest.mark.parametrize("folder", ["", "runs/one"])
def test_during_and_after_a_training(
    searched: Explorer, folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    explorer, there, go_on = searched, threading.Event(), threading.Event()
    report = loop_module.report

    def slowly(progress: Any, done: int, total: int, stage: str) -> None:
        if stage == "Fine-tuning" and done == 1:
            there.set()
            go_on.wait(SECONDS)
        report(progress, done, total, stage)

    monkeypatch.setattr(loop_module, "report", slowly)
    path = str(tmp_path / folder) if folder else ""
    explorer.panel.details.folder.value = path
    assert explorer.frozen.kept == explorer.panel.frozen.kept == "", "nothing to lose yet"
    explorer.panel.start()
    assert there.wait(SECONDS)
    during = explorer.frozen.kept
    go_on.set()
    explorer.wait()
    after = explorer.frozen.kept
    assert explorer.mitigation is not None
    if folder:
        assert during.endswith(f"started again with the run folder {path}.")
        assert after == f"What was trained last is in the run folder {path}."
    else:
        assert during == "The training that ran is lost, for it had no run folder."
        assert after == "What was trained is lost, for it had no run folder."


def test_a_training_that_never_began_loses_nothing(searched: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(experiment_module, "begin", broken)
    searched.panel.start()
    searched.wait()
    assert searched.frozen.kept == "" and "Unexpected RuntimeError: no" in searched.panel.message.text


def test_what_the_last_training_left() -> None:
    frozen = Frozen()
    for anything, folder, said in (
        (True, None, "What was trained is lost, for it had no run folder."),
        (True, "runs/one", "What was trained last is in the run folder runs/one."),
        (False, "runs/one", ""),
        (False, None, ""),
    ):
        frozen.trained(anything, folder)
        assert frozen.kept == said


def test_a_folder_cannot_break_the_line() -> None:
    frozen = Frozen()
    frozen.training("a\n\x1b[31mb")
    assert frozen.kept.endswith("the run folder a \\x1b[31mb.")
