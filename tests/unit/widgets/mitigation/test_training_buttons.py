"""Which of the training's buttons can be pressed, and what they say."""

from __future__ import annotations

import pytest

from ravl_explore.widgets.mitigation.training_buttons import CONFIRM, GUESSING, TrainingButtons

IDLE = {"running": False, "ready": True, "guesses": False, "steerable": False, "paused": False, "uncompared": False}
TRAINING = IDLE | {"running": True, "steerable": True}


@pytest.mark.parametrize(
    ("state", "start", "pause", "compare"),
    [
        (IDLE, True, False, False),
        (IDLE | {"ready": False}, False, False, False),
        (IDLE | {"uncompared": True}, True, False, True),
        (IDLE | {"steerable": True}, True, False, False),
        (TRAINING, False, True, False),
        (TRAINING | {"uncompared": True}, False, True, False),
        (TRAINING | {"steerable": False}, False, False, False),
    ],
)
def test_what_can_be_pressed(state: dict[str, bool], start: bool, pause: bool, compare: bool) -> None:
    buttons = TrainingButtons()
    buttons.show_state(**state)
    assert buttons.start.disabled is not start
    assert buttons.pause.disabled is buttons.stop.disabled is not pause
    assert buttons.compare.layout.display == ("" if compare else "none")


def test_start_says_what_is_missing() -> None:
    buttons = TrainingButtons()
    said = []
    for change in ({}, {"ready": False}, {"ready": False, "guesses": True}):
        buttons.show_state(**IDLE | change)
        said.append(buttons.start.tooltip)
    assert said == ["", CONFIRM, CONFIRM + GUESSING]


def test_pause_becomes_resume_only_while_it_runs() -> None:
    buttons = TrainingButtons()
    said = []
    for state in (TRAINING, TRAINING | {"paused": True}, IDLE | {"paused": True}):
        buttons.show_state(**state)
        said.append((buttons.pause.description, buttons.pause.icon))
    assert said == [("Pause", "pause"), ("Resume", "play"), ("Pause", "pause")]


def test_each_button_calls_its_own() -> None:
    buttons, pressed = TrainingButtons(), []
    names = ("start", "pause", "stop", "compare")
    buttons.on_click(*(lambda _, name=name: pressed.append(name) for name in names))
    for name in reversed(names):
        getattr(buttons, name).click()
    assert pressed == list(reversed(names))
