"""Settings for every test: the order of the run, how it is shared out, and the folders that tests use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
BROWSER_TESTS = REPOSITORY / "tests" / "ui"


LONGEST = ("tests/demo", "tests/test_quality.py", "tests/test_notebooks.py")

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: two processes with a thread a core each get in each
    # other's way, and take several times as long


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest go first, and each file stays on one worker; all that drive the browser on the same one."""
    items.sort(key=_rank)
    for item in items:
        in_browser = BROWSER_TESTS in item.path.parents
        item.add_marker(pytest.mark.xdist_group("browser" if in_browser else str(item.path)))


def _rank(item: pytest.Item) -> int:
    if BROWSER_TESTS in item.path.parents:
        return 0
    inside = item.path.relative_to(REPOSITORY).as_posix()
    return 1 if inside.startswith(LONGEST) else 2


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the clone."""
    return REPOSITORY
