"""SearchDetails: nothing is read while it is folded, and the open pane follows the menus."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ravl_explore.errors import DataError
from ravl_explore.regions import Grid, Random
from ravl_explore.widgets.basics.menus import Choice, PartMenu
from ravl_explore.widgets.search.search_details import CACHE, PROMPTS, REGIONS, SearchDetails

Make = Callable[..., Any]


@pytest.fixture
def built() -> list[str]:
    """What was built, in order."""
    return []


@pytest.fixture
def details(model: Any, make_data: Make, built: list[str], tmp_path: Path, monkeypatch: Any) -> SearchDetails:
    monkeypatch.setenv("RAVL_CACHE", str(tmp_path))

    def menu(label: str, **parts: Any) -> PartMenu:
        def maker(name: str, part: Any) -> Callable[[], Any]:
            def make() -> Any:
                built.append(name)
                if isinstance(part, Exception):
                    raise part
                return part

            return make

        return PartMenu(label, [Choice(name, maker(name, part)) for name, part in parts.items()])

    broken = DataError("a folder", "'<b>none</b>'", "Check the path.")
    return SearchDetails(
        menu("Model", model=model),
        menu("Images", data=make_data(12, templates=("a {}",)), other=make_data(24, 1), broken=broken),
        menu("Regions", grid=Grid(2, 2), random=Random(7)),
    )


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def test_folded_away_nothing_is_built(details: SearchDetails, built: list[str]) -> None:
    assert details.selected_index is None
    details._data.menu.value = "other"
    details.tabs.selected_index = PROMPTS
    assert built == [] and details.templates is None


def test_regions_follow_the_menus(details: SearchDetails, built: list[str]) -> None:
    details.selected_index = 0
    until(lambda: details.preview.message.text == "4 boxes per image. Images 1 to 6 of 12, drawn evenly.")
    assert "model" not in built
    details._proposer.menu.value = "random"
    until(lambda: details.preview.message.text == "7 boxes per image. Images 1 to 6 of 12, drawn evenly.")
    details._data.menu.value = "other"
    until(lambda: details.preview.message.text == "7 boxes per image. Images 1 to 6 of 24, drawn evenly.")
    details._data.menu.value = "broken"
    until(lambda: "<b>none</b>" in details.preview.message.text)
    assert details.preview.page is None


def test_prompts_follow_the_menus_and_are_what_a_search_uses(details: SearchDetails) -> None:
    details.tabs.selected_index, details.selected_index = PROMPTS, 0
    until(lambda: "on all 12 images" in details.prompts.result.text)
    assert details.templates is None
    details.prompts._text.value = "my {}"
    assert details.templates == ("my {}",)
    details._data.menu.value = "other"
    until(lambda: "on all 24 images" in details.prompts.result.text)
    assert details.templates == ("my {}",)
    details._data.menu.value = "broken"
    until(lambda: "<b>none</b>" in details.prompts.result.text)


def test_the_cache_is_listed_when_it_is_looked_at(
    details: SearchDetails, model: Any, make_data: Make, built: list[str]
) -> None:
    import ravl_explore as rx

    rx.embed(model, make_data(12), Grid(2, 2), cache=True)
    assert details.cache.entries == []
    details.selected_index, details.tabs.selected_index = 0, CACHE
    assert len(details.cache.entries) == 1
    rx.embed(model, make_data(24), Grid(2, 2), cache=True)
    details.refresh_cache()
    assert len(details.cache.entries) == 2


def test_a_pane_that_was_left_does_not_take_what_comes_late(details: SearchDetails) -> None:
    details.selected_index = 0
    until(lambda: details.preview.page is not None)
    assert details.tabs.selected_index == REGIONS
    details.tabs.selected_index = PROMPTS
    details.selected_index = None
    assert details._latest.job is None
