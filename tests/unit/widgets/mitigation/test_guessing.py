"""A model that may as well guess: said where its accuracy stands, and training it is asked for once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravl_explore import data as data_sources
from ravl_explore import models
from ravl_explore.data import ArrayDataset
from ravl_explore.discovery import Discovery
from ravl_explore.discovery.search import Search
from ravl_explore.plots.layout import pca_layout
from ravl_explore.widgets import Explorer, MitigationPanel
from ravl_explore.widgets.findings import discovery as findings_module
from ravl_explore.widgets.search.summary import summary

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick_layout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAVL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(findings_module, "umap_layout", lambda region, **_: pca_layout(region))


def garments(shuffled: bool) -> ArrayDataset:
    demo = data_sources.Demo("val")
    index = np.arange(0, len(demo), max(1, len(demo) // 100))
    labels = demo.labels[index]
    if shuffled:
        labels = np.random.default_rng(1).permutation(labels)
    return ArrayDataset(np.stack([demo.image(int(i)) for i in index]), labels.tolist(), demo.class_names)


def test_a_model_that_guesses_is_told_and_training_it_is_asked_once_more() -> None:
    explorer = Explorer(model=models.Demo("spurious"), data=garments(True))
    explorer.run()
    explorer.wait()
    panel, found = explorer.panel, explorer.discovery
    assert found is not None and found.scores.doubt and found.features
    assert f"right. {found.scores.doubt}" in explorer.message.text and "warn-color" in explorer.message.value
    form = panel.form
    form.features.value = (found.features[0].cluster,)
    form.confirmed.value = True
    assert form.guesses and panel.buttons.start.disabled and "may as well guess" in panel.buttons.start.tooltip
    form.despite.value = True
    assert not panel.buttons.start.disabled and panel.buttons.start.tooltip == ""

    # a model that knows something is not asked for twice, and an answer is that of one search
    explorer.data.offer(garments(False), "sorted out")
    explorer.run()
    explorer.wait()
    assert "right. Guessing gives" in explorer.message.text and "warn-color" not in explorer.message.value
    assert not form.guesses and not form.despite.value
    found = explorer.discovery
    assert found is not None and not found.scores.doubt
    if found.features:
        form.features.value, form.confirmed.value = (found.features[0].cluster,), True
        assert not panel.buttons.start.disabled


def test_other_clusters_do_not_take_the_answer_back(make_discovery: Make, model: Any, make_data: Make) -> None:
    panel = MitigationPanel()
    found = made_to_guess(make_discovery())
    data: Any = make_data(len(found.scores.embeddings.labels))
    panel.offer(model, data, lambda _: None, found)  # type: ignore[arg-type]
    panel.form.despite.value = True
    panel.form.features.value = ()
    assert panel.form.guesses and panel.form.despite.value
    panel.offer(model, data, lambda _: None, found)  # type: ignore[arg-type]
    assert not panel.form.despite.value, "another search is another question"


def made_to_guess(found: Discovery) -> Discovery:
    scores, labels = found.scores, found.scores.embeddings.labels
    image = np.zeros_like(scores.image)
    image[np.arange(len(labels)), np.random.default_rng(0).permutation(labels)] = 1.0
    return replace(found, scores=replace(scores, image=image))


@pytest.mark.parametrize(("n_real", "said"), [(1, "1 of 3 clusters is suspect"), (2, "2 of 3 clusters are suspect")])
def test_one_is_and_two_are(make_discovery: Make, n_real: int, said: str) -> None:
    found = make_discovery(n_clusters=3)
    kept = [replace(each, kept=at < n_real, q_value=0.01) for at, each in enumerate(found.clusters)]
    text = summary(Search(replace(found, clusters=tuple(kept)), None))  # type: ignore[arg-type]
    assert said in text
