"""RelevanceWidget shows the maps that relevance_maps() gives, of what was picked, and tells what cannot be shown."""

from __future__ import annotations

import base64
import io
import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ravl_explore.data import Subset
from ravl_explore.errors import DataError
from ravl_explore.plots.relevance import overlay
from ravl_explore.relevance import relevance_maps
from ravl_explore.widgets.outcome.relevance import MOST_SHOWN, RelevanceWidget
from tests.unit.test_relevance import Halves

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def models() -> Any:
    from ravl_explore.models.clip_model import ClipModel
    from ravl_explore.models.demo import demo_tokenizer
    from tests.unit.models.conftest import build_tower

    torch.set_num_threads(1)
    return [ClipModel(build_tower("vit", seed), demo_tokenizer(), f"<b>vit {seed}") for seed in (0, 1)]


def waited(job: Any) -> Any:
    assert job is not None and job.wait(60)
    return job


def pictures(widget: RelevanceWidget) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', widget._pictures.value)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in found]


def captions(widget: RelevanceWidget) -> list[str]:
    return re.findall(r"<figcaption>(.*?)</figcaption>", widget._pictures.value)


def test_before_and_after_of_the_picked_images(models: Any, make_data: Make) -> None:
    data = make_data(12)
    widget = RelevanceWidget(models[0], data, models[1])
    assert widget.images.value == "0-5" and widget.maps == () and not widget._pictures.value
    waited(widget.show([7, 2]))
    assert widget.images.value == "7, 2" and widget.message.text.startswith("Relevance of 2 images")
    for model, shown in zip(models, widget.maps, strict=True):
        np.testing.assert_array_equal(shown.maps, relevance_maps(model, data, [7, 2]).maps)
    seen = pictures(widget)
    assert len(seen) == 6
    large = np.kron(data.image(7), np.ones((9, 9, 1), np.uint8))
    np.testing.assert_array_equal(seen[0], large)
    np.testing.assert_array_equal(seen[1], overlay(large, widget.maps[0].maps[0]))
    np.testing.assert_array_equal(seen[5], overlay(seen[3], widget.maps[1].maps[1]))
    said = captions(widget)
    assert said[0] == "image 7 · dog" and said[1].startswith("before · for dog · says ")
    assert said[2].startswith("after · for dog · says ") and said[3] == "image 2 · hen"


def test_the_fields_and_the_button(models: Any, make_data: Make) -> None:
    data = make_data(12)
    widget = RelevanceWidget()
    assert widget.look.disabled and widget.measure_button.disabled and widget.show([0]) is None
    widget.offer(models[0], data)
    assert not widget.look.disabled and widget.measure_button.disabled
    widget.images.value, widget.classes.value, widget.box.value = "1, 3-4", 2, "0, 0, 16, 16"
    widget.look.click()
    waited(widget._latest.job)
    (maps,) = widget.maps
    assert maps.images.tolist() == [1, 3, 4] and maps.shown.tolist() == [2, 2, 2]
    np.testing.assert_array_equal(maps.boxes, np.tile([0, 0, 16, 16], (3, 1)))
    assert pictures(widget)[0].shape[0] == pictures(widget)[0].shape[1] and len(pictures(widget)) == 6
    widget.classes.value, widget.box.value = "prediction", ""
    widget.look.click()
    waited(widget._latest.job)
    assert widget.maps[0].boxes is None
    assert widget.maps[0].shown.tolist() == widget.maps[0].predictions.tolist()


def test_crops_of_a_selection(models: Any, make_data: Make) -> None:
    widget = RelevanceWidget(models[0], make_data(12))
    boxes = np.array([[0, 0, 16, 16], [16, 16, 32, 32]])
    waited(widget.show([4, 4], boxes))
    assert widget.box.value == "" and widget.message.text.startswith("Relevance of 2 crops")
    np.testing.assert_array_equal(widget.maps[0].boxes, boxes)
    waited(widget.show([4, 5], boxes[[1, 1]]))
    assert widget.box.value == "16, 16, 32, 32"


def test_alignment(models: Any, make_data: Make) -> None:
    data = make_data(12)
    widget = RelevanceWidget(models[0], data, models[1], Halves(12))
    widget.measure_button.click()
    waited(widget._latest.job)
    expected = [relevance_maps(model, data, range(12)).align(Halves(12)) for model in models]
    assert list(widget.alignments) == expected
    for each in expected:
        for value in (each.miou, each.pixel_accuracy, each.share):
            assert f"<td>{100 * value:.1f}%</td>" in widget._numbers.value
    assert widget.message.text.endswith("over the 12 images with something to promote and to suppress.")
    widget.classes.value = 0
    assert widget._numbers.value == "" and widget.alignments == (), "they were of another class"
    widget.offer(models[0], data, None, Halves(12, unknown=tuple(range(12))))
    assert widget._numbers.value == "" and widget.alignments == ()
    waited(widget.measure())
    assert widget.message.text.startswith("None of the measured images") and "nan" not in widget._numbers.value
    widget.offer(models[0], data)
    assert widget.measure() is None and "no concept masks" in widget.message.text


