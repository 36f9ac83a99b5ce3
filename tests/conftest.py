"""Settings for every test: the order of the run, and the folders that tests use."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
BROWSER_TESTS = REPOSITORY / "tests" / "ui"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests go last.

    They are the slowest, and Playwright's synchronous API leaves an event loop running in the main thread until it is
    stopped at the end of the session; ``asyncio.run`` in a later test would fail.
    """
    items.sort(key=lambda item: BROWSER_TESTS in item.path.parents)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the clone."""
    return REPOSITORY
