"""Message: what users wrote is shown as text, and errors of our own read otherwise than unexpected ones."""

from __future__ import annotations

import html
import re

import pytest

from ravl_explore.errors import DataError, MissingDependencyError, ModelError
from ravl_explore.widgets.basics.message import Message

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
def test_an_unexpected_error_says_what_it_is_and_how_to_report_it(error: Exception) -> None:
    message = Message()
    message.fail(error)
    text = message.text
    assert text.startswith(f"Unexpected {type(error).__name__}: {error}") and "report it with these lines" in text
    assert 'role="alert"' in message.value and f"{type(error).__name__}" in message.value.partition("<pre>")[2]
    assert "<img" not in message.value and message.value.count("<pre>") == 1


def test_what_a_callback_raises_is_shown_with_its_lines() -> None:
    message = Message()

    def broken(_: object) -> None:
        raise KeyError("lost")

    assert message.told(broken)("a click") is None
    assert "Unexpected KeyError: 'lost'" in message.text and "in broken" in message.value
    message.told(lambda: message.say("fine"))()
    assert message.text == "fine" and message.told(lambda a, b: a + b)(1, 2) == 3


def test_what_was_raised_on_purpose_comes_without_lines() -> None:
    message = Message()

    def refused(_: object) -> None:
        raise DataError("a file", "none", "Pick one.")

    message.told(refused)("a click")
    assert message.text == "Expected a file, got none. Pick one." and "<pre>" not in message.value


def test_a_warning_stands_out() -> None:
    message = Message()
    message.say("careful", "warning")
    assert "warn-color1" in message.value and shown(message) == "careful"


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
