"""Files that 0.1.0 wrote open with what they held, or say which version wrote them and what to do.

They were made with that version's verbs on the tests' own pictures and a CLIP of 28,000 random weights, see
``files_of_0_1_0/told.json`` for what it told of them then.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ravl_explore as rx
from ravl_explore import models, objectives
from ravl_explore.errors import StorageError

FILES = Path(__file__).parents[1] / "files_of_0_1_0"


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return json.loads((FILES / "told.json").read_text())


@pytest.fixture(scope="module")
def trained() -> Any:
    return models.Checkpoint(FILES / "mitigation.safetensors")


def same(frame: pd.DataFrame, told: dict[str, Any], *, beside: tuple[str, ...] = ()) -> None:
    """The frame holds in every column what was told, but for the columns ``beside``."""
    before = pd.DataFrame(told["data"], columns=told["columns"]).drop(columns=list(beside))
    now = json.loads(frame[list(before)].to_json(orient="split"))
    pd.testing.assert_frame_equal(pd.DataFrame(now["data"], columns=now["columns"]), before, check_dtype=False)


def test_a_discovery_opens_and_can_be_gone_on_with(told: dict[str, Any], trained: Any, make_data: Callable) -> None:
    discovery = rx.load(FILES / "discovery.safetensors")
    same(discovery.frame(), told["discovery"])
    feature = discovery.choose(0)
    marked = rx.assign(discovery.scores.embeddings, feature)
    assert np.array_equal(marked.spurious, discovery.clustering.labels == 0)
    data = make_data(24, seed=1)
    assert len(rx.assign(rx.embed(trained, discovery.scores.embeddings.of(data)), feature).spurious) == 4 * 24


def test_embeddings_open(make_data: Callable[..., Any]) -> None:
    embeddings = rx.load(FILES / "embeddings.safetensors")
    assert embeddings.image.shape == (24, 16) and embeddings.region.shape == (96, 16)
    assert embeddings.of(make_data(24, seed=1)).name == "pictures"
    assert embeddings.annotations.feature_name is None, "0.1.0 stored none"


def test_a_trained_model_opens(told: dict[str, Any], trained: Any, make_data: Callable[..., Any]) -> None:
    image = rx.embed(trained, make_data(36, seed=2)).image[:2]
    np.testing.assert_allclose(image, told["trained"], atol=1e-5)


def test_a_steered_model_opens_beside_its_own(told: dict[str, Any], trained: Any, make_data: Callable) -> None:
    steered = rx.load(FILES / "projection.safetensors", model=trained)
    np.testing.assert_allclose(rx.embed(steered, make_data(36, seed=2)).image[:2], told["steered"], atol=1e-5)


def test_runs_open(told: dict[str, Any]) -> None:
    runs = rx.load(FILES / "runs.json")
    same(runs.frame(), told["runs"], beside=("options", "settings"))
    assert runs.cautions == (), "0.1.0 stored none"


def test_a_run_folder_says_who_wrote_it(trained: Any, make_data: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(FILES / "run", folder)
    data, feature = make_data(24, seed=1), rx.load(FILES / "discovery.safetensors").choose(0)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StorageError, match=r"ravl_explore 0\.1\.0"):
        rx.mitigate(trained, data, feature, objectives.Standard(), epochs=1, learning_rate=1e-4, folder=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in before} == before


def test_a_grid_folder_says_who_wrote_it(trained: Any, make_data: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "grid"
    shutil.copytree(FILES / "grid", folder)
    data, test = make_data(24, seed=1), make_data(36, seed=2)
    feature = rx.load(FILES / "discovery.safetensors").choose(0)
    rx.run_all(trained, data, feature, test, objectives=[objectives.Projection()], seeds=[0], folder=folder)
