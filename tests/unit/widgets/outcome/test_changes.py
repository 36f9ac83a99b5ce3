"""ChangesGallery: exactly the images whose prediction changed sides, by class, with old and new prediction."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ravl_explore.comparison import Comparison, compare
from ravl_explore.errors import InputError
from ravl_explore.evaluation import Evaluation
from ravl_explore.metrics import group_accuracy
from ravl_explore.widgets.outcome.changes import ALL, ChangesGallery, ChangeSource

Make = Callable[..., Any]
NAMES = ("cat", "dog", "hen")


@pytest.fixture
def shown(make_data: Make) -> tuple[Comparison, Any]:
    """Image 3 (cat), 1 and 4 (dog) are fixed, 6 (cat) is broken; labels are i % 3."""
    data = make_data(30)
    old, new = data.labels.copy(), data.labels.copy()
    old[[1, 3, 4]] = [0, 2, 2]
    new[6] = 1
    old[8], new[8] = 0, 1  # wrong both times
    image = group_accuracy(new == data.labels, data.labels, np.zeros(30, bool), NAMES)
    before, after = (
        Evaluation(image, None, each, data.labels, NAMES, "m", data.name, None, None, None) for each in (old, new)
    )
    return compare(before, after), data


def listed(view: ChangesGallery) -> list[int]:
    return view.gallery._shown.index.tolist()


def test_nothing_is_offered_before_a_comparison() -> None:
    view = ChangesGallery()
    assert view.gallery.total == 0 and view.gallery.layout.display == "none"
    assert "Mitigate first" in view.summary.text


def test_fixed_and_broken_by_class(shown: Any) -> None:
    view = ChangesGallery(*shown)
    assert view.which.options == (("Fixed (3)", "fixed"), ("Broken (1)", "broken"))
    assert listed(view) == [3, 1, 4], "class by class"
    assert view.of_class.options == (("All classes (3)", ALL), ("dog (2)", 1), ("cat (1)", 0))
    view.of_class.value = 1
    assert listed(view) == [1, 4] and view.gallery.title == "right now, wrong before"
    view.which.value = "broken"
    assert listed(view) == [6] and view.of_class.value == ALL, "no dog is broken"
    assert "gets 3 right that the old one got wrong, and 1 wrong that the old one got right" in view.summary.text
    assert view.gallery.layout.display is None


def test_an_image_says_its_class_and_both_predictions(shown: Any) -> None:
    source = ChangeSource(*shown)
    facts = source.describe(3)
    assert facts["caption"] == "cat: hen → cat" and facts["prediction"] == "hen → cat" and facts["label"] == "cat"
    assert facts["correct"] and not source.describe(6)["correct"]
    data, box = source.image(3, 640)
    assert data.startswith(b"\x89PNG") and box == (0, 0, 1, 1)


def test_the_browser_gets_captions_and_no_box(shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    view = ChangesGallery(*shown)
    sent: list[Any] = []
    monkeypatch.setattr(view.gallery, "send", lambda content, buffers=None: sent.append((content, buffers)))
    view.gallery._on_message(view.gallery, {"kind": "page", "request": "a:1", "scale": 1}, [])
    content, buffers = sent[0]
    assert [item["caption"] for item in content["items"]] == ["cat: hen → cat", "dog: cat → dog", "dog: hen → dog"]
    assert all(item["whole"] for item in content["items"]) and len(buffers) == 3 and content["errors"] == []
    view.gallery._on_message(view.gallery, {"kind": "select", "request": "a:2", "region": 4, "opened": True}, [])
    assert sent[1][0]["prediction"] == "hen → dog" and sent[1][0]["whole"] and sent[1][0]["errors"] == []


def test_where_nothing_is_fixed_what_is_broken_is_shown(shown: Any) -> None:
    comparison, data = shown
    found = compare(comparison.after, comparison.before)  # 1 fixed, 3 broken
    only_broken: Any = SimpleNamespace(
        **{name: getattr(found, name) for name in ("before", "after", "broken", "changes")}
    )
    only_broken.fixed = found.fixed[:0]
    view = ChangesGallery(only_broken, data)
    assert view.which.value == "broken" and listed(view) == [3, 1, 4]


def test_another_comparison_replaces_all(shown: Any) -> None:
    comparison, data = shown
    view = ChangesGallery(comparison, data)
    view.which.value = "broken"
    view.show(compare(comparison.after, comparison.before), data)
    assert view.which.value == "broken" and listed(view) == [3, 1, 4]
    view.show(compare(comparison.after, comparison.after), data)
    assert view.gallery.layout.display == "none" and "gets 0 right" in view.summary.text
    view.clear()
    assert view.gallery.total == 0 and "Mitigate first" in view.summary.text


def test_counts_are_those_of_the_comparison(shown: Any) -> None:
    comparison, data = shown
    table = comparison.changes().set_index("class_name")
    for y, name in enumerate(NAMES):
        here = np.flatnonzero(data.labels == y)
        assert table.loc[name, "n"] == len(here)
        assert table.loc[name, "fixed"] == sum(i in comparison.fixed for i in here)
        assert table.loc[name, "broken"] == sum(i in comparison.broken for i in here)
    assert (table["difference"] == table["fixed"] - table["broken"]).all()


def test_other_images_are_refused(shown: Any, make_data: Make) -> None:
    with pytest.raises(InputError, match="the 30 images of the comparison"):
        ChangesGallery().show(shown[0], make_data(29))
    with pytest.raises(InputError, match="or other labels"):
        ChangesGallery().show(shown[0], make_data(30, labels=np.zeros(30, int)))
