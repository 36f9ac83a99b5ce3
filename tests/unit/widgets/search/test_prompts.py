"""PromptEditor: the previewed accuracy is that of a search with these prompts, and bad prompts say what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore.errors import DataError, InputError
from ravl_explore.widgets.search import prompt_sample as module
from ravl_explore.widgets.search.prompts import PromptEditor

Make = Callable[..., Any]
OWN = ("the image shows a {}", "a {}")


@pytest.fixture
def data(make_data: Make) -> Any:
    return make_data(24, templates=OWN)


@pytest.fixture
def editor(model: Any, data: Any) -> PromptEditor:
    made = PromptEditor(model, data)
    made.flush()
    return made


def accuracy(model: Any, data: Any, templates: tuple[str, ...]) -> float:
    return rx.zero_shot(rx.embed(model, data, templates=templates)).accuracy


def test_the_datasets_own_prompts_come_first_with_their_accuracy(editor: PromptEditor, model: Any, data: Any) -> None:
    assert editor._text.value == "\n".join(OWN) and editor.templates == OWN
    assert not editor.edited and editor.chosen() is None and editor._reset.disabled
    assert editor.accuracy == pytest.approx(accuracy(model, data, OWN))
    assert f"{100 * editor.accuracy:.1f}% right on all 24 images." in editor.result.text
    assert editor._classes.text == "3 classes: cat, dog, hen."


def test_other_prompts_are_previewed_and_used(editor: PromptEditor, model: Any, data: Any) -> None:
    for text in ("{} of the red", "one {}\n\n  another {}  \n"):
        templates = tuple(line.strip() for line in text.splitlines() if line.strip())
        editor._text.value = text
        editor.flush()
        assert editor.templates == editor.chosen() == templates and editor.edited
        assert editor.accuracy == pytest.approx(accuracy(model, data, templates))
    editor._reset.click()
    assert editor.templates == OWN and editor.chosen() is None and editor._reset.disabled


def test_the_worst_class_is_named(model: Any, make_data: Make, editor: PromptEditor) -> None:
    data = make_data(24, templates=OWN)
    scores = rx.zero_shot(rx.embed(model, data))
    per_class = [scores.correct[data.labels == y].mean() for y in range(3)]
    worst = int(np.argmin(per_class))
    assert editor.result.text.endswith(
        f"Worst class: {data.class_names[worst]}, {100 * per_class[worst]:.0f}% of its 8 images."
    )


@pytest.mark.parametrize("text", ["", "   ", "a photo", "a {} and a {}", "a {name}", "a {0}", "a { {}"])
def test_prompts_that_do_not_work_say_how_to_mend_them(editor: PromptEditor, text: str) -> None:
    editor._text.value = text
    assert editor.templates is None and editor.result.text == ""
    assert editor.message.text.startswith("Expected") and 'a photo of a {}"' in editor.message.text
    with pytest.raises(InputError):
        editor.chosen()
    editor._text.value = "a {}"
    assert editor.templates == ("a {}",) and "{} stands for" in editor.message.text


def test_at_most_500_images_are_embedded_once(model: Any, make_data: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IMAGES", 12)
    data, read = make_data(40), []
    image = data.image
    data.image = lambda i: read.append(i) or image(i)
    editor = PromptEditor(model, data)
    editor.flush()
    assert "right on 12 of 40 images" in editor.result.text and len(set(read)) == 12
    editor._text.value = "one {}"
    editor.show(model, data)
    editor.flush()
    assert len(read) == 12, "only the prompts changed"


def test_images_that_cannot_be_read_are_left_out(model: Any, data: Any, make_data: Make) -> None:
    image = data.image

    def some(i: int) -> Any:
        if i < 4:
            raise DataError("an image", "none", "Mend it.")
        return image(i)

    data.image = some
    editor = PromptEditor(model, data)
    editor.flush()
    assert "right on 20 of 24 images" in editor.result.text
    none = make_data(6)
    none.image = lambda i: some(0)
    editor.show(model, none)
    editor.flush()
    assert "Expected an image that can be read" in editor.result.text and editor.accuracy is None


def test_edited_prompts_stay_with_other_images_and_others_do_not(
    editor: PromptEditor, model: Any, make_data: Make
) -> None:
    other = make_data(12, templates=("the {}",))
    editor.show(model, other)
    editor.flush()
    assert editor.templates == ("the {}",) and "12 images" in editor.result.text
    editor._text.value = "my {}"
    editor.show(model, make_data(24, templates=OWN))
    editor.flush()
    assert editor.templates == ("my {}",) and editor.edited and "24 images" in editor.result.text
    editor._text.value = "broken"
    editor.show(model, other)
    assert editor._text.value == "broken", "what is being typed is not taken away"


def test_before_it_is_opened_nothing_was_chosen() -> None:
    editor = PromptEditor()
    assert editor.chosen() is None and editor.templates is None


def test_typing_asks_once_after_a_pause(editor: PromptEditor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert editor._sample is not None
    asked: list[tuple[str, ...]] = []
    real = editor._sample.accuracy
    monkeypatch.setattr(editor._sample, "accuracy", lambda templates: asked.append(templates) or real(templates))
    for text in ("a {}", "an {}", "any {}"):
        editor._text.value = text
    assert asked == []
    editor.flush()
    assert asked == [("any {}",)]


def test_markup_in_class_names_stays_text(model: Any, make_data: Make) -> None:
    editor = PromptEditor(model, make_data(6, class_names=("<b>cat</b>", "dog", "hen")))
    editor.flush()
    assert "<b>cat</b>" in editor._classes.text and "<b>" not in editor._classes.value + editor.result.value
