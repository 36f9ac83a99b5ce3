"""README's figures are those of the stored benchmark results, and these reach what the project promises."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pandas as pd
import pytest

from ravl_explore.experiments.grid import every_objective

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests" / "benchmarks" / "results"


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return json.loads((RESULTS / "mitigation.json").read_text())


def test_tables_are_those_of_the_stored_results(rows: list[dict]) -> None:
    markdown = runpy.run_path(str(ROOT / "tests" / "benchmarks" / "mitigation.py"))["markdown"]
    assert markdown(rows) in (ROOT / "README.md").read_text()
    of_vit = markdown(json.loads((RESULTS / "mitigation_vit.json").read_text()))
    assert of_vit in (ROOT / "README.md").read_text()
    notebook = json.loads((ROOT / "notebooks" / "03_mitigation_side_by_side.ipynb").read_text())
    assert any(of_vit in "".join(cell["source"]) for cell in notebook["cells"])


def test_promises_hold_in_the_mean_over_three_seeds(rows: list[dict]) -> None:
    frame = pd.DataFrame(rows)
    without_steps = ["Shift by group, no training", "Projection, no training"]  # a seed changes nothing
    ends = ["clean model, for reference", "spurious model, before"]
    assert frame.groupby("method")["seed"].nunique().drop(ends + without_steps).min() >= 3
    assert set(frame["method"]) == {*ends, *every_objective()}, "all that the menu offers"
    mean = frame.groupby("method").mean(numeric_only=True)
    start, ours = mean.loc["spurious model, before"], mean.loc["Counterfactual regions"]
    assert start[["shortcut ε1", "shortcut ε2"]].min() >= 40
    assert ours[["shortcut ε1", "shortcut ε2"]].max() <= 10
    upsampled, both = mean.loc["Upsampled fine-tuning"], mean.loc["Counterfactual regions + RaVL"]
    assert ours["image worst group"] >= upsampled["image worst group"] + 15
    assert mean.loc["RaVL, region-aware", "region worst group"] >= start["region worst group"] + 15
    assert both["image worst group"] >= upsampled["image worst group"] * 1.3  # the paper's: 1.08
    assert both["region worst group"] >= upsampled["region worst group"] * 2  # the paper's: 1.11
    assert both[["shortcut ε1", "shortcut ε2"]].max() <= 10


def test_cft_moves_relevance_and_keeps_accuracy_within_a_point() -> None:
    frame = pd.DataFrame(json.loads((RESULTS / "concept_guided.json").read_text()))
    assert frame.groupby("method")["seed"].nunique()["CFT"] >= 3
    mean = frame.groupby("method").mean(numeric_only=True)
    change = mean.loc["CFT"] - mean.loc["spurious model, before"]
    assert change[["prediction mIoU", "label mIoU"]].min() > 0
    assert change["image accuracy"] >= -1
    text = (ROOT / "README.md").read_text()
    assert f"{mean.loc['CFT', 'prediction mIoU']:.1f} ±" in text and f"{mean.loc['CFT', 'label mIoU']:.1f} ±" in text


def test_core_regions_are_found_better_than_by_similarity_alone() -> None:
    rows = json.loads((RESULTS / "cores.json").read_text())
    assert all(each["core"] > each["similarity alone"] for each in rows)
    text = (ROOT / "README.md").read_text()
    assert all(f"{each[name]:.1f}%" in text for each in rows for name in ("core", "similarity alone"))
