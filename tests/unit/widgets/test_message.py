"""Message: what users wrote is shown as text, and errors of our own read otherwise than unexpected ones."""

from __future__ import annotations

import html
import re

import pytest

from ravl_explore.errors import DataError, MissingDependencyError, ModelError
from ravl_explore.widgets.message import Message

MARKUP = "<img src=x onerror=\"alert(1)\"> & <b>bold</b> 'quoted'"


def shown(message: Message) -> str:
    """The text within the one element that a message is, as a browser would show it."""
    found = re.fullmatch(r'<div role="\w+" style="[^"<>]*">([^<>]*)</div>', message.value)
    assert found, message.value
    return html.unescape(found[1])


@pytest.mark.parametrize("text", [MARKUP, "/tmp/<i>folder</i>/a&amp;b.pt", "“curly” → 50 %", "</div><p>"])
def test_a_hint_is_shown_as_it_was_written(text: str) -> None:
    message = Message()
    message.say(text)
    assert shown(message) == text == message.text
    assert 'role="status"' in message.value


@pytest.mark.parametrize(
    "error",
    [
        DataError("at least two classes", MARKUP, "Rename <these>."),
        ModelError("a checkpoint file", "'/home/<u>me</u>/x.pt', no such file", "Check the path."),
        MissingDependencyError("scikit-learn-extra", "ValueError: <dtype>", "Install it."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_our_own_is_its_text_and_nothing_else(error: Exception) -> None:
    message = Message()
    message.fail(error)
    assert shown(message) == str(error) == message.text
    assert 'role="alert"' in message.value and "Unexpected" not in message.value


@pytest.mark.parametrize("error", [KeyError(MARKUP), RuntimeError(""), ZeroDivisionError("division by zero")])
def test_an_unexpected_error_says_what_it_is_and_where_to_look(error: Exception) -> None:
    message = Message()
    message.fail(error)
    text = shown(message)
    assert text.startswith(f"Unexpected {type(error).__name__}: {error}") and "kernel's log" in text
    assert 'role="alert"' in message.value


def test_the_next_thing_said_replaces_an_error_and_nothing_said_shows_nothing() -> None:
    message = Message()
    assert message.text == "" and message.value == ""
    message.fail(RuntimeError("x"))
    message.say("Pick a model.")
    assert shown(message) == "Pick a model."
    message.say("")
    assert message.value == "" and message.text == ""


def test_two_messages_do_not_share_their_text() -> None:
    one, other = Message(), Message()
    one.say("one")
    assert other.text == ""


def test_a_fact_is_less_pale_than_a_hint() -> None:
    message = Message()
    message.say("half right", "fact")
    assert "font-color1" in message.value and message.text == "half right" and 'role="status"' in message.value
    message.say("try this")
    assert "font-color2" in message.value
