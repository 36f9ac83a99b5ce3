"""DiscoveryWidget: whatever was looked at before, a click on a row, a point or a crop shows what it says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ravl_explore.plots.layout import pca_layout
from ravl_explore.widgets.findings import discovery as module
from ravl_explore.widgets.findings.discovery import DiscoveryWidget


@pytest.fixture
def view(make_discovery: Callable, make_data: Callable, monkeypatch: pytest.MonkeyPatch) -> DiscoveryWidget:
    monkeypatch.setattr(module, "cached_layout", lambda embeddings: pca_layout(embeddings.region))
    discovery = make_discovery(0, min_influence=0.0)
    embeddings = discovery.scores.embeddings
    data = make_data(60, labels=embeddings.labels, class_names=embeddings.class_names)
    return DiscoveryWidget(discovery, data)


def click_row(view: DiscoveryWidget, cluster: int) -> None:
    view.table._handle_custom_msg({"kind": "select", "row": cluster}, [])


def click_point(view: DiscoveryWidget, region: int) -> None:
    content = {"kind": "points", "event": "selected", "tool": "click", "outline": None}
    content["picture"] = view.map.figure.layout.meta
    view.map.figure._handle_custom_msg(content, [memoryview(np.array([region], np.int32))])


def click_crop(view: DiscoveryWidget, region: int) -> None:
    content = {"kind": "select", "region": region, "opened": True, "request": "v:1"}
    view.crops._handle_custom_msg(content, [])  # type: ignore[union-attr]


def seen(view: DiscoveryWidget) -> tuple[Any, ...]:
    crops = view.crops
    assert crops is not None
    title = crops.title.split(" ")[0]
    return view.table.selected, len(view.map.selection), view.map._marked, title, crops.total, crops.selected


def test_a_row_after_a_point_of_it(view: DiscoveryWidget) -> None:
    assert view.discovery is not None
    first = view.discovery.clusters[0]
    region = int(first.region_index[3])
    whole = (first.cluster, first.n_regions, None, "Cluster", first.n_regions, None)
    assert seen(view) == whole
    for _ in range(2):
        click_point(view, region)
        assert seen(view) == (first.cluster, 1, None, "Selected", 1, region)
        click_row(view, first.cluster)
        assert seen(view) == whole


def test_a_row_after_a_crop_of_it_and_a_crop_after_its_point(view: DiscoveryWidget) -> None:
    assert view.discovery is not None
    first = view.discovery.clusters[0]
    region = int(first.region_index[3])
    click_crop(view, region)
    assert seen(view) == (first.cluster, first.n_regions, region, "Cluster", first.n_regions, region)
    click_row(view, first.cluster)
    assert seen(view) == (first.cluster, first.n_regions, None, "Cluster", first.n_regions, None)
    click_point(view, region)
    click_crop(view, region)
    assert view.map._marked == region
    click_point(view, region)
    assert view.map._marked is None


def test_clearing_what_is_clear_empties_the_crops_all_the_same(view: DiscoveryWidget) -> None:
    view.map.clear()
    assert view.crops is not None
    view.crops.show([1, 2], "Something else")
    view.map._clear.click()
    assert view.crops.total == 0 and view.table.selected is None


def test_a_layout_that_comes_after_another_discovery_is_dropped(
    make_discovery: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, stored = threading.Event(), []
    first, second = make_discovery(0, min_influence=0.0), make_discovery(1, min_influence=0.0)

    def slow(region: np.ndarray, **_: Any) -> np.ndarray:
        if region is first.scores.embeddings.region:
            assert go.wait(30)
        return 2 * pca_layout(region)

    monkeypatch.setattr(module, "cached_layout", lambda embeddings: None)
    monkeypatch.setattr(module, "umap_layout", slow)
    monkeypatch.setattr(module, "store_layout", lambda embeddings, layout: stored.append(embeddings))
    view = DiscoveryWidget(first)
    late = view._umap.job
    view.show(second)
    assert view._umap.wait(30)
    go.set()
    assert late is not None and late.wait(30)
    np.testing.assert_allclose(view.map._xy, 2 * pca_layout(second.scores.embeddings.region))
    assert stored == [second.scores.embeddings] and view.message.text == ""
