"""Notes: at most three are shown, the others on pointing, and all as text."""

from __future__ import annotations

from ravl_explore.widgets.basics.notes import MOST_SHOWN, Notes


def test_nothing_to_note_shows_nothing() -> None:
    notes = Notes()
    notes.show(["a"])
    notes.show(())
    assert notes.value == "" and notes.layout.display == "none" and notes.notes == ()


def test_three_are_shown_and_the_others_are_folded() -> None:
    notes = Notes()
    notes.show([f"note {i}." for i in range(5)] + ["note 0."])
    shown, _, more = notes.value.partition("<details")
    assert [f"note {i}." in shown for i in range(5)] == [True] * MOST_SHOWN + [False] * 2
    assert "and 2 more</summary>note 3.<br>note 4.</details>" in more and notes.layout.display == ""


def test_notes_are_text() -> None:
    notes = Notes()
    notes.show(["<b>1</b>", "", "2", "3", '"><img src=x>'])
    assert "&lt;b&gt;1" in notes.value and "<b>" not in notes.value and "<img" not in notes.value
