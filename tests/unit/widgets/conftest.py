"""What every widget test needs: widgets are closed when their test ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ipywidgets.widgets.widget import _instances

from ravl_explore.widgets.basics import job as job_module


@pytest.fixture(autouse=True)
def close_widgets() -> Iterator[None]:
    """No figure's timer and no job outlives its test."""
    before = set(_instances)
    yield
    for name, widget in list(_instances.items()):
        if name not in before:
            widget.close()
    for job in tuple(job_module._running):  # a thread that computes while Python ends would abort the process
        job.cancel()
        job.wait(30)
