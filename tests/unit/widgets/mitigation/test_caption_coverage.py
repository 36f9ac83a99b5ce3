"""CaptionCoverage: the report says what captions give before training, and the labeller is what was reported on."""

from __future__ import annotations

import re
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from ravl_explore.captions import label
from ravl_explore.errors import DataError, InputError
from ravl_explore.widgets.mitigation.caption_coverage import CaptionCoverage
from ravl_explore.widgets.mitigation.caption_report import EXAMPLES, MOST_CLASSES

CAPTIONS = ("two cats", "a dog and a cat", "a hen <b>&</b> a dog", None, "a wooden table", "no dog here", "a puppy")


def captioned(*captions: str | None, classes: tuple[str, ...] = ("cat", "dog", "hen")) -> Any:
    return SimpleNamespace(class_names=classes, captions=captions)


def ticked(data: Any) -> CaptionCoverage:
    coverage = CaptionCoverage()
    coverage.offer(data)
    coverage.use.value = True
    assert coverage.wait(30)
    return coverage


def cells(coverage: CaptionCoverage) -> list[list[str]]:
    rows = re.findall(r"<tr>(<td.*?)</tr>", coverage._table.value)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]


def test_nothing_is_read_before_the_box_is_ticked() -> None:
    opened: list[int] = []

    def open_it() -> Any:
        opened.append(1)
        return captioned(*CAPTIONS)

    coverage = CaptionCoverage()
    assert coverage.use.disabled and coverage.labeller is None
    coverage.offer(open_it)
    assert not coverage.use.disabled and coverage.policy.disabled and coverage.labeller is None and not opened
    coverage.use.value = True
    assert coverage.wait(30) and opened == [1] and not coverage.policy.disabled
    coverage.policy.value = "first"
    assert coverage.wait(30) and opened == [1], "the same dataset is opened once"
    coverage.use.value = False
    assert coverage.labeller is None and coverage.report is None and coverage._table.value == ""


def test_report_says_what_the_captions_give() -> None:
    coverage = ticked(captioned(*CAPTIONS))
    assert coverage.message.text == (
        "1 of 7 captions (14%) give a label; 2 name several classes; 1 only deny classes; 2 name none; 1 are empty. "
        "No caption gives the class dog, hen: fine-tuning cannot see it."
    )
    assert cells(coverage) == [["cat", "1", "2", "1", "0"], ["dog", "0", "2", "2", "1"], ["hen", "0", "1", "1", "0"]]
    shown = coverage._table.value
    assert "2 captions name several classes" in shown and "1 caption only denies classes" in shown
    assert "image 2: a hen &lt;b&gt;&amp;&lt;/b&gt; a dog" in shown and "<b>" not in shown
    assert "wooden (1)" in shown


def test_the_labeller_is_that_of_the_report() -> None:
    data = captioned(*CAPTIONS)
    coverage = ticked(data)
    assert coverage.report is not None and coverage.labeller is not None
    assert label(data, coverage.labeller).labels.tolist() == coverage.report.labels.tolist()
    before = coverage.changes
    coverage.policy.value = "first"
    coverage.synonyms.value = True
    assert coverage.wait(30) and coverage.changes >= before + 3
    assert coverage.labeller.ambiguity == "first"
    assert label(data, coverage.labeller).labels.tolist() == [0, 1, 2, -1, -1, -1, 1]


def test_similar_needs_the_images_and_says_so() -> None:
    coverage = ticked(captioned("a dog and a cat", "a hen"))
    coverage.policy.value = "similar"
    assert coverage.wait(30) and coverage.labeller is not None and coverage.labeller.ambiguity == "similar"
    assert coverage.message.text.endswith("is chosen when training starts (1 more labels).")
    alone = ticked(captioned("a dog and a cat"))
    with pytest.raises(DataError, match="captions that name a class"):
        _ = alone.labeller
    alone.policy.value = "similar"
    assert alone.wait(30) and alone.labeller is not None


