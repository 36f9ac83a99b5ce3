"""Result files that say that they are of another search."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ravl_explore.report.marks import of_other_searches
from ravl_explore.report.tables import CLUSTERS, REGIONS, REPORT, SEARCH, SETTINGS, as_json


def test_files_of_another_search_are_named_and_those_that_say_nothing_let_pass(tmp_path: Path) -> None:
    assert of_other_searches(tmp_path, "mine") == []
    for name, mark in ((CLUSTERS, "mine"), (REGIONS, "another")):
        pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({SEARCH: mark}), tmp_path / name)
    (tmp_path / SETTINGS).write_text(as_json({"seed": 1}))
    (tmp_path / REPORT).write_text(f"<dt>{SEARCH}</dt><dd>other</dd>", encoding="utf-8")
    assert of_other_searches(tmp_path, "mine") == [REGIONS, REPORT]
    assert of_other_searches(tmp_path, "another") == [CLUSTERS, REPORT]
    (tmp_path / SETTINGS).write_text(as_json({SEARCH: "other"}))
    (tmp_path / REPORT).write_text("no mark here", encoding="utf-8")
    assert of_other_searches(tmp_path, "mine") == [REGIONS, SETTINGS]
