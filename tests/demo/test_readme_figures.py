"""README's figures are those of the stored benchmark results, and these reach what the project promises."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests" / "benchmarks" / "results"


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return json.loads((RESULTS / "mitigation.json").read_text())


def test_readme_shows_the_stored_table(rows: list[dict]) -> None:
    table = runpy.run_path(str(ROOT / "tests" / "benchmarks" / "mitigation.py"))["markdown"](rows)
    assert table in (ROOT / "README.md").read_text()


def test_promises_hold_in_the_mean_over_three_seeds(rows: list[dict]) -> None:
    frame = pd.DataFrame(rows)
    assert (
        frame.groupby("method")["seed"].nunique().drop(["clean, before fine-tuning", "spurious, where all start"]).min()
        >= 3
    )
    mean = frame.groupby("method").mean(numeric_only=True)
    start, ours = mean.loc["spurious, where all start"], mean.loc["counterfactual"]
    assert start[["shortcut ε1", "shortcut ε2"]].min() >= 40
    assert ours[["shortcut ε1", "shortcut ε2"]].max() <= 10
    assert ours["image worst group"] >= mean.loc["upsampled", "image worst group"] + 15
    assert mean.loc["ravl", "region worst group"] >= start["region worst group"] + 15