def test_captions_that_name_no_class_are_an_error_beside_the_report() -> None:
    coverage = ticked(captioned("a table", "a chair"))
    assert "Expected captions that name a class" in coverage.message.text and "alert" in coverage.message.value
    assert "table (1)" in coverage._table.value
    with pytest.raises(DataError, match="name none"):
        _ = coverage.labeller


def test_without_captions_the_box_cannot_be_ticked_but_unticked() -> None:
    coverage = CaptionCoverage()
    without = SimpleNamespace(class_names=("cat", "dog"), captions=None)
    coverage.offer(without)
    assert coverage.use.disabled and "has no captions" in coverage.message.text
    coverage.offer(captioned("a cat"))
    coverage.use.value = True
    coverage.offer(without)
    assert not coverage.use.disabled
    with pytest.raises(DataError, match="a dataset with captions"):
        _ = coverage.labeller
    coverage.use.value = False
    assert coverage.labeller is None and coverage.use.disabled
    coverage.offer(lambda: without)
    coverage.use.value = True
    assert coverage.wait(30)
    with pytest.raises(DataError, match="a dataset with captions"):
        _ = coverage.labeller
    coverage.offer(None)
    with pytest.raises(InputError, match="images with captions"):
        _ = coverage.labeller


def test_what_was_asked_for_last_counts() -> None:
    go, entered = threading.Event(), threading.Event()

    def slow() -> Any:
        entered.set()
        assert go.wait(30)
        return captioned("a cat", "a cat")

    coverage = CaptionCoverage()
    coverage.offer(slow)
    coverage.use.value = True
    assert entered.wait(30)
    with pytest.raises(InputError, match="still being made"):
        _ = coverage.labeller
    first = coverage._latest.job
    coverage.offer(captioned("a dog"))
    assert coverage.wait(30)
    go.set()
    assert first is not None and first.wait(30)
    assert coverage.report is not None and len(coverage.report) == 1


def test_what_opening_raises_is_shown_and_raised() -> None:
    def fail() -> Any:
        raise DataError("a folder", "<none>", "Check it.")

    coverage = ticked(fail)
    assert "&lt;none&gt;" in coverage.message.value
    with pytest.raises(DataError, match="a folder"):
        _ = coverage.labeller


def test_names_are_escaped_and_long_reports_cut() -> None:
    names = ("<script>cat</script>", *(f"class number {i}" for i in range(MOST_CLASSES + 10)))
    coverage = ticked(captioned("a" * 500 + " x", *["a hut"] * 9, "class number 1", classes=names))
    shown = coverage._table.value
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "and 11 more classes" in shown
    assert len(cells(coverage)) == MOST_CLASSES + 1
    assert "a" * 40 + " …" in shown and "a" * 161 not in shown
    assert f"10 captions name no class, {EXAMPLES} of them" in shown and shown.count("<li>") == EXAMPLES


def test_disabled_locks_every_answer() -> None:
    coverage = ticked(captioned("a cat"))
    coverage.disabled = True
    assert coverage.disabled and coverage.use.disabled and coverage.policy.disabled and coverage.synonyms.disabled
    coverage.disabled = False
    assert not coverage.use.disabled and not coverage.policy.disabled


def test_changes_are_told_when_the_report_is_there_and_nothing_is_locked() -> None:
    coverage, heard = CaptionCoverage(), []

    def ask(_: Any) -> None:
        asking = threading.Thread(target=lambda: heard.append(coverage.report is not None and coverage.labeller))
        asking.start()
        asking.join(10)

    coverage.offer(captioned("a cat", "a dog"))
    coverage.observe(ask, "changes")
    coverage.use.value = True
    assert coverage.wait(30) and heard[-1] and heard[-1] is coverage.labeller, "another thread could ask"
    coverage.observe(lambda _: 1 / 0, "changes")
    coverage.synonyms.value = True
    assert coverage.wait(30) and "ZeroDivisionError" in coverage.message.text
    assert coverage.labeller is not None, "whoever listens does not spoil the report"
