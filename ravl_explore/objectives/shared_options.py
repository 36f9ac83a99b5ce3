"""Checks of the options that several objectives have."""

from __future__ import annotations

from ravl_explore.support import checks


def check_share(weight: float) -> None:
    """Raise InputError unless ``weight``, of the CLIP loss in another, is from 0 to 1."""
    checks.number("weight", weight, 0, 1, remedy="The paper uses 0.8.")


def check_texts(class_text: str, equal_captions: str) -> None:
    """Raise InputError unless both are options that every objective has."""
    checks.one_of("class_text", class_text, ("prompts", "names"))
    checks.one_of("equal_captions", equal_captions, ("negatives", "positives"))
