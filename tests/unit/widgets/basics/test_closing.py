"""Closing: nothing that was closed stays in memory, and a cell that is run again closes what it made before."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances

from ravl_explore import data as data_sources
from ravl_explore import models, widgets
from ravl_explore.data import ArrayDataset
from ravl_explore.plots.layout import pca_layout
from ravl_explore.widgets import explorer as explorer_module
from ravl_explore.widgets.basics import closing as closing_module
from ravl_explore.widgets.basics.closing import Closing, close_earlier, parts_of
from ravl_explore.widgets.basics.job import Job
from ravl_explore.widgets.basics.menus import PartMenu, choices
from ravl_explore.widgets.findings import discovery as findings_module
from ravl_explore.widgets.mitigation import training_loop as loop_module

Make = Callable[..., Any]
SECONDS = 60.0
NEEDS = {"CropGallery": lambda: _Nothing()}  # what a widget cannot be made without


class _Nothing:
    def crop(self, region: int, size: int) -> bytes: ...  # type: ignore[empty-body]
    def image(self, region: int, size: int) -> Any: ...
    def describe(self, region: int) -> Any: ...


@pytest.fixture(autouse=True)
def quick_layout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAVL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(findings_module, "umap_layout", lambda region, **_: pca_layout(region))


@pytest.fixture
def data(make_data: Make) -> Any:
    return make_data(24)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """``cell(name, run)``: what is made from now on is made by that run of that cell."""
    now: list[Any] = [None]
    monkeypatch.setattr(closing_module, "this_run", lambda: now[0])

    def run(name: str, number: str) -> None:
        now[0] = (name, number)

    return run


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def dead(refs: list[weakref.ref[Any]]) -> bool:
    gc.collect()
    return all(ref() is None for ref in refs)


def searched(model: Any, data: Any, make_data: Make) -> widgets.Explorer:
    explorer = widgets.Explorer(model=model, data=data, train_data=make_data(24, 1), test_data=make_data(30, 2))
    explorer.panel.form.epochs.value, explorer.panel.form.batch_size.value = 1, 8
    explorer.run()
    explorer.wait()
    assert explorer.discovery is not None, explorer.message.text
    return explorer


def held_up(monkeypatch: pytest.MonkeyPatch, step: int) -> tuple[threading.Event, threading.Event]:
    """Training of any panel waits at a step: (it is there, let it go on)."""
    there, go_on = threading.Event(), threading.Event()
    report = loop_module.report

    def slowly(progress: Any, done: int, total: int, stage: str) -> None:
        if stage == "Fine-tuning" and done == step:
            there.set()
            go_on.wait(SECONDS)
        report(progress, done, total, stage)

    monkeypatch.setattr(loop_module, "report", slowly)
    return there, go_on


class TestClose:
    @pytest.mark.parametrize("name", widgets.__all__)
    def test_nothing_of_a_closed_widget_is_left(self, name: str) -> None:
        before, needs = set(_instances), NEEDS.get(name)
        made = getattr(widgets, name)(*([] if needs is None else [needs()]))
        ref = weakref.ref(made)
        assert len(_instances) > len(before)
        made.close()
        assert set(_instances) <= before and made.closed
        del made
        assert dead([ref])

    def test_model_and_images_of_a_closed_explorer_can_be_collected(self) -> None:
        before, refs = len(_instances), []
        for _ in range(2):
            model = models.Demo("spurious")
            images = ArrayDataset(np.zeros((8, 64, 64, 3), np.uint8), np.arange(8) % 2, ["a", "b"])
            explorer = widgets.Explorer(model=model, data=images)
            refs += [weakref.ref(each) for each in (model, images, explorer)]
            explorer.close()
            del explorer, model, images
        assert dead(refs) and len(_instances) == before

    def test_after_a_search_and_a_training_too_though_the_notebook_holds_the_explorer(self) -> None:
        before = set(_instances)
        model, data = models.Demo("spurious"), demo_part()
        explorer = widgets.Explorer(model=model, data=data, train_data=data, test_data=data)
        explorer.run()
        explorer.wait()
        assert explorer.discovery is not None
        explorer.panel.form.epochs.value = 1
        explorer.panel.start()
        explorer.wait()
        trained = explorer.mitigation
        assert trained is not None and explorer.runs is not None
        for pane in range(3):
            explorer.outcome.tabs.selected_index = pane
        refs = [weakref.ref(model), weakref.ref(data), weakref.ref(explorer.discovery)]
        explorer.close()
        del model, data
        assert dead(refs), "as in Out[1], which keeps the explorer"
        assert explorer.mitigation is trained and explorer.discovery is None
        assert set(_instances) <= before
        explorer.close()  # twice is once

    def test_what_is_not_on_show_is_closed_too(self) -> None:
        before = set(_instances)
        menu = PartMenu("Images", choices(data_sources))
        for label in menu.menu.options:
            menu.menu.value = label  # each makes its form, and hides the one before
        menu.close()
        assert set(_instances) <= before

    def test_layouts_are_not_shared_between_explorers(self) -> None:
        one, other = widgets.MitigationPanel(), widgets.MitigationPanel()
        assert not {id(each) for each in parts_of(one)[0]} & {id(each) for each in parts_of(other)[0]}
        one.close()
        assert other.form.epochs.layout.comm is not None

    def test_a_search_that_runs_is_stopped_and_tells_nobody(self, model: Any, data: Any, monkeypatch: Any) -> None:
        before, go_on, ended = set(_instances), threading.Event(), threading.Event()

        def slow(*given: Any, progress: Any, **more: Any) -> None:
            go_on.wait(SECONDS)
            try:
                explorer_module.report(progress, 1, 2, "Embedding")
            finally:
                ended.set()

        monkeypatch.setattr(explorer_module, "search", slow)
        explorer = widgets.Explorer(model=model, data=data)
        job = explorer.run()
        until(lambda: explorer.model._cache is not None)
        explorer.close()
        go_on.set()
        assert job.wait(SECONDS) and ended.is_set()
        assert job.cancelled and job.result is None and set(_instances) <= before

    def test_a_training_that_runs_stops_at_its_step_and_what_it_trained_stays(
        self, model: Any, data: Any, make_data: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        explorer = searched(model, data, make_data)
        there, go_on = held_up(monkeypatch, 2)
        job = explorer.panel.start()
        assert there.wait(SECONDS)
        before = set(_instances)
        explorer.close()
        go_on.set()
        assert job.wait(SECONDS) and job.cancelled and job.error is None
        assert explorer.mitigation is not None and len(explorer.mitigation.history.records) == 2
        assert explorer.panel.finished is None, "it would hold the old model and the images"
        assert not set(_instances) - before

    def test_a_job_that_was_abandoned_keeps_no_result(self) -> None:
        go_on, told = threading.Event(), []
        job = Job(lambda _: go_on.wait(SECONDS) and "a model", on_end=told.append).start()
        job.abandon()
        go_on.set()
        assert job.wait(SECONDS) and job.result is None and not told


class TestCells:
    def test_a_cell_that_is_run_again_closes_what_it_made(self, cell: Make) -> None:
        cell("a", "1")
        explorer, table = widgets.Explorer(), widgets.RunsWidget()
        cell("b", "2")
        other = widgets.Explorer()
        cell("a", "3")
        again, beside = widgets.Explorer(), widgets.Explorer()
        assert explorer.closed and table.closed
        assert not (other.closed or again.closed or beside.closed), "two of one run, and another cell's"

    @pytest.mark.parametrize("name", widgets.__all__)
    def test_so_does_every_widget(self, cell: Make, name: str) -> None:
        needs = NEEDS.get(name)

        def make() -> Closing:
            return getattr(widgets, name)(*([] if needs is None else [needs()]))

        cell("a", "1")
        first = make()
        n = len(_instances)
        cell("a", "2")
        second = make()
        assert first.closed and not second.closed and len(_instances) == n

    def test_what_a_cell_put_into_the_widget_of_another_stays(self, cell: Make) -> None:
        cell("a", "1")
        box: Any = widgets.MitigationPanel()
        cell("b", "2")
        box.form.objective._forms["late"] = late = widgets.CachePanel()  # made while cell b ran
        cell("b", "3")
        widgets.RunsWidget()
        assert not late.closed

    def test_without_a_notebook_nothing_is_closed(self) -> None:
        first, second = widgets.CachePanel(), widgets.CachePanel()
        assert closing_module.this_run() is None and close_earlier() == []
        assert not (first.closed or second.closed)

    def test_nothing_is_said_where_nothing_was_done(self, cell: Make) -> None:
        cell("a", "1")
        hint = widgets.Explorer().message.text
        cell("a", "2")
        again = widgets.Explorer()
        assert again.message.text == hint and again.earlier is None

    def test_what_was_found_is_said_to_be_gone(self, cell: Make, model: Any, data: Any, make_data: Make) -> None:
        cell("a", "1")
        searched(model, data, make_data)
        cell("a", "2")
        again = widgets.Explorer()
        assert again.message.text.startswith("The explorer that this cell showed before was closed with its results.")

    def test_the_new_explorer_offers_what_the_old_one_had_trained(
        self, cell: Make, model: Any, data: Any, make_data: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        cell("a", "1")
        first = searched(model, data, make_data)
        first.panel.details.folder.value = str(tmp_path / "run <1>")
        there, go_on = held_up(monkeypatch, 1)
        job = first.panel.start()
        assert there.wait(SECONDS)
        cell("a", "2")
        second = widgets.Explorer()
        assert "its training stopped" in second.message.text and "run <1>" in second.message.text
        go_on.set()
        assert job.wait(SECONDS)
        trained = second.earlier
        assert trained is not None and len(trained.history.records) == 1
        cell("a", "3")
        assert widgets.Explorer().earlier is trained, "a third run of the cell does not lose it"
        assert first.closed and second.closed


def demo_part() -> ArrayDataset:
    demo = data_sources.Demo("val")
    index = range(0, len(demo), max(1, len(demo) // 60))
    return ArrayDataset(
        np.stack([demo.image(i) for i in index]), [int(demo.labels[i]) for i in index], demo.class_names
    )
