"""of_other_searches(): which result files in a folder are of another search, by the mark that each of them tells."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ravl_explore.report.tables import CLUSTERS, REGIONS, REPORT, SAVED, SEARCH, SETTINGS


def of_other_searches(folder: Path, mark: str) -> list[str]:
    """Which result files in a folder say that they are of another search; one that says nothing is let pass."""
    return [name for name, read in _MARKS.items() if _mark_in(folder / name, read) not in (None, mark)]


def _mark_in(path: Path, read: Callable[[Path], str | None]) -> str | None:
    try:
        return read(path)
    except (OSError, ValueError, AttributeError, RecursionError, SafetensorError):  # not there, or not ours
        return None


def _mark_in_table(path: Path) -> str | None:
    try:
        import pyarrow.parquet
    except ImportError:  # what cannot be read is not told of
        return None
    mark = (pyarrow.parquet.read_schema(path).metadata or {}).get(SEARCH.encode())
    return None if mark is None else mark.decode()


def _mark_in_settings(path: Path) -> str | None:
    return json.loads(path.read_text(encoding="utf-8")).get(SEARCH)


def _mark_in_report(path: Path) -> str | None:
    found = re.search(rf"<dt>{SEARCH}</dt><dd>(\w+)</dd>", path.read_text(encoding="utf-8"))
    return None if found is None else found[1]


def _mark_in_saved(path: Path) -> str | None:
    with safe_open(str(path), framework="numpy") as file:
        return json.loads((file.metadata() or {}).get("meta", "{}")).get(SEARCH)


_MARKS: dict[str, Callable[[Path], str | None]] = {
    CLUSTERS: _mark_in_table,
    REGIONS: _mark_in_table,
    SETTINGS: _mark_in_settings,
    REPORT: _mark_in_report,
    SAVED: _mark_in_saved,
}
