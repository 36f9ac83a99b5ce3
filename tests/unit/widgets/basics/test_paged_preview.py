"""PagedPreview: the page asked for last is shown, and the arrows lead to the pages there are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ravl_explore.errors import DataError
from ravl_explore.support.progress import Progress
from ravl_explore.widgets.basics.job import Job
from ravl_explore.widgets.basics.paged_preview import Drawn, PagedPreview


class Numbers(PagedPreview[int]):
    """Shows the number of a page; of some it fails."""

    def __init__(self, n_images: int, bad: tuple[int, ...] = (), wait: Callable[[int], Any] = lambda number: None):
        self.n_images, self.bad, self.wait_for = n_images, bad, wait
        super().__init__()

    def _start(self) -> Job:
        number = self._number

        def work(progress: Progress) -> Drawn[int]:
            self.wait_for(number)
            if number in self.bad:
                raise DataError("a page", f"<b>{number}</b>", "Turn it.")
            return Drawn(number, f"<p>{number}</p>", f"Page {number}.", self.n_images)

        return self._draw(work)


def ended(job: Job | None) -> None:
    assert job is not None and job.wait(30)


def state(preview: Numbers) -> tuple[Any, ...]:
    return preview.page, preview._images.value, preview._back.disabled, preview._next.disabled


@pytest.fixture
def three() -> Numbers:
    return Numbers(18)


def test_before_the_first_page_there_is_nothing_to_turn_to(three: Numbers) -> None:
    assert three.turn(1) is None and state(three) == (None, "", True, True)


def test_the_arrows_lead_from_the_first_page_to_the_last(three: Numbers) -> None:
    ended(three._start())
    assert state(three) == (0, "<p>0</p>", True, False) and three.message.text == "Page 0."
    for button, expected in (
        (three._next, (1, "<p>1</p>", False, False)),
        (three._next, (2, "<p>2</p>", False, True)),
        (three._back, (1, "<p>1</p>", False, False)),
    ):
        button.click()
        ended(three._latest.job)
        assert state(three) == expected
    ended(three.turn(9))
    assert three.page == 2
    ended(three.turn(-9))
    assert three.page == 0


def test_a_page_that_fails_is_told_and_the_others_can_be_turned_to() -> None:
    preview = Numbers(18, bad=(1,))
    ended(preview._start())
    ended(preview.turn(1))
    assert state(preview) == (None, "", False, False)
    assert preview.message.text == "Expected a page, got <b>1</b>. Turn it." and "<b>" not in preview.message.value
    ended(preview.turn(1))
    assert preview.page == 2 and preview.message.text == "Page 2."


def test_a_page_that_is_overtaken_is_not_shown() -> None:
    go = threading.Event()
    preview = Numbers(18, wait=lambda number: go.wait(30) if number == 1 else None)
    ended(preview._start())
    slow = preview.turn(1)
    assert preview.message.text == "Looking …"
    ended(preview.turn(1))
    go.set()
    ended(slow)
    assert state(preview) == (2, "<p>2</p>", False, True)


def test_fail_drops_the_page_and_what_is_still_drawn(three: Numbers) -> None:
    ended(three._start())
    go = threading.Event()
    three.wait_for = lambda number: go.wait(30)
    late = three.turn(1)
    three.fail(DataError("a folder", "none", "Type it."))
    go.set()
    ended(late)
    assert state(three) == (None, "", True, True) and three.message.text == "Expected a folder, got none. Type it."
    assert three.turn(1) is None