def test_text_of_others_is_text(models: Any, make_data: Make) -> None:
    data = make_data(6, class_names=("<i>cat", "dog & co", "hen"))
    widget = RelevanceWidget(models[0], data, None, Halves(6))
    waited(widget.show([0, 1]))
    waited(widget.measure())
    shown = widget._pictures.value + widget._numbers.value
    assert "&lt;i&gt;cat" in shown and "dog &amp; co" in shown and "&lt;b&gt;vit 0" in shown
    assert "<i>" not in shown and "<b>" not in shown


@pytest.mark.parametrize(
    ("images", "box", "said"),
    [
        ("", "", "image numbers such as 0-5, 17"),
        ("1, x", "", "image numbers such as 0-5, 17, got '1, x'"),
        ("3-1", "", "images from 0 to 11, got '3-1'"),
        ("12", "", "images from 0 to 11"),
        ("0-99999999999", "", "images from 0 to 11"),
        ("1", "1, 2, 3", "four numbers x1, y1, x2, y2, got '1, 2, 3'"),
        ("1", "a, 2, 3, 4", "four numbers"),
        ("1", "nan, 2, 3, 4", "four numbers"),
        ("1", "9, 9, 3, 4", "a box x1, y1, x2, y2 within its image"),
    ],
)
def test_bad_fields_are_told(models: Any, make_data: Make, images: str, box: str, said: str) -> None:
    widget = RelevanceWidget(models[0], make_data(12))
    widget.images.value, widget.box.value = images, box
    widget.look.click()
    if widget._latest.job is not None:
        waited(widget._latest.job)
    assert said in widget.message.text and widget.maps == ()


def test_errors_of_the_work_are_told_and_what_was_shown_stays(models: Any, make_data: Make) -> None:
    class Bad(Subset):
        def image(self, index: int) -> np.ndarray:
            if index == 3:
                raise DataError("a readable image file", "'<b>3.png'", "Mend it.")
            return super().image(index)

    widget = RelevanceWidget(models[0], Bad(make_data(12), np.arange(12)))
    waited(widget.show([1]))
    before = widget._pictures.value
    waited(widget.show([3]))
    assert "'<b>3.png'" in widget.message.text and "<b>" not in widget.message.value
    assert widget._pictures.value == before

    untraceable = models[0].copy()
    untraceable.trace = None
    widget.offer(untraceable, make_data(12))
    waited(widget.show([1]))
    assert "which has no trace()" in widget.message.text


def test_many_images_are_cut_and_it_is_told(models: Any, make_data: Make) -> None:
    widget = RelevanceWidget(models[0], make_data(60))
    waited(widget.show(np.arange(50)))
    assert len(widget.maps[0].maps) == MOST_SHOWN
    assert widget.message.text.endswith(f"The first {MOST_SHOWN} of 50 are shown.")
    waited(widget.show([]))
    assert pictures(widget) == []


def test_what_was_asked_for_last_is_shown(models: Any, make_data: Make) -> None:
    """A slow job that ends after another was started changes nothing."""
    go = threading.Event()

    class Slow(Subset):
        def image(self, index: int) -> np.ndarray:
            if index == 5:
                go.wait(30)
            return super().image(index)

    widget = RelevanceWidget(models[0], Slow(make_data(12), np.arange(12)))
    slow = widget.show([5])
    fast = waited(widget.show([1]))
    assert fast is not slow and widget.maps[0].images.tolist() == [1]
    go.set()
    waited(slow)
    assert widget.maps[0].images.tolist() == [1] and widget.images.value == "1"


def test_a_new_offer_keeps_what_was_picked_on_the_same_data(models: Any, make_data: Make) -> None:
    data = make_data(12)
    widget = RelevanceWidget(models[0], data)
    waited(widget.show([3, 4]))
    widget.classes.value = 1
    widget.offer(models[0], data, models[1])
    assert widget.images.value == "3-4" and widget.classes.value == 1 and widget.maps == ()
    widget.offer(models[0], make_data(3))
    assert widget.images.value == "0-2" and widget.classes.value == "label"


def test_images_that_changed_are_proposed_unless_others_were_picked(models: Any, make_data: Make) -> None:
    data = make_data(12)
    widget = RelevanceWidget(models[0], data)
    assert "changed" not in widget.message.text and data.name in widget.message.text
    widget.offer(models[0], data, models[1], changed=[4, 7])
    assert widget.images.value == "4, 7" and "changed sides" in widget.message.text
    widget.offer(models[0], data, models[1], changed=[5])
    assert widget.images.value == "5"
    widget.images.value = "1"
    widget.offer(models[0], data, models[1], changed=[4])
    assert widget.images.value == "1" and "changed" not in widget.message.text
